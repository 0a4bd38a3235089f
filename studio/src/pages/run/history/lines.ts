/** What the list shows: entries of the history, and between them the batches of metrics that it does not hold. */
import type { HistoryEntry } from "../../../api/types";

export type Line = { entry: HistoryEntry } | { firstSeq: number; lastSeq: number };

/** Newest first. A run's events are numbered without a gap: a number that the history leaves out is a batch of metrics. */
export function withBatches(entries: readonly HistoryEntry[]): Line[] {
  const lines: Line[] = [];
  let next = 1;
  for (const entry of entries) {
    if (entry.stream_seq > next) lines.push({ firstSeq: next, lastSeq: entry.stream_seq - 1 });
    lines.push({ entry });
    next = entry.stream_seq + 1;
  }
  return lines.reverse();
}
