/** What follows from an accuracy table: how well each class is told from the others at each threshold. */
import { useState } from "preact/hooks";
import type { AccuracyTables, Counts } from "./chartFiles";
import { curveColor } from "./palette";
import { Plot } from "./Plot";

type Kind = "roc" | "precision";
const CLASSES_MAX = 20;

export function AccuracyCurves({ labels, tables, isLarge }: AccuracyTables & { isLarge: boolean }) {
  const [kind, show] = useState<Kind>("roc");
  const [width, height] = isLarge ? [1000, 400] : [480, 236];
  const [xTitle, yTitle] = kind === "roc" ? ["False positive rate", "True positive rate"] : ["Recall", "Precision"];
  const shown = tables.slice(0, CLASSES_MAX).map((table) => points(table, kind));
  return (
    <div class="accuracy">
      <Plot label={`${yTitle} by ${xTitle.toLowerCase()} of ${labels.length} classes`} width={width} height={height} xs={[0, 1]} ys={[0, 1]} xTitle={xTitle} yTitle={yTitle}>
        {({ x, y }) => (
          <>
            {kind === "roc" && <line class="plot-ideal" x1={x(0)} y1={y(0)} x2={x(1)} y2={y(1)} />}
            {shown.map((curve, index) => (
              <polyline key={index} class="plot-line" style={{ stroke: `var(${curveColor(index)})` }} points={curve.map(([a, b]) => `${x(a)},${y(b)}`).join(" ")}>
                <title>{labels[index]}</title>
              </polyline>
            ))}
          </>
        )}
      </Plot>
      <div class="accuracy-foot">
        <div class="segments" role="group" aria-label="Which curve">
          <button type="button" aria-pressed={kind === "roc"} onClick={() => show("roc")}>ROC</button>
          <button type="button" aria-pressed={kind === "precision"} onClick={() => show("precision")}>Precision and recall</button>
        </div>
        <ul class="chart-legend">
          {shown.map((curve, index) => (
            <li key={index} class="truncate">
              <i class="swatch" style={{ background: `var(${curveColor(index)})` }} />
              {labels[index]}
              {kind === "roc" && <span class="number faint" title="Area under the curve">{area(curve).toFixed(3)}</span>}
            </li>
          ))}
        </ul>
      </div>
    </div>
  );
}

function points(table: readonly Counts[], kind: Kind): (readonly [number, number])[] {
  const found = table.map(([tp, fp, tn, fn]): readonly [number, number] => (kind === "roc" ? [ratio(fp, fp + tn, 0), ratio(tp, tp + fn, 0)] : [ratio(tp, tp + fn, 0), ratio(tp, tp + fp, 1)]));
  const ends: (readonly [number, number])[] = kind === "roc" ? [[0, 0], [1, 1]] : [];
  return [...ends, ...found].filter(([a, b]) => Number.isFinite(a) && Number.isFinite(b)).sort((a, b) => a[0] - b[0] || a[1] - b[1]);
}

function ratio(part: number, whole: number, otherwise: number): number {
  return whole === 0 ? otherwise : part / whole;
}

function area(curve: readonly (readonly [number, number])[]): number {
  let sum = 0;
  for (let index = 1; index < curve.length; index++) sum += ((curve[index]![0] - curve[index - 1]![0]) * (curve[index]![1] + curve[index - 1]![1])) / 2;
  return sum;
}
