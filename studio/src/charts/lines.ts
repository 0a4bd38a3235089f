/** Curves as a chart draws them. */
import type { Curve } from "../api/curves";
import type { ChartLine } from "./CurveChart";
import { curveColor, curveDash } from "./palette";
import type { XKind } from "./scales";
import { smoothed } from "./smooth";
import type { ChartChoices } from "./view";

/** Beyond so many, unsmoothed curves behind smoothed ones tell nothing. */
const RAW_MAX = 6;

export interface Look {
  label: string;
  /** Its place among colours. */
  index: number;
}

/** `look` says how a curve is called and coloured; null leaves it out. Curves without a single number are left out. */
export function linesOf(curves: readonly Curve[], choices: ChartChoices, look: (curve: Curve) => Look | null): ChartLine[] {
  const isRawShown = choices.smoothing > 0 && curves.length <= RAW_MAX;
  return curves.flatMap((curve) => {
    const seen = look(curve);
    if (seen === null || curve.x.length === 0) return [];
    const dash = curveDash(seen.index);
    return {
      id: `${curve.runId} ${curve.column}`,
      label: seen.label,
      color: curveColor(seen.index),
      ...(dash === undefined ? {} : { dash }),
      x: curve.x,
      y: smoothed(curve.y, choices.smoothing),
      // A band says how far values spread around their mean; around a smoothed line it would say something else.
      low: choices.smoothing > 0 ? null : curve.low,
      high: choices.smoothing > 0 ? null : curve.high,
      ...(isRawShown ? { raw: curve.y } : {}),
    };
  });
}

/** What the x of these curves is: where nothing has a step, points are counted. */
export function xKindOf(curves: readonly Curve[], choices: ChartChoices): XKind {
  return choices.axis === "step" && curves.length > 0 && curves.every((curve) => curve.axis === "index") ? "index" : choices.axis;
}
