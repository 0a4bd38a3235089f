/** The metrics of all runs, each metric's curves in one chart. */
import { useMemo, useState } from "preact/hooks";
import { runName } from "../../api/runs";
import { ChartBar } from "../../charts/ChartBar";
import { CurveChart } from "../../charts/CurveChart";
import { linesOf, xKindOf } from "../../charts/lines";
import { CurveSource, useCurves } from "../../charts/source";
import { chartChoices, zoom, type ChartChoices } from "../../charts/view";
import { count } from "../../lib/numbers";
import { query, setQuery } from "../../lib/router";
import { Empty, Failure } from "../../ui/basics";
import { MetricPanel } from "../run/metrics/MetricPanel";
import type { CompareProps } from "./ComparePage";
import { curveNames } from "./model";

/**
 * Of each curve. The server answers a curve of a million points from its summaries, of which there are 244, where no more
 * points than that are asked for: of many runs that is ten times as fast, and in one chart they show no more.
 */
const POINTS = 500;
const POINTS_OF_MANY = 200;
const MANY_RUNS = 5;
const HEIGHT = 220;
const HEIGHT_LARGE = 480;

export function CompareCurves(props: CompareProps) {
  const { workspace, runs, versions } = props;
  const choices = chartChoices();
  const [search, setSearch] = useState(query.value.get("metric") ?? "");
  const ids = runs.map((run) => run.run_id);
  const names = curveNames(runs);
  const latest = useMemo(() => ({ names }), []);
  latest.names = names;
  const source = useMemo(() => new CurveSource(workspace, ids, () => latest.names), [workspace, ids.join(" ")]);
  const shown = names.filter((name) => name.toLowerCase().includes(search.trim().toLowerCase()));

  if (names.length === 0) return <Empty icon="bars" title="None of these runs has logged a number" />;
  return (
    <div class="metrics">
      <ChartBar choices={choices} search={{ value: search, set: (text) => (setSearch(text), setQuery({ metric: text })) }} />
      {shown.length === 0 && <Empty icon="search" title="No metric is called like that" />}
      <div class="metric-grid">
        {shown.map((name) => (
          <MetricPanel key={name} name={name} note={<span class="faint number">{count(runs.filter((run) => run.metrics[name] !== undefined).length)} of {count(runs.length)} runs</span>}>
            {(isLarge) => <Overlaid {...props} name={name} source={source} choices={choices} version={versions.get(name) ?? 0} isLarge={isLarge} />}
          </MetricPanel>
        ))}
      </div>
    </div>
  );
}

interface OverlaidProps extends CompareProps {
  name: string;
  source: CurveSource;
  choices: ChartChoices;
  version: number;
  isLarge: boolean;
}

function Overlaid({ runs, places, name, source, choices, version, isLarge }: OverlaidProps) {
  const { curves, error, retry } = useCurves(source, name, { axis: choices.axis, range: choices.range, pointsMax: runs.length >= MANY_RUNS ? POINTS_OF_MANY : POINTS }, version);
  const height = isLarge ? HEIGHT_LARGE : HEIGHT;
  const names = runs.map(runName).join("\n");
  const lines = useMemo(() => {
    const of = new Map(runs.map((run) => [run.run_id, run]));
    return linesOf(curves ?? [], choices, (curve) => {
      const run = of.get(curve.runId);
      return run === undefined ? null : { label: runName(run), index: places.get(curve.runId) ?? 0 };
    });
  }, [curves, choices.smoothing, names, places]);
  if (curves === undefined) return error === undefined ? <div class="chart-wait" style={{ height: `${height}px` }} role="status" aria-label="Loading" /> : <Failure error={error} retry={retry} />;
  return <CurveChart label={name} lines={lines} xKind={xKindOf(curves, choices)} isLog={choices.isLog} range={choices.range} onZoom={zoom} height={height} />;
}
