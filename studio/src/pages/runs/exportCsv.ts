/** All runs of a list as CSV, page by page. */
import { queryRuns } from "../../api/runs";
import type { RunQueryBody } from "../../api/types";
import { milliseconds } from "../../lib/time";
import { saveText } from "../../lib/save";
import { valueOf, type Column } from "./columns";
import type { RunView } from "../../api/types";

const PAGE_ROWS = 1_000;
/** What a spreadsheet would take for a formula. */
const FORMULA = /^[=+\-@\t\r]/;

export async function exportCsv(workspace: string, query: RunQueryBody, columns: readonly Column[], signal: AbortSignal, onProgress: (rows: number) => void): Promise<number> {
  const head = ["run_id", ...columns.map((column) => (column.field === "name" ? "name" : column.field))];
  const lines = [head.map(cell).join(",")];
  let page: string | null = null;
  do {
    const answer = await queryRuns(workspace, { ...query, limit: PAGE_ROWS, ...(page === null ? {} : { page }) }, signal);
    for (const run of answer.rows) lines.push([run.run_id, ...columns.map((column) => plain(run, column))].map(cell).join(","));
    page = answer.next;
    onProgress(lines.length - 1);
  } while (page !== null);
  saveText("runs.csv", lines.join("\r\n") + "\r\n");
  return lines.length - 1;
}

function plain(run: RunView, column: Column): unknown {
  if (column.field === "name") return run.display_name ?? run.name ?? "";
  if (column.field === "duration_s") {
    return run.started_at === null || run.ended_at === null ? "" : (milliseconds(run.ended_at) - milliseconds(run.started_at)) / 1_000;
  }
  const value = valueOf(run, column);
  return typeof value === "object" && value !== null ? JSON.stringify(value) : value;
}

export function cell(value: unknown): string {
  if (value === null || value === undefined) return "";
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  let text = String(value);
  if (FORMULA.test(text) && Number.isNaN(Number(text))) text = `'${text}`;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
