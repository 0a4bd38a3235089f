/** How curves are looked at, as the address says it: `x`, `smooth`, `log`, and `from`, `to` of what is zoomed to. */
import type { Axis } from "../api/curves";
import { query, setQuery } from "../lib/router";
import { remember, remembered } from "../lib/storage";
import type { Range } from "./scales";

export interface ChartChoices {
  axis: Axis;
  /** 0 to below 1. */
  smoothing: number;
  isLog: boolean;
  range: Range | null;
}

export const SMOOTHING_MAX = 0.99;

export function chartChoices(): ChartChoices {
  const values = query.value;
  const axis = values.get("x");
  const smoothing = values.get("smooth");
  const from = Number(values.get("from") ?? NaN);
  const to = Number(values.get("to") ?? NaN);
  return {
    axis: axis === "time" || axis === "relative" ? axis : "step",
    smoothing: clamped(smoothing === null ? remembered("smoothing", 0) : Number(smoothing)),
    isLog: values.get("log") === "1",
    range: Number.isFinite(from) && Number.isFinite(to) && from < to ? { from, to } : null,
  };
}

/** Another axis has another range. */
export function setAxis(axis: Axis): void {
  setQuery({ x: axis === "step" ? null : axis, from: null, to: null });
}

export function setSmoothing(smoothing: number): void {
  remember("smoothing", clamped(smoothing));
  setQuery({ smooth: String(clamped(smoothing)) });
}

export function setLog(isLog: boolean): void {
  setQuery({ log: isLog });
}

export function zoom(range: Range | null): void {
  setQuery(range === null ? { from: null, to: null } : { from: exact(range.from), to: exact(range.to) });
}

function exact(value: number): string {
  return String(Number(value.toPrecision(15)));
}

function clamped(smoothing: number): number {
  return Number.isFinite(smoothing) ? Math.min(SMOOTHING_MAX, Math.max(0, smoothing)) : 0;
}
