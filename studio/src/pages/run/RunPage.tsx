/** One run: what it is, how it goes, and five ways to look closer. */
import { useEffect, useMemo } from "preact/hooks";
import type { ComponentType } from "preact";
import { Problem } from "../../api/http";
import { runName } from "../../api/runs";
import { href } from "../../lib/router";
import { Empty, Failure, Skeleton } from "../../ui/basics";
import { useTitle } from "../../ui/Page";
import { Tabs } from "../../ui/Tabs";
import { FilesTab } from "./files";
import { RunHeader } from "./header";
import { HistoryTab } from "./history";
import { LogsTab } from "./logs";
import { MetricsTab } from "./metrics";
import { RunModel, type RunTabProps } from "./model";
import { OverviewTab } from "./overview";

const TABS: readonly (readonly [string, string, ComponentType<RunTabProps>])[] = [
  ["overview", "Overview", OverviewTab],
  ["metrics", "Metrics", MetricsTab],
  ["logs", "Logs", LogsTab],
  ["files", "Files", FilesTab],
  ["history", "History", HistoryTab],
];

export function RunPage({ workspace, runId, tab }: { workspace: string; runId: string; tab: string }) {
  const model = useMemo(() => new RunModel(workspace, runId), [workspace, runId]);
  useEffect(() => {
    model.start();
    return () => model.stop();
  }, [model]);
  const run = model.run.value;
  const error = model.error.value;
  useTitle(run === undefined ? runId : runName(run));

  if (error instanceof Problem && error.status === 404) {
    return (
      <Empty icon="search" title="There is no such run" action={<a class="button button-plain" href={href(["w", workspace, "runs"])}>Go to the runs</a>}>
        The workspace {workspace} has no run <code>{runId}</code>.
      </Empty>
    );
  }
  if (error !== undefined) return <Failure error={error} retry={() => void model.reload()} />;
  if (run === undefined) {
    return (
      <div class="page-body run-loading">
        <Skeleton lines={8} />
      </div>
    );
  }
  const [id, , Tab] = TABS.find(([name]) => name === tab) ?? TABS[0]!;
  const tabs = TABS.map(([name, label]) => ({
    id: name,
    label,
    href: href(name === "overview" ? ["w", workspace, "runs", runId] : ["w", workspace, "runs", runId, name]),
    ...(name === "metrics" ? { note: Object.keys(model.metrics.value).length || undefined } : {}),
  }));
  return (
    <>
      <RunHeader model={model} run={run} />
      <div class="run-tabs">
        <Tabs tabs={tabs} current={id} label="Parts of this run" />
      </div>
      <div class="run-body" role="tabpanel" aria-labelledby={`tab-${id}`}>
        <Tab model={model} run={run} />
      </div>
    </>
  );
}
