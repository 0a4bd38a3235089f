/** Everything a run has measured: curves, single values, tables, images and charts, growing as it runs. */
import { useMemo, useState } from "preact/hooks";
import { chartChoices, type ChartChoices } from "../../charts/view";
import { ChartBar } from "../../charts/ChartBar";
import { CurveSource } from "../../charts/source";
import { query, setQuery } from "../../lib/router";
import { ENDED } from "../../lib/statuses";
import { Empty, Failure, Skeleton } from "../../ui/basics";
import { ChartPanel } from "./metrics/ChartPanel";
import { CurvePanel } from "./metrics/CurvePanel";
import { ImagePanel } from "./metrics/ImagePanel";
import { SingleValues } from "./metrics/SingleValues";
import { TablePanel } from "./metrics/TablePanel";
import { useRunSeries, type RunSeries } from "./metrics/series";
import type { RunTabProps } from "./model";

export function MetricsTab({ model, run }: RunTabProps) {
  const { series, versions, error, reload } = useRunSeries(model);
  const choices = chartChoices();
  const [search, setSearch] = useState(query.value.get("metric") ?? "");
  const names = series?.map(({ name }) => name) ?? [];
  const latestNames = useMemo(() => ({ names }), []);
  latestNames.names = names;
  const source = useMemo(() => new CurveSource(run.workspace, [run.run_id], () => latestNames.names), [run.workspace, run.run_id]);

  if (series === undefined) return error === undefined ? <Skeleton lines={8} /> : <Failure error={error} retry={reload} />;
  if (series.length === 0) {
    return (
      <Empty icon="bars" title={ENDED.has(run.status) ? "This run has logged no metrics" : "No metrics yet"}>
        <p>What the run logs is drawn here as it comes.</p>
        <pre>{'run.log("loss", 0.31, step=1)'}</pre>
      </Empty>
    );
  }
  const shown = series.filter(({ name }) => name.toLowerCase().includes(search.trim().toLowerCase()));
  return (
    <div class="metrics">
      <ChartBar choices={choices} search={{ value: search, set: (text) => (setSearch(text), setQuery({ metric: text })) }} />
      {shown.length === 0 ? (
        <Empty icon="search" title="No metric is called like that" />
      ) : (
        sections(shown).map(([title, members]) => (
          <section key={title} class="metric-section" aria-label={title || "Metrics"}>
            {title && <h2>{title}</h2>}
            <SingleValues series={members.filter((one) => one.look === "value")} />
            <div class="metric-grid">
              {members.filter((one) => one.look !== "value").map((one) => (
                <Panel key={one.name} one={one} version={versions.get(one.name) ?? 0} source={source} choices={choices} />
              ))}
            </div>
          </section>
        ))
      )}
    </div>
  );
}

interface PanelProps {
  one: RunSeries;
  version: number;
  source: CurveSource;
  choices: ChartChoices;
}

function Panel({ one, version, source, choices }: PanelProps) {
  const place = { workspace: source.workspace, runId: source.runs[0]!, version };
  if (one.look === "curve") return <CurvePanel series={one} source={source} choices={choices} version={version} />;
  if (one.look === "image") return <ImagePanel series={one} {...place} />;
  if (one.look === "chart") return <ChartPanel series={one} {...place} />;
  return <TablePanel series={one} source={source} choices={choices} {...place} />;
}

const SECTIONS_FROM = 2;

/** Metrics by what stands before the first "/", where that makes more than one group; those without one come first. */
function sections(series: readonly RunSeries[]): (readonly [string, readonly RunSeries[]])[] {
  const found = new Map<string, RunSeries[]>([["", []]]);
  for (const one of series) {
    const slash = one.name.indexOf("/");
    const title = slash > 0 ? one.name.slice(0, slash) : "";
    found.set(title, [...(found.get(title) ?? []), one]);
  }
  const groups = [...found].filter(([, members]) => members.length > 0);
  const isGrouped = groups.length >= SECTIONS_FROM && groups.some(([title, members]) => title && members.length > 1);
  return isGrouped ? groups : [["", series]];
}
