/** Columns of the table: an attribute of runs, or one of their tags, parameters, metrics or properties. */
import type { RunView } from "../../api/types";
import { float } from "../../lib/numbers";

export type Kind = "attribute" | "tags" | "params" | "metrics" | "properties";

export interface Column {
  /** The field as the filter language spells it; also what stands in the address. */
  field: string;
  kind: Kind;
  /** Of an attribute its name, else the key. */
  key: string;
  /** Which value of a metric. */
  aggregate: "latest" | "min" | "max";
  label: string;
  width: number;
  isNumber: boolean;
}

interface Known {
  label: string;
  width: number;
  isNumber?: boolean;
}

/** What every run has. Some stand for more than one field, and are sorted by the one that is named. */
const ATTRIBUTES: Record<string, Known> = {
  name: { label: "Run", width: 240 },
  status: { label: "Status", width: 138 },
  experiment: { label: "Experiment", width: 150 },
  number: { label: "Number", width: 80, isNumber: true },
  duration_s: { label: "Duration", width: 92, isNumber: true },
  created_at: { label: "Created", width: 126 },
  started_at: { label: "Started", width: 126 },
  ended_at: { label: "Ended", width: 126 },
  updated_at: { label: "Changed", width: 126 },
  created_by: { label: "By", width: 110 },
  tags: { label: "Tags", width: 240 },
  description: { label: "Description", width: 260 },
  run_id: { label: "Run id", width: 290 },
  parent_run_id: { label: "Parent", width: 290 },
  target: { label: "Target", width: 110 },
  run_type: { label: "Type", width: 110 },
  rejections: { label: "Refusals", width: 88, isNumber: true },
};

export const ATTRIBUTE_FIELDS: readonly string[] = Object.keys(ATTRIBUTES);
/** The column that is always there, and first: it opens the run. */
export const NAME = "name";
/** Of these there is no order. */
const UNSORTED: ReadonlySet<string> = new Set(["tags"]);
const PLAIN_KEY = /^[A-Za-z0-9_/-]+(\.[A-Za-z0-9_/-]+)*$/;
const AGGREGATE = /\.(latest|min|max|count)$/;

/** The field of a key, as the filter language spells it. */
export function fieldOf(kind: Exclude<Kind, "attribute">, key: string, aggregate: Column["aggregate"] = "latest"): string {
  const isPlain = PLAIN_KEY.test(key) && !(kind === "metrics" && AGGREGATE.test(key));
  const spelled = isPlain ? key : `"${key.replaceAll('"', '""')}"`;
  return `${kind}.${spelled}${aggregate === "latest" ? "" : `.${aggregate}`}`;
}

/** The column that a field names; null for a text that names none. */
export function columnOf(field: string): Column | null {
  const known = ATTRIBUTES[field];
  if (known !== undefined) {
    return { field, kind: "attribute", key: field, aggregate: "latest", label: known.label, width: known.width, isNumber: known.isNumber ?? false };
  }
  const parts = /^(tags|params|metrics|properties)\.(?:"((?:[^"]|"")+)"|(.+?))(?:\.(latest|min|max))?$/s.exec(field);
  if (parts === null) return null;
  const kind = parts[1] as Exclude<Kind, "attribute">;
  let key = parts[2]?.replaceAll('""', '"') ?? parts[3] ?? "";
  let aggregate = parts[4] as Column["aggregate"] | undefined;
  if (aggregate !== undefined && kind !== "metrics") {
    key += `.${aggregate}`;
    aggregate = undefined;
  }
  const label = aggregate === undefined || aggregate === "latest" ? key : `${key} (${aggregate})`;
  return { field, kind, key, aggregate: aggregate ?? "latest", label, width: Math.min(190, Math.max(kind === "metrics" ? 104 : 92, 34 + label.length * 7.4)), isNumber: kind === "metrics" || kind === "params" };
}

const KIND_WORDS: Record<Kind, string> = { attribute: "", tags: "tag", params: "parameter", metrics: "metric", properties: "property" };

/** The columns with labels that tell them apart: a parameter and a metric may have one name. */
export function distinct(columns: readonly Column[]): Column[] {
  const counts = new Map<string, number>();
  for (const { label } of columns) counts.set(label, (counts.get(label) ?? 0) + 1);
  return columns.map((column) => (counts.get(column.label) === 1 || column.kind === "attribute" ? column : { ...column, label: `${column.label} (${KIND_WORDS[column.kind]})`, width: column.width + 62 }));
}

/** Parameters may be texts: then they stand as texts do. */
export function typed(columns: readonly Column[], sample: readonly RunView[]): Column[] {
  const isText = (key: string): boolean => sample.some(({ params }) => typeof params[key] === "string" && float(params[key]) === null);
  return columns.map((column) => (column.kind === "params" && isText(column.key) ? { ...column, isNumber: false } : column));
}

export function isSortable(column: Column): boolean {
  return !UNSORTED.has(column.field);
}

/** What the list sorts by: people see the name that was given, so that is what counts. */
export function sortField(column: Column): string {
  return column.field === NAME ? "display_name" : column.field;
}

/** The fields that have to be loaded for these columns; what every run has comes anyway. */
export function fieldsOf(columns: readonly Column[]): string[] {
  const fields = columns.filter((column) => column.kind !== "attribute").map((column) => (column.kind === "metrics" ? fieldOf("metrics", column.key) : column.field));
  const heavy = columns.filter((column) => column.field === "tags" || column.field === "description").map((column) => column.field);
  return [...new Set(["status", ...heavy, ...fields])];
}

/** The value of a run in a column, as the API has it. */
export function valueOf(run: RunView, column: Column): unknown {
  switch (column.kind) {
    case "attribute":
      return (run as unknown as Record<string, unknown>)[column.key];
    case "metrics": {
      const summary = run.metrics[column.key];
      return summary?.[column.aggregate];
    }
    default:
      return run[column.kind][column.key];
  }
}

const PARAMS_SHOWN = 4;
const METRICS_SHOWN = 4;

/** What is worth a column where nobody has chosen: parameters that differ, and metrics. */
export function suggested(sample: readonly RunView[], isOneExperiment: boolean): string[] {
  const values = new Map<string, Set<unknown>>();
  for (const run of sample) for (const [key, value] of Object.entries(run.params)) (values.get(key) ?? values.set(key, new Set()).get(key)!).add(value);
  const params = [...values].sort(([, a], [, b]) => Math.sign(b.size - 1) - Math.sign(a.size - 1) || 0).map(([key]) => key);
  const counts = new Map<string, number>();
  for (const run of sample) {
    for (const [key, summary] of Object.entries(run.metrics)) if (typeof summary.latest === "number" && !key.startsWith("system/")) counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  const metrics = [...counts].sort(([, a], [, b]) => b - a).map(([key]) => key);
  return [
    NAME,
    "status",
    "duration_s",
    "created_at",
    ...(isOneExperiment ? [] : ["experiment"]),
    ...metrics.slice(0, METRICS_SHOWN).map((key) => fieldOf("metrics", key)),
    ...params.slice(0, PARAMS_SHOWN).map((key) => fieldOf("params", key)),
    ...(sample.some((run) => Object.keys(run.tags).length > 0) ? ["tags"] : []),
    "created_by",
  ];
}

export const PLAIN_COLUMNS: readonly string[] = [NAME, "status", "duration_s", "created_at", "experiment", "tags", "created_by"];

/** Every field that runs of a sample have, by kind. */
export function available(sample: readonly RunView[]): Record<Exclude<Kind, "attribute">, string[]> {
  const found = { tags: new Set<string>(), params: new Set<string>(), metrics: new Set<string>(), properties: new Set<string>() };
  for (const run of sample) {
    for (const kind of ["tags", "params", "metrics", "properties"] as const) for (const key of Object.keys(run[kind])) found[kind].add(key);
  }
  const sorted = (keys: Set<string>): string[] => [...keys].sort((a, b) => a.localeCompare(b));
  return { tags: sorted(found.tags), params: sorted(found.params), metrics: sorted(found.metrics), properties: sorted(found.properties) };
}
