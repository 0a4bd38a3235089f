/** Files and logs of a run. Contents come through `fetch`, as bytes: never as an address that a browser would open. */
import { ask, fetchAnswer } from "./http";
import { runPath } from "./runs";
import type { FileInfo, LogInfo } from "./types";

export function fetchFiles(workspace: string, runId: string, signal?: AbortSignal): Promise<FileInfo[]> {
  return ask<FileInfo[]>(runPath(workspace, runId, "artifacts"), { signal });
}

export function fetchLogs(workspace: string, runId: string, signal?: AbortSignal): Promise<LogInfo[]> {
  return ask<LogInfo[]>(runPath(workspace, runId, "logs"), { signal });
}

/** A file's content, or its first bytes. */
export async function fetchFile(workspace: string, runId: string, path: string, bytesMax: number | null, signal?: AbortSignal): Promise<Uint8Array> {
  const headers: Record<string, string> = bytesMax === null ? {} : { Range: `bytes=0-${bytesMax - 1}` };
  const answer = await fetchAnswer(runPath(workspace, runId, "artifacts", ...path.split("/")), { headers, signal });
  return new Uint8Array(await answer.arrayBuffer());
}

export interface LogPart {
  data: Uint8Array;
  /** Its run goes on writing it. */
  isLive: boolean;
}

/** Bytes of a log from a place on; none at its end. A log that was finished reads the same. */
export async function fetchLogPart(workspace: string, runId: string, path: string, from: number, bytesMax: number, signal?: AbortSignal): Promise<LogPart> {
  const answer = await fetchAnswer(runPath(workspace, runId, "logs", ...path.split("/")), { query: { from, max: bytesMax }, signal });
  return { data: new Uint8Array(await answer.arrayBuffer()), isLive: answer.headers.get("Runfold-Log") === "live" };
}

const FILE_OF_METRIC = /^aml:\/\/artifactId\/ExperimentRun\/dcid\.([^/]+)\/([^]+)$/;

/** The file that an image or chart metric names, and the run that has it. */
export function fileOfMetric(value: unknown): { runId: string; path: string } | null {
  const found = typeof value === "string" ? FILE_OF_METRIC.exec(value) : null;
  return found === null ? null : { runId: found[1]!, path: found[2]! };
}
