/** Questions and commands about runs. */
import { apiPath, ask, write, type Query } from "./http";
import type { ChildCounts, CountAnswer, Page, RunQueryBody, RunView, WriteAnswer } from "./types";

export function runPath(workspace: string, runId: string, ...rest: readonly string[]): string {
  return apiPath("workspaces", workspace, "runs", runId, ...rest);
}

export function fetchRun(workspace: string, runId: string, signal?: AbortSignal): Promise<RunView> {
  return ask<RunView>(runPath(workspace, runId), { signal });
}

/** A page of runs. By POST, since filters may be longer than an address. */
export function queryRuns(workspace: string, query: RunQueryBody, signal?: AbortSignal): Promise<Page> {
  return ask<Page>(apiPath("workspaces", workspace, "runs:query").replace("%3A", ":"), { method: "POST", body: query, signal });
}

/** In the order asked for; what does not exist is left out. Of `fields`, where given, alone. */
export async function fetchRuns(workspace: string, ids: readonly string[], signal: AbortSignal, fields?: string[]): Promise<RunView[]> {
  if (ids.length === 0) return [];
  const filter = `run_id in (${ids.map((id) => JSON.stringify(id)).join(", ")})`;
  const { rows } = await queryRuns(workspace, { filter, include_children: true, include_archived: true, limit: ids.length, ...(fields && { fields }) }, signal);
  const found = new Map(rows.map((run) => [run.run_id, run]));
  return ids.flatMap((id) => found.get(id) ?? []);
}

export async function countRuns(workspace: string, query: RunQueryBody, signal?: AbortSignal): Promise<number> {
  const path = apiPath("workspaces", workspace, "runs:count").replace("%3A", ":");
  return (await ask<CountAnswer>(path, { method: "POST", body: query, signal })).count;
}

export function fetchChildren(workspace: string, runId: string, query: Query, signal?: AbortSignal): Promise<Page> {
  return ask<Page>(runPath(workspace, runId, "children"), { query, signal });
}

export function fetchChildCounts(workspace: string, runId: string, signal?: AbortSignal): Promise<ChildCounts> {
  return ask<ChildCounts>(runPath(workspace, runId, "children", "counts"), { signal });
}

export function cancelRun(workspace: string, runId: string, reason?: string): Promise<WriteAnswer> {
  return write<WriteAnswer>(runPath(workspace, runId, "cancel"), "POST", reason ? { reason } : {});
}

export function updateRun(workspace: string, runId: string, change: { display_name?: string | null; description?: string | null; archived?: boolean }): Promise<WriteAnswer> {
  return write<WriteAnswer>(runPath(workspace, runId), "PATCH", change);
}

export function changeTags(workspace: string, runId: string, change: { set?: Record<string, string | null>; remove?: string[] }): Promise<WriteAnswer> {
  return write<WriteAnswer>(runPath(workspace, runId, "tags"), "PATCH", change);
}

const ID_CHARS_SHOWN = 22;

/** A child's name begins with its parent's id where the SDK makes it. */
const MADE_FOR_CHILDREN = /^run_[\w.-]+>/;

/** A long id by its ends, which are what tells one from another. */
export function shortId(runId: string): string {
  return runId.length <= ID_CHARS_SHOWN ? runId : `${runId.slice(0, 8)}…${runId.slice(-10)}`;
}

/** What a run is called: by people, else by its program, else by its id. */
export function runName(run: Pick<RunView, "display_name" | "name" | "run_id">): string {
  if (run.display_name) return run.display_name;
  const name = run.name?.replace(MADE_FOR_CHILDREN, "") ?? "";
  const isMade = name === "" || name === run.run_id || name === `run_${run.run_id}`;
  return isMade ? shortId(run.run_id) : name;
}
