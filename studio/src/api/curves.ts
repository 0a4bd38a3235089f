/**
 * Curves of many metrics of many runs, never more points than a chart can show: the API makes buckets of the rest, and a
 * range that is asked for comes finer.
 */
import { float } from "../lib/numbers";
import { apiPath, ask, fetchAnswer } from "./http";
import { runPath } from "./runs";
import type { CurveAnswer, CurvesAnswer, SeriesData, SeriesInfo } from "./types";

/** What a chart's x is. `relative`: ms since the first point of the run. */
export type Axis = "step" | "time" | "relative";

/** The API answers at most so many curves, and so many points, in one request. */
const CURVES_MAX = 1_000;
const POINTS_MAX = 1_000_000;

export interface Curve {
  runId: string;
  name: string;
  column: string;
  /** `index`: no point has a step, so they are counted. */
  axis: "step" | "time" | "index";
  /** In order. Of buckets the middle. */
  x: Float64Array;
  /** Of buckets the mean. NaN where there is no number. */
  y: Float64Array;
  /** The least and the greatest value of each bucket; null where `y` is the points themselves. */
  low: Float64Array | null;
  high: Float64Array | null;
  /** The least x, which of buckets is not where `x` begins. */
  first: number | null;
  total: number;
  nanCount: number;
}

export interface CurveRange {
  from: number;
  to: number;
}

export interface CurveQuestion {
  runs: readonly string[];
  names: readonly string[];
  axis: Exclude<Axis, "relative">;
  range: CurveRange | null;
  /** Of each curve. */
  pointsMax: number;
}

export async function fetchCurves(workspace: string, question: CurveQuestion, signal?: AbortSignal): Promise<Curve[]> {
  const { runs, names, axis, range, pointsMax } = question;
  const per = Math.min(CURVES_MAX, Math.max(1, Math.floor(POINTS_MAX / pointsMax)));
  const namesPer = Math.max(1, Math.floor(per / Math.max(1, runs.length)));
  const path = apiPath("workspaces", workspace, "curves:query").replace("%3A", ":");
  const found: Curve[] = [];
  for (let first = 0; first < names.length; first += namesPer) {
    const body = {
      runs,
      names: names.slice(first, first + namesPer),
      x: axis,
      points_max: pointsMax,
      ...(range === null ? {} : { from: Math.floor(range.from), to: Math.ceil(range.to) + 1 }),
    };
    const answer = (await (await fetchAnswer(path, { method: "POST", body, signal })).json()) as CurvesAnswer;
    found.push(...answer.curves.map(curveOf));
  }
  return found;
}

function curveOf(answer: CurveAnswer): Curve {
  const about = {
    runId: answer.run_id,
    name: answer.name,
    column: answer.column,
    axis: answer.x,
    total: answer.total,
    nanCount: answer.nan_count,
  };
  if (answer.buckets) {
    const { x_first, x_last, mean, min, max, last } = answer.buckets;
    // Buckets that overlap are in order of where they begin; their middles need not be.
    const middles = Float64Array.from(x_first, (first, index) => (first + (x_last[index] ?? first)) / 2);
    const order = sortedOrder(middles);
    const pick = (column: readonly (number | string | null)[]): Float64Array => Float64Array.from(order, (index) => float(column[index] ?? null) ?? NaN);
    return { ...about, first: x_first[0] ?? null, x: Float64Array.from(order, (index) => middles[index]!), y: pick(mean.map((value, index) => value ?? last[index] ?? null)), low: pick(min), high: pick(max) };
  }
  const { x, values } = answer.points ?? { x: [], values: [] };
  return { ...about, first: x[0] ?? null, x: Float64Array.from(x), y: Float64Array.from(values, (value) => float(value) ?? NaN), low: null, high: null };
}

function sortedOrder(values: Float64Array): Uint32Array {
  const order = Uint32Array.from(values, (_, index) => index);
  for (let index = 1; index < values.length; index++) {
    if (values[index]! < values[index - 1]!) return order.sort((a, b) => values[a]! - values[b]! || a - b);
  }
  return order;
}

/** Points of series as they were recorded, texts and file names among them; of long ones the latest. */
export function fetchSeries(workspace: string, runId: string, name: string, pointsMax: number, signal?: AbortSignal): Promise<SeriesData[]> {
  return ask<SeriesData[]>(runPath(workspace, runId, "metrics"), { query: { name, points_max: pointsMax }, signal });
}

/** Which metrics a run has. */
export function fetchSeriesInfo(workspace: string, runId: string, signal?: AbortSignal): Promise<SeriesInfo[]> {
  return ask<SeriesInfo[]>(runPath(workspace, runId, "series"), { signal });
}
