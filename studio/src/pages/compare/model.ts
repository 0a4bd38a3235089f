/** The runs that are compared, and what of them can be set side by side. */
import type { MetricSummary, RunView } from "../../api/types";
import { float } from "../../lib/numbers";

export const RUNS_MAX = 200;

export type Value = string | number | boolean | null | undefined;

/** Something that each run has a value of, or has not. */
export interface Fact {
  key: string;
  group: "Parameters" | "Metrics" | "Tags" | "Properties" | "Run";
  name: string;
  values: readonly Value[];
  isNumber: boolean;
  /** Not the same for all. */
  differs: boolean;
}

export type MetricPick = "latest" | "min" | "max";

/** What can be an axis: a parameter, a metric's latest value or the duration, where a run has it. */
export function drawableFacts(runs: readonly RunView[]): Fact[] {
  return factsOf(runs, "latest").filter(isDrawable);
}

/** Those that more runs have first; a fact that half of them lack leaves half of the drawing empty. */
export function byCoverage(facts: readonly Fact[]): Fact[] {
  return [...facts].sort((a, b) => coverage(b) - coverage(a));
}

function coverage({ values }: Fact): number {
  return values.filter((value) => value !== undefined && value !== null).length;
}

function isDrawable(fact: Fact): boolean {
  const isUseful = fact.group === "Parameters" || fact.group === "Metrics" || fact.key === "duration_s";
  return isUseful && fact.values.some((value) => value !== undefined && value !== null);
}

export function factsOf(runs: readonly RunView[], pick: MetricPick): Fact[] {
  return [
    ...group(runs, "Parameters", "params", (run) => run.params),
    ...group(runs, "Metrics", "metrics", (run) => mapped(run.metrics, (summary) => metricValue(summary, pick))),
    fact("Run", "duration_s", "Duration in s", runs.map(durationOf)),
    fact("Run", "status", "Status", runs.map((run) => run.status)),
    ...group(runs, "Tags", "tags", (run) => run.tags),
    ...group(runs, "Properties", "properties", (run) => run.properties),
  ];
}

function group(runs: readonly RunView[], title: Fact["group"], prefix: string, of: (run: RunView) => Record<string, Value>): Fact[] {
  const each = runs.map(of);
  const names = [...new Set(each.flatMap((values) => Object.keys(values)))].sort((a, b) => a.localeCompare(b, undefined, { numeric: true }));
  return names.map((name) => fact(title, `${prefix}.${name}`, name, each.map((values) => (Object.hasOwn(values, name) ? values[name] : undefined))));
}

function fact(title: Fact["group"], key: string, name: string, values: readonly Value[]): Fact {
  const given = values.filter((value) => value !== undefined && value !== null);
  return {
    key,
    group: title,
    name,
    values,
    isNumber: given.length > 0 && given.every((value) => typeof value === "number"),
    differs: new Set(values.map((value) => (typeof value === "number" ? String(value) : JSON.stringify(value)))).size > 1,
  };
}

function metricValue(summary: MetricSummary, pick: MetricPick): Value {
  const value = pick === "latest" ? summary.latest : (summary[pick] ?? summary.latest);
  const isFile = summary.kind === "image" || summary.kind === "chart";
  if (isFile) return undefined;
  return typeof value === "string" ? (float(value) ?? value) : value;
}

function durationOf(run: RunView): number | undefined {
  if (run.started_at === null || run.ended_at === null) return undefined;
  return (Date.parse(run.ended_at) - Date.parse(run.started_at)) / 1_000;
}

function mapped<T>(values: Record<string, T>, of: (value: T) => Value): Record<string, Value> {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, of(value)]));
}

/** Metrics of which at least one run has a curve. */
export function curveNames(runs: readonly RunView[]): string[] {
  const found = new Set<string>();
  for (const run of runs) {
    for (const [name, summary] of Object.entries(run.metrics)) {
      const isPlain = summary.kind === undefined || summary.kind === "scalar" || summary.kind === "list";
      if (isPlain && summary.min !== null && summary.min !== undefined) found.add(name);
    }
  }
  return [...found].sort((a, b) => a.localeCompare(b, undefined, { numeric: true }));
}
