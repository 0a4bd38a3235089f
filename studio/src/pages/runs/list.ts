/**
 * A list of runs as it is scrolled: pages by cursor, loaded ahead of what is looked at, and kept up to date.
 *
 * The list is as long as what has been loaded, so scrolling never shows a row that is not there.
 */
import { signal } from "@preact/signals";
import { isAbort, Problem } from "../../api/http";
import { countRuns, queryRuns } from "../../api/runs";
import type { MetricSummary, RunQueryBody, RunView } from "../../api/types";

const FIRST_ROWS = 100;
const NEXT_ROWS = 500;
/** How many rows lie ready below the last one that is looked at. */
const AHEAD_ROWS = 700;

export class RunList {
  readonly rows = signal<readonly RunView[]>([]);
  /** Of all runs that match; undefined until it is known. */
  readonly total = signal<number | undefined>(undefined);
  readonly error = signal<unknown>(undefined);
  /** False until the first page has come. */
  readonly isLoaded = signal(false);
  readonly isLoading = signal(false);
  /** Runs came or changed that the list, sorted as it is, cannot take in by itself. */
  readonly isStale = signal(false);

  private next: string | null = null;
  private readonly places = new Map<string, number>();
  private request: AbortController | null = null;
  private counting: AbortController | null = null;

  constructor(
    private readonly workspace: string,
    readonly query: RunQueryBody,
  ) {}

  get hasMore(): boolean {
    return this.next !== null;
  }

  /** Load from the top. What is shown stays until the first page has come. */
  async load(): Promise<void> {
    this.stop();
    const request = (this.request = new AbortController());
    this.isLoading.value = true;
    this.isStale.value = false;
    try {
      const page = await queryRuns(this.workspace, { ...this.query, limit: FIRST_ROWS }, request.signal);
      this.next = page.next;
      this.show(page.rows);
      this.error.value = undefined;
      this.isLoaded.value = true;
      this.countUnlessComplete();
    } catch (error) {
      if (!isAbort(error)) this.error.value = error;
    }
    this.ended(request);
  }

  /** See to it that there are rows below `index`. */
  ensure(index: number): void {
    if (this.next !== null && !this.isLoading.value && this.error.value === undefined && index + AHEAD_ROWS > this.rows.value.length) void this.more();
  }

  private async more(): Promise<void> {
    const request = (this.request = new AbortController());
    this.isLoading.value = true;
    try {
      const page = await queryRuns(this.workspace, { ...this.query, limit: NEXT_ROWS, page: this.next }, request.signal);
      this.next = page.next;
      this.show([...this.rows.value, ...page.rows.filter((run) => !this.places.has(run.run_id))]);
    } catch (error) {
      if (!isAbort(error)) this.error.value = error;
    }
    this.ended(request);
  }

  private ended(request: AbortController): void {
    if (this.request === request) this.isLoading.value = false;
  }

  /** Take in what has changed at the top; what was loaded below stays. */
  async refresh(): Promise<void> {
    if (this.isLoading.value) return;
    if (!this.isLoaded.value) return this.loadAgain();
    const request = (this.request = new AbortController());
    try {
      const page = await queryRuns(this.workspace, { ...this.query, limit: FIRST_ROWS }, request.signal);
      this.error.value = undefined;
      const isAll = this.rows.value.length <= FIRST_ROWS;
      if (isAll) {
        this.next = page.next;
        this.show(page.rows);
      } else if (this.isByCreation) {
        const fresh = new Set(page.rows.map((run) => run.run_id));
        this.show([...page.rows, ...this.rows.value.filter((run) => !fresh.has(run.run_id))]);
      } else this.isStale.value = true;
      this.countUnlessComplete();
    } catch {
      // What is shown stays; the stream says when there is more.
    }
  }

  /** The server was away when it was to be loaded. What it refused it refuses again. */
  private async loadAgain(): Promise<void> {
    const error = this.error.value;
    if (error instanceof Problem && error.isTemporary) await this.load();
  }

  private get isByCreation(): boolean {
    return (this.query.order_by ?? "-created_at") === "-created_at";
  }

  /** A run as it is now. False: the list does not have it. */
  update(run: RunView): boolean {
    const place = this.places.get(run.run_id);
    const before = place === undefined ? undefined : this.rows.value[place];
    if (place === undefined || before === undefined) return false;
    this.replace(place, { ...run, metrics: before.metrics });
    return true;
  }

  updateMetrics(runId: string, metrics: Record<string, MetricSummary>): void {
    const place = this.places.get(runId);
    const run = place === undefined ? undefined : this.rows.value[place];
    if (place !== undefined && run !== undefined) this.replace(place, { ...run, metrics: { ...run.metrics, ...metrics } });
  }

  find(runId: string): RunView | undefined {
    const place = this.places.get(runId);
    return place === undefined ? undefined : this.rows.value[place];
  }

  stop(): void {
    this.request?.abort();
    this.counting?.abort();
  }

  /** Where the first page is all there is, nobody needs to count; else it is done after the rows are there. */
  private countUnlessComplete(): void {
    if (this.next === null) this.total.value = this.rows.value.length;
    else void this.count();
  }

  private async count(): Promise<void> {
    this.counting?.abort();
    this.counting = new AbortController();
    try {
      this.total.value = await countRuns(this.workspace, this.query, this.counting.signal);
    } catch {
      // The rows tell what is wrong, if anything is.
    }
  }

  private replace(place: number, run: RunView): void {
    const rows = [...this.rows.value];
    rows[place] = run;
    this.rows.value = rows;
  }

  private show(rows: readonly RunView[]): void {
    this.places.clear();
    for (const [index, run] of rows.entries()) this.places.set(run.run_id, index);
    this.rows.value = rows;
  }
}
