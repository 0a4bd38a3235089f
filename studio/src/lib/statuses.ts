/** The fifteen statuses: in which order they stand, and what follows from one. docs/statuses.md says what they mean. */
import type { Status } from "../api/types";

export const STATUSES: readonly Status[] = [
  "Running",
  "NotResponding",
  "CancelRequested",
  "Finalizing",
  "Starting",
  "Provisioning",
  "Preparing",
  "Queued",
  "NotStarted",
  "Unapproved",
  "Pausing",
  "Paused",
  "Failed",
  "Canceled",
  "Completed",
];

export const MEANINGS: Record<Status, string> = {
  NotStarted: "The record exists; nothing happened yet",
  Unapproved: "Waits for somebody's approval",
  Pausing: "Is about to pause",
  Paused: "Pauses",
  Starting: "Waits for an agent, or an agent has taken it",
  Provisioning: "Compute is being created",
  Preparing: "The environment is being built",
  Queued: "Waits for compute",
  Running: "The user's code runs",
  NotResponding: "The process that holds it has fallen silent",
  CancelRequested: "Somebody asked for the end; the holder has not ended it yet",
  Finalizing: "The user's code ended; files are being stored",
  Canceled: "Ended: canceled",
  Completed: "Ended: well",
  Failed: "Ended: with an error",
};

export const ENDED: ReadonlySet<Status> = new Set<Status>(["Canceled", "Completed", "Failed"]);

/** "CancelRequested" as words: "Cancel requested". */
export function statusWords(status: Status): string {
  return status.replace(/(?<=[a-z])[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
}
