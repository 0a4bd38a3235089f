/** Which metrics a run has, how each is best seen, and how often each has grown since the page was opened. */
import { useEffect, useRef, useState } from "preact/hooks";
import { fetchSeriesInfo } from "../../../api/curves";
import type { MetricSummary, SeriesInfo } from "../../../api/types";
import { useQuery } from "../../../lib/useQuery";
import type { RunModel } from "../model";

export type SeriesLook = "curve" | "value" | "table" | "image" | "chart";

export interface RunSeries extends SeriesInfo {
  look: SeriesLook;
  columns: string[];
  /** Of a metric with one column. */
  summary: MetricSummary | undefined;
  /** Some of it are numbers. */
  hasNumbers: boolean;
}

/** Curves of a metric that grows all the time are asked for no more often than this. */
const GROWTH_MS = 300;

export function useRunSeries(model: RunModel) {
  const { data, error, reload } = useQuery(`series ${model.workspace} ${model.runId}`, (signal) => fetchSeriesInfo(model.workspace, model.runId, signal));
  const [versions, setVersions] = useState<ReadonlyMap<string, number>>(new Map());
  const known = useRef<readonly SeriesInfo[]>([]);
  known.current = data ?? [];

  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | null = null;
    let grown: Set<string> | "all" = new Set();
    let toldAt = 0;
    const tell = (): void => {
      timer = null;
      toldAt = performance.now();
      const names = grown === "all" ? known.current.map(({ name }) => name) : grown;
      grown = new Set();
      setVersions((before) => {
        const next = new Map(before);
        for (const name of names) next.set(name, (next.get(name) ?? 0) + 1);
        return next;
      });
    };
    const later = (): void => {
      timer ??= setTimeout(tell, Math.max(0, toldAt + GROWTH_MS - performance.now()));
    };
    const stop = model.listen({
      metrics: (changed, isComplete) => {
        const names = Object.keys(changed).map((key) => seriesOf(key, changed[key]!, known.current));
        if (!isComplete) grown = "all";
        else if (grown !== "all") for (const name of names) if (name !== null) grown.add(name);
        if (!isComplete || names.includes(null)) reload();
        later();
      },
      resync: () => {
        grown = "all";
        reload();
        later();
      },
    });
    return () => {
      stop();
      if (timer !== null) clearTimeout(timer);
    };
  }, [model, reload]);

  const summaries = model.metrics.value;
  return { series: data?.map((info) => describe(info, summaries)), versions, error, reload };
}

/** Rows and tables have a summary for each column. Null: not known yet. */
function seriesOf(key: string, summary: MetricSummary, known: readonly SeriesInfo[]): string | null {
  const isTable = summary.kind === "row" || summary.kind === "table";
  return known.find(({ name, columns }) => (isTable ? columns?.some((column) => key === `${name}.${column}`) : name === key))?.name ?? null;
}

function describe(info: SeriesInfo, summaries: Record<string, MetricSummary>): RunSeries {
  const isTable = info.kind === "row" || info.kind === "table";
  const columns = info.columns ?? [];
  const of = isTable ? columns.map((column) => summaries[`${info.name}.${column}`]) : [summaries[info.name]];
  const hasNumbers = of.some((summary) => summary !== undefined && (summary.min !== undefined && summary.min !== null || (summary.nan_count ?? 0) > 0));
  const count = Math.max(info.count, ...of.map((summary) => summary?.count ?? 0));
  return { ...info, count, columns, summary: isTable ? undefined : of[0], hasNumbers, look: lookOf(info.kind, count, hasNumbers) };
}

function lookOf(kind: string, count: number, hasNumbers: boolean): SeriesLook {
  if (kind === "image" || kind === "chart") return kind;
  if (kind === "row" || kind === "table") return "table";
  if (count === 1) return "value";
  return hasNumbers ? "curve" : "table";
}
