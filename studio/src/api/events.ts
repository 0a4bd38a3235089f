/** Recorded events of a run: what its history was made from, as the ledger keeps it. */
import { fetchAnswer } from "./http";
import { runPath } from "./runs";
import type { EventOut, RunEvents } from "./types";

export interface StoredEvent {
  event: EventOut;
  /** As it was answered: its body stands in it byte for byte. */
  text: string;
}

/** The event of that number in the run. */
export async function fetchEvent(workspace: string, runId: string, seq: number, signal?: AbortSignal): Promise<StoredEvent> {
  const answer = await fetchAnswer(runPath(workspace, runId, "events"), { query: { from_seq: seq, limit: 1 }, signal });
  const page = await answer.text();
  const [event] = (JSON.parse(page) as RunEvents).events;
  if (event?.stream_seq !== seq) throw new Error(`The ledger answered no event ${seq} of this run.`);
  // What precedes the list is a number or null, and nothing but a brace follows it.
  return { event, text: page.slice(page.indexOf("[") + 1, page.lastIndexOf("]")) };
}
