import { useMemo } from "preact/hooks";
import { CurveChart } from "../../../charts/CurveChart";
import { linesOf, xKindOf } from "../../../charts/lines";
import { useCurves, type CurveSource } from "../../../charts/source";
import { zoom, type ChartChoices } from "../../../charts/view";
import { count, float, measured } from "../../../lib/numbers";
import { Failure } from "../../../ui/basics";
import { MetricPanel } from "./MetricPanel";
import type { RunSeries } from "./series";

const POINTS = 600;
const HEIGHT = 196;
const HEIGHT_LARGE = 460;

interface CurvePanelProps {
  series: RunSeries;
  source: CurveSource;
  choices: ChartChoices;
  version: number;
}

export function CurvePanel({ series, source, choices, version }: CurvePanelProps) {
  const latest = series.summary?.latest;
  const note = (
    <>
      <strong class="number">{measured(typeof latest === "string" ? (float(latest) ?? latest) : latest)}</strong>
      <span class="number faint" title={`${count(series.count)} values`}>{count(series.count)}</span>
    </>
  );
  return (
    <MetricPanel name={series.name} note={note}>
      {(isLarge) => <Curves series={series} source={source} choices={choices} version={version} isLarge={isLarge} />}
    </MetricPanel>
  );
}

/** The curves of all columns of a metric. */
export function Curves({ series, source, choices, version, isLarge }: CurvePanelProps & { isLarge: boolean }) {
  const { curves, error, retry } = useCurves(source, series.name, { axis: choices.axis, range: choices.range, pointsMax: isLarge ? 2 * POINTS : POINTS }, version);
  const height = isLarge ? HEIGHT_LARGE : HEIGHT;
  const lines = useMemo(
    () => linesOf(curves ?? [], choices, (curve) => ({ label: curve.column, index: series.columns.indexOf(curve.column) })),
    [curves, choices.smoothing],
  );
  if (curves === undefined) return error === undefined ? <div class="chart-wait" style={{ height: `${height}px` }} role="status" aria-label="Loading" /> : <Failure error={error} retry={retry} />;
  const isEmpty = lines.length === 0 && choices.range === null;
  return (
    <>
      {lines.length > 1 && <Legend lines={lines} />}
      {isEmpty ? (
        <p class="panel-empty">Nothing in it is a number{choices.axis === "step" ? " with a step" : ""}.</p>
      ) : (
        <CurveChart label={series.name} lines={lines} xKind={xKindOf(curves, choices)} isLog={choices.isLog} range={choices.range} onZoom={zoom} height={height} />
      )}
      <Unseen nanCount={curves.reduce((sum, curve) => sum + curve.nanCount, 0)} />
    </>
  );
}

export function Legend({ lines }: { lines: readonly { id: string; label: string; color: `--${string}` }[] }) {
  return (
    <ul class="chart-legend">
      {lines.map((line) => (
        <li key={line.id} class="truncate">
          <i class="swatch" style={{ background: `var(${line.color})` }} />
          {line.label}
        </li>
      ))}
    </ul>
  );
}

/** A curve has gaps where it is NaN: it says how many. */
function Unseen({ nanCount }: { nanCount: number }) {
  if (nanCount === 0) return null;
  return <p class="chart-foot">{count(nanCount)} {nanCount === 1 ? "value is" : "values are"} NaN</p>;
}
