/** Runs beside each other: `?run=` (repeated) says which, `view` how, `hide` (repeated) which of them are not drawn. */
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { follow } from "../../api/live";
import { fetchRuns, runName } from "../../api/runs";
import type { RunView } from "../../api/types";
import { curveColor } from "../../charts/palette";
import { counted } from "../../lib/numbers";
import { href, query, setQuery } from "../../lib/router";
import { ENDED, statusWords } from "../../lib/statuses";
import { useQuery } from "../../lib/useQuery";
import { Empty, Failure, IconButton, Skeleton } from "../../ui/basics";
import { Icon } from "../../ui/icons";
import { PageHead, useTitle } from "../../ui/Page";
import { StatusIcon } from "../../ui/StatusIcon";
import { Tabs } from "../../ui/Tabs";
import { CompareCurves } from "./CompareCurves";
import { DifferenceTable } from "./DifferenceTable";
import { RUNS_MAX } from "./model";
import { ParallelCoordinates } from "./ParallelCoordinates";
import { Scatter } from "./Scatter";

const VIEWS = [
  ["curves", "Curves"],
  ["table", "Table"],
  ["parallel", "Parallel coordinates"],
  ["scatter", "Scatter"],
] as const;
const GROWTH_MS = 400;

export interface CompareProps {
  workspace: string;
  /** Those that are drawn; `places` says which colour each has. */
  runs: readonly RunView[];
  places: ReadonlyMap<string, number>;
  versions: ReadonlyMap<string, number>;
}

export function ComparePage({ workspace }: { workspace: string }) {
  const asked = [...new Set(query.value.getAll("run"))].slice(0, RUNS_MAX);
  const hidden = new Set(query.value.getAll("hide"));
  const view = VIEWS.find(([name]) => name === query.value.get("view"))?.[0] ?? "curves";
  const { data: runs, error, reload } = useQuery(`compare ${workspace} ${asked.join(" ")}`, (signal) => fetchRuns(workspace, asked, signal), { keep: true });
  const versions = useGrowth(workspace, asked, runs, reload);
  useTitle("Comparison");
  const places = useMemo(() => new Map(asked.map((id, index) => [id, index])), [asked.join(" ")]);

  if (asked.length === 0) {
    return (
      <Empty icon="compare" title="No runs are chosen" action={<a class="button button-primary" href={href(["w", workspace, "runs"])}>Go to the runs</a>}>
        Choose runs in their table, then “Compare”.
      </Empty>
    );
  }
  const missing = runs === undefined ? [] : asked.filter((id) => !runs.some((run) => run.run_id === id));
  const shown = (runs ?? []).filter((run) => !hidden.has(run.run_id));
  const tabs = VIEWS.map(([id, label]) => ({ id, label, href: viewAddress(id) }));
  return (
    <>
      <PageHead title="Comparison">
        <span class="faint">{counted(asked.length, "run")}</span>
      </PageHead>
      <div class="compare">
        {runs !== undefined && <Chosen workspace={workspace} runs={runs} asked={asked} hidden={hidden} places={places} />}
        {missing.length > 0 && (
          <p class="notice">
            <Icon name="search" size={14} />
            <span>There is no run {missing.slice(0, 5).join(", ")}{missing.length > 5 && ` and ${missing.length - 5} more`}.</span>
          </p>
        )}
        <Tabs tabs={tabs} current={view} label="Ways to compare" />
        <div class="compare-body" role="tabpanel" aria-labelledby={`tab-${view}`}>
          {runs === undefined ? (
            error === undefined ? <Skeleton lines={8} /> : <Failure error={error} retry={reload} />
          ) : shown.length === 0 ? (
            <Empty icon="compare" title="All runs are hidden" />
          ) : (
            <View view={view} workspace={workspace} runs={shown} places={places} versions={versions} />
          )}
        </div>
      </div>
    </>
  );
}

function View({ view, ...props }: CompareProps & { view: (typeof VIEWS)[number][0] }) {
  if (view === "table") return <DifferenceTable {...props} />;
  if (view === "parallel") return <ParallelCoordinates {...props} />;
  if (view === "scatter") return <Scatter {...props} />;
  return <CompareCurves {...props} />;
}

interface ChosenProps {
  workspace: string;
  runs: readonly RunView[];
  asked: readonly string[];
  hidden: ReadonlySet<string>;
  places: ReadonlyMap<string, number>;
}

/** The runs: each can be hidden, looked at, and left out. */
function Chosen({ workspace, runs, asked, hidden, places }: ChosenProps) {
  const toggle = (id: string): void => setQuery({ hide: hidden.has(id) ? [...hidden].filter((one) => one !== id) : [...hidden, id] });
  return (
    <ul class="compare-runs" aria-label="Runs">
      {runs.map((run) => (
        <li key={run.run_id} class={`compare-run ${hidden.has(run.run_id) ? "is-hidden" : ""}`}>
          <button type="button" class="compare-swatch" aria-pressed={!hidden.has(run.run_id)} aria-label={`Draw ${runName(run)}`} title={hidden.has(run.run_id) ? "Draw it again" : "Do not draw it"} onClick={() => toggle(run.run_id)}>
            <i class="swatch" style={{ background: `var(${curveColor(places.get(run.run_id) ?? 0)})` }} />
          </button>
          <a class="truncate" href={href(["w", workspace, "runs", run.run_id])} title={`${runName(run)}\n${statusWords(run.status)}`}>
            {runName(run)}
          </a>
          <StatusIcon status={run.status} size={12} />
          <span class="visually-hidden">{statusWords(run.status)}</span>
          <IconButton icon="x" label={`Leave ${runName(run)} out`} onClick={() => setQuery({ run: asked.filter((id) => id !== run.run_id), hide: [...hidden].filter((id) => id !== run.run_id) })} />
        </li>
      ))}
    </ul>
  );
}

function viewAddress(view: string): string {
  const values = new URLSearchParams(query.value);
  if (view === "curves") values.delete("view");
  else values.set("view", view);
  return `${location.pathname}?${values.toString()}`;
}

/** How often each metric of any of the runs has grown; runs that change are loaded anew. */
function useGrowth(workspace: string, ids: readonly string[], runs: readonly RunView[] | undefined, reload: () => void): ReadonlyMap<string, number> {
  const [versions, setVersions] = useState<ReadonlyMap<string, number>>(new Map());
  const grown = useRef(new Set<string>());
  const isActive = runs?.some((run) => !ENDED.has(run.status)) ?? false;
  useEffect(() => {
    if (!isActive) return;
    const mine = new Set(ids);
    let timer: ReturnType<typeof setTimeout> | null = null;
    const later = (): void => {
      timer ??= setTimeout(() => {
        timer = null;
        const names = grown.current;
        grown.current = new Set();
        reload();
        setVersions((before) => new Map([...before, ...[...names].map((name): [string, number] => [name, (before.get(name) ?? 0) + 1])]));
      }, GROWTH_MS);
    };
    const stop = follow(workspace, null, {
      run: (run) => mine.has(run.run_id) && later(),
      metrics: (change) => {
        if (!mine.has(change.run_id)) return;
        for (const name of Object.keys(change.metrics)) grown.current.add(name);
        later();
      },
      resync: later,
    });
    return () => {
      stop();
      if (timer !== null) clearTimeout(timer);
    };
  }, [workspace, ids.join(" "), isActive, reload]);
  return versions;
}
