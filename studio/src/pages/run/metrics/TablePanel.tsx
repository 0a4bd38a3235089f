/** Rows, tables, and what is no number: as a table, or its numbers as curves. */
import { useEffect, useState } from "preact/hooks";
import { fetchSeries } from "../../../api/curves";
import type { SeriesData } from "../../../api/types";
import type { CurveSource } from "../../../charts/source";
import type { ChartChoices } from "../../../charts/view";
import { count, float, aligned } from "../../../lib/numbers";
import { useQuery } from "../../../lib/useQuery";
import { Failure, Skeleton, Time } from "../../../ui/basics";
import { Curves } from "./CurvePanel";
import { MetricPanel } from "./MetricPanel";
import type { RunSeries } from "./series";

const ROWS = 500;

interface TablePanelProps {
  series: RunSeries;
  source: CurveSource;
  choices: ChartChoices;
  version: number;
  workspace: string;
  runId: string;
}

export function TablePanel(props: TablePanelProps) {
  const { series, source, choices, version } = props;
  const [isCurve, showCurve] = useState(false);
  const mayBeCurve = series.hasNumbers && series.count > 1;
  const tools = mayBeCurve && (
    <div class="segments" role="group" aria-label={`How to show ${series.name}`}>
      <button type="button" aria-pressed={!isCurve} onClick={() => showCurve(false)}>Table</button>
      <button type="button" aria-pressed={isCurve} onClick={() => showCurve(true)}>Curves</button>
    </div>
  );
  return (
    <MetricPanel name={series.name} note={<span class="faint number">{count(series.count)} {series.count === 1 ? "row" : "rows"}</span>} tools={tools}>
      {(isLarge) => (isCurve && mayBeCurve ? <Curves series={series} source={source} choices={choices} version={version} isLarge={isLarge} /> : <Rows {...props} isLarge={isLarge} />)}
    </MetricPanel>
  );
}

function Rows({ series, workspace, runId, version, isLarge }: TablePanelProps & { isLarge: boolean }) {
  const { data, error, reload } = useQuery(`rows ${workspace} ${runId} ${series.name}`, (signal) => fetchSeries(workspace, runId, series.name, ROWS, signal));
  useEffect(() => {
    if (version > 0) reload();
  }, [version, reload]);
  const [found] = data ?? [];
  if (found === undefined) return error === undefined ? <Skeleton lines={4} /> : <Failure error={error} retry={reload} />;
  return <SeriesTable data={found} total={series.count} isLarge={isLarge} />;
}

function SeriesTable({ data, total, isLarge }: { data: SeriesData; total: number; isLarge: boolean }) {
  const columns = Object.keys(data.columns);
  const hasSteps = data.steps.some((step) => step !== null);
  const isTable = data.kind === "table" || data.kind === "list";
  const words = new Map(columns.map((column) => [column, aligned(plainValues(data.columns[column] ?? []))]));
  const isNumber = new Map(columns.map((column) => [column, (data.columns[column] ?? []).every((value) => value === null || typeof value === "number" || float(value as string) !== null)]));
  return (
    <>
      <div class={`metric-table ${isLarge ? "is-large" : ""}`} tabIndex={0} role="region" aria-label={`Rows of ${data.name}`}>
        <table class="table table-tight">
          <thead>
            <tr>
              {hasSteps && <th scope="col" class="is-number">Step</th>}
              {!isTable && <th scope="col">Time</th>}
              {columns.map((column) => (
                <th key={column} scope="col" class={isNumber.get(column) ? "is-number" : undefined}>{column}</th>
              ))}
            </tr>
          </thead>
          <tbody>
            {data.times_ms.map((time, row) => (
              <tr key={row}>
                {hasSteps && <td class="is-number muted">{data.steps[row]}</td>}
                {!isTable && <td class="muted"><Time at={time} exact /></td>}
                {columns.map((column) => (
                  <td key={column} class={isNumber.get(column) ? "is-number" : undefined}>{cell(data.columns[column]?.[row], words.get(column) ?? String)}</td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {data.times_ms.length < total && <p class="chart-foot">The latest {count(data.times_ms.length)} of {count(total)} rows</p>}
    </>
  );
}

function cell(value: unknown, words: (value: unknown) => string): string {
  if (typeof value === "object" && value !== null) return JSON.stringify(value);
  return words(plain(value));
}

function plain(value: unknown): unknown {
  return typeof value === "string" ? (float(value) ?? value) : value;
}

function plainValues(values: readonly unknown[]): unknown[] {
  return values.map(plain);
}
