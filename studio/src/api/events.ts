/** Recorded events of a run: what its history was made from, as the ledger keeps it. */
import { ask } from "./http";
import { runPath } from "./runs";
import type { EventOut, RunEvents } from "./types";

/** The event of that number in the run. */
export async function fetchEvent(workspace: string, runId: string, seq: number, signal?: AbortSignal): Promise<EventOut> {
  const { events } = await fetchEvents(workspace, runId, seq, 1, signal);
  if (events[0]?.stream_seq !== seq) throw new Error(`The ledger answered no event ${seq} of this run.`);
  return events[0];
}

export function fetchEvents(workspace: string, runId: string, fromSeq: number, limit: number, signal?: AbortSignal): Promise<RunEvents> {
  return ask<RunEvents>(runPath(workspace, runId, "events"), { query: { from_seq: fromSeq, limit }, signal });
}
