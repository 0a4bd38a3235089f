/**
 * Files of charts as Azure ML's SDK writes them: `{"schema_type", "schema_version", "data"}`. Nobody has checked what is
 * in them, so what does not have the form of its type is shown as the text that it is.
 */

export interface Matrix {
  type: "confusion_matrix";
  words: string;
  labels: string[];
  matrix: number[][];
}

export interface ResidualBins {
  type: "residuals";
  words: string;
  edges: number[];
  counts: number[];
}

export interface PredictionBins {
  type: "predictions";
  words: string;
  averages: number[];
  errors: number[];
  counts: number[];
  edges: number[];
}

/** For each class, true and false positives and negatives at each threshold. */
export interface AccuracyTables {
  type: "accuracy_table";
  words: string;
  labels: string[];
  tables: Counts[][];
}

export type Counts = readonly [tp: number, fp: number, tn: number, fn: number];

export interface OtherChart {
  type: "other";
  words: string;
  text: string;
}

export type Chart = Matrix | ResidualBins | PredictionBins | AccuracyTables | OtherChart;

const TEXT_CHARS_SHOWN = 20_000;

export function chartOf(text: string): Chart {
  let file: unknown;
  try {
    file = JSON.parse(text.replace(/\bNaN\b|-?\bInfinity\b/g, "null"));
  } catch {
    return { type: "other", words: "Not JSON", text: text.slice(0, TEXT_CHARS_SHOWN) };
  }
  const { schema_type: type, data } = record(file);
  const fields = record(data);
  const found = READERS[String(type)]?.(fields);
  if (found) return found;
  return { type: "other", words: typeof type === "string" ? type.replaceAll("_", " ") : "Unknown chart", text: JSON.stringify(file, null, 2).slice(0, TEXT_CHARS_SHOWN) };
}

const READERS: Record<string, (data: Record<string, unknown>) => Chart | null> = {
  confusion_matrix(data) {
    const labels = texts(data["class_labels"]);
    const matrix = list(data["matrix"]).map(numbers);
    const isSquare = labels.length > 0 && matrix.length === labels.length && matrix.every((row) => row.length === labels.length);
    return isSquare ? { type: "confusion_matrix", words: "Confusion matrix", labels, matrix } : null;
  },
  residuals(data) {
    const edges = numbers(data["bin_edges"]);
    const counts = numbers(data["bin_counts"]);
    return counts.length > 0 && edges.length === counts.length + 1 ? { type: "residuals", words: "Residuals", edges, counts } : null;
  },
  predictions(data) {
    const [averages, errors, counts, edges] = ["bin_averages", "bin_errors", "bin_counts", "bin_edges"].map((key) => numbers(data[key])) as [number[], number[], number[], number[]];
    const isWhole = averages.length > 0 && errors.length === averages.length && counts.length === averages.length && edges.length === averages.length + 1;
    return isWhole ? { type: "predictions", words: "Predictions", averages, errors, counts, edges } : null;
  },
  accuracy_table(data) {
    const labels = texts(data["class_labels"]);
    const given = list(data["probability_tables"]).length > 0 ? data["probability_tables"] : data["percentile_tables"];
    const tables = list(given).map((table) => list(table).map((row) => numbers(row)));
    const isWhole = tables.length > 0 && tables.length === labels.length && tables.every((table) => table.length > 0 && table.every((row) => row.length === 4));
    return isWhole ? { type: "accuracy_table", words: "Accuracy table", labels, tables: tables as unknown as Counts[][] } : null;
  },
};

function record(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
}

function list(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

function numbers(value: unknown): number[] {
  return list(value).map((item) => (typeof item === "number" ? item : NaN));
}

function texts(value: unknown): string[] {
  return list(value).map(String);
}
