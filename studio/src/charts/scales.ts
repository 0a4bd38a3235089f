/** How charts of curves lay out their axes. */
import { duration } from "../lib/time";

export type XKind = "step" | "time" | "relative" | "index";

export const X_WORDS: Record<XKind, string> = { step: "Step", time: "Time", relative: "Time since the first point", index: "Point" };

export interface Range {
  from: number;
  to: number;
}

export interface Extent {
  x: Float64Array;
  y: Float64Array;
  low?: Float64Array | null;
  high?: Float64Array | null;
}

/** From the least to the greatest x of all; null of none. */
export function xExtent(lines: readonly Extent[]): Range | null {
  let from = Infinity;
  let to = -Infinity;
  for (const { x } of lines) {
    if (x.length === 0) continue;
    from = Math.min(from, x[0]!);
    to = Math.max(to, x[x.length - 1]!);
  }
  return from <= to ? { from, to } : null;
}

/** Of what is drawn, above it and below it. */
const ROOM = 0.06;

/** The y that must be seen of what lies within a range of x, with a little room; on a logarithmic scale in whole decades' reach. */
export function yRange(lines: readonly Extent[], within: Range | null, isLog: boolean): [number, number] {
  let least = Infinity;
  let greatest = -Infinity;
  const take = (value: number): void => {
    if (!Number.isFinite(value) || (isLog && value <= 0)) return;
    if (value < least) least = value;
    if (value > greatest) greatest = value;
  };
  for (const { x, y, low, high } of lines) {
    for (let index = 0; index < x.length; index++) {
      if (within !== null && (x[index]! < within.from || x[index]! > within.to)) continue;
      take(y[index]!);
      if (low) take(low[index]!);
      if (high) take(high[index]!);
    }
  }
  if (least > greatest) return isLog ? [0.1, 10] : [0, 1];
  if (isLog) {
    const room = least === greatest ? 2 : (greatest / least) ** ROOM;
    return [least / room, greatest * room];
  }
  const room = least === greatest ? Math.abs(least) * 0.1 || 1 : (greatest - least) * ROOM;
  return [least - room, greatest + room];
}

const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const CLOCK_S = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const DAY = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric" });
const STEPS = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 2 });

/** What stands at the ticks of an x axis that are `apart` from each other. */
export function xTick(kind: XKind, value: number, apart: number): string {
  if (kind === "relative") return value === 0 ? "0" : duration(value);
  if (kind === "time") return (apart >= 86_400_000 ? DAY : apart >= 60_000 ? CLOCK : CLOCK_S).format(new Date(value));
  return Math.abs(value) >= 10_000 ? STEPS.format(value) : String(value);
}

const WHOLE = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const MOMENT = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit" });

/** An x as it is told in words. */
export function xWords(kind: XKind, value: number): string {
  if (kind === "relative") return `+${duration(value)}`;
  if (kind === "time") return MOMENT.format(new Date(value));
  return `${kind === "step" ? "Step" : "Point"} ${WHOLE.format(value)}`;
}
