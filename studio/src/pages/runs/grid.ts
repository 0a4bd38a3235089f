/** The rows of the table in order: runs, and where they are grouped the heads of groups. */
import { signal } from "@preact/signals";
import { apiPath, ask, isAbort } from "../../api/http";
import type { MetricSummary, RunGroups, RunQueryBody, RunView, Status } from "../../api/types";
import { RunList } from "./list";
import { both, isValue } from "./search";

export interface GroupHead {
  value: string | null;
  count: number;
  runs: Record<string, number>;
}

interface Segment {
  head: GroupHead | null;
  list: RunList | null;
}

export type Item = { kind: "run"; run: RunView } | { kind: "group"; head: GroupHead; isOpen: boolean } | { kind: "wait" };

/** What the table shows of one question. Without `by` it is one list, else one for each group that is open. */
export class RunTable {
  readonly segments = signal<readonly Segment[]>([]);
  readonly groupsError = signal<unknown>(undefined);
  readonly isLoaded = signal(false);
  readonly isComplete = signal(true);
  private request: AbortController | null = null;

  constructor(
    readonly workspace: string,
    readonly query: RunQueryBody,
    readonly by: string | null,
  ) {}

  async load(): Promise<void> {
    if (this.by === null) {
      const list = new RunList(this.workspace, this.query);
      this.segments.value = [{ head: null, list }];
      await list.load();
      this.isLoaded.value = list.isLoaded.value;
    } else await this.loadGroups();
  }

  private async loadGroups(): Promise<void> {
    this.request?.abort();
    this.request = new AbortController();
    try {
      const path = `${apiPath("workspaces", this.workspace)}/runs:groups`;
      const body = { ...this.query, by: this.by };
      const found = await ask<RunGroups>(path, { method: "POST", body, signal: this.request.signal });
      const open = new Map(this.segments.value.map((segment) => [segment.head?.value, segment.list]));
      this.segments.value = sorted(found.groups).map((head) => ({ head, list: open.get(head.value) ?? null }));
      this.isComplete.value = found.complete;
      this.groupsError.value = undefined;
      this.isLoaded.value = true;
    } catch (error) {
      if (!isAbort(error)) this.groupsError.value = error;
    }
  }

  get lists(): RunList[] {
    return this.segments.value.flatMap((segment) => segment.list ?? []);
  }

  get error(): unknown {
    return this.groupsError.value ?? this.lists.find((list) => list.error.value !== undefined)?.error.value;
  }

  /** How many runs match: of a list as the server counts them, of groups their sum. */
  get total(): number | undefined {
    if (this.by === null) return this.lists[0]?.total.value;
    return this.segments.value.reduce((sum, segment) => sum + (segment.head?.count ?? 0), 0);
  }

  /** How many rows there are now. */
  get length(): number {
    return this.segments.value.reduce((sum, segment) => sum + lengthOf(segment), 0);
  }

  /** The rows from `start` up to `end`. */
  slice(start: number, end: number): Item[] {
    const items: Item[] = [];
    let first = 0;
    for (const segment of this.segments.value) {
      const length = lengthOf(segment);
      for (let index = Math.max(start, first); index < Math.min(end, first + length); index++) items.push(itemOf(segment, index - first));
      first += length;
      if (first >= end) break;
    }
    return items;
  }

  /** Have rows ready below `end`. */
  ensure(end: number): void {
    let first = 0;
    for (const segment of this.segments.value) {
      const length = lengthOf(segment);
      if (segment.list !== null && first <= end) segment.list.ensure(Math.min(end - first, length));
      first += length;
    }
  }

  toggle(value: string | null): void {
    const by = this.by ?? "";
    this.segments.value = this.segments.value.map((segment) => {
      if (segment.head?.value !== value) return segment;
      if (segment.list !== null) {
        segment.list.stop();
        return { ...segment, list: null };
      }
      const list = new RunList(this.workspace, { ...this.query, filter: both(this.query.filter ?? "", isValue(by, value)) });
      void list.load();
      return { ...segment, list };
    });
  }

  /** Take in what has changed, as far as it shows. */
  async refresh(): Promise<void> {
    if (this.by !== null) await this.loadGroups();
    await Promise.all(this.lists.map((list) => list.refresh()));
    if (this.by === null) this.isLoaded.value ||= this.lists.some((list) => list.isLoaded.value);
  }

  update(run: RunView): void {
    for (const list of this.lists) list.update(run);
  }

  updateMetrics(runId: string, metrics: Record<string, MetricSummary>): void {
    for (const list of this.lists) list.updateMetrics(runId, metrics);
  }

  find(runId: string): RunView | undefined {
    for (const list of this.lists) {
      const run = list.find(runId);
      if (run !== undefined) return run;
    }
    return undefined;
  }

  stop(): void {
    this.request?.abort();
    for (const list of this.lists) list.stop();
  }
}

function lengthOf(segment: Segment): number {
  const head = segment.head === null ? 0 : 1;
  if (segment.list === null) return head;
  const isWaiting = !segment.list.isLoaded.value || segment.list.hasMore;
  return head + segment.list.rows.value.length + (isWaiting ? 1 : 0);
}

function itemOf(segment: Segment, index: number): Item {
  if (segment.head !== null) {
    if (index === 0) return { kind: "group", head: segment.head, isOpen: segment.list !== null };
    index--;
  }
  const run = segment.list?.rows.value[index];
  return run === undefined ? { kind: "wait" } : { kind: "run", run };
}

/** Numbers by size, texts by name, nothing last. */
function sorted(groups: RunGroups["groups"]): GroupHead[] {
  const number = (value: string | null): number => (value === null || value.trim() === "" ? NaN : Number(value));
  const areNumbers = groups.every((group) => group.value === null || !Number.isNaN(number(group.value)));
  if (!areNumbers) return groups;
  return [...groups].sort((a, b) => Number(a.value === null) - Number(b.value === null) || number(a.value) - number(b.value));
}

export function statusEntries(runs: Record<string, number>): [Status, number][] {
  return Object.entries(runs) as [Status, number][];
}
