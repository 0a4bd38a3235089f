/** One run that is looked at: loaded once, then kept up to date by its stream. Every tab of its page reads from here. */
import { signal } from "@preact/signals";
import { follow, type Listener } from "../../api/live";
import { fetchRun } from "../../api/runs";
import type { HistoryEntry, MetricSummary, RunView } from "../../api/types";
import { isAbort, Problem } from "../../api/http";

export interface RunNews {
  /** Summaries of metrics that changed. Not `complete`: more changed than could be said; ask for what is shown. */
  metrics?(changed: Record<string, MetricSummary>, complete: boolean): void;
  /** New lines of the audit trail, in order. */
  history?(entries: readonly HistoryEntry[]): void;
  /** Anything may have changed: load anew. */
  resync?(): void;
}

/** What a tab of the run page gets. */
export interface RunTabProps {
  model: RunModel;
  /** The run as it is now. */
  run: RunView;
}

export class RunModel {
  readonly run = signal<RunView | undefined>(undefined);
  readonly error = signal<unknown>(undefined);
  /** Summaries of all metrics as they are now. */
  readonly metrics = signal<Record<string, MetricSummary>>({});

  private readonly listeners = new Set<RunNews>();
  private request: AbortController | null = null;
  private unfollow: (() => void) | null = null;

  constructor(
    readonly workspace: string,
    readonly runId: string,
  ) {}

  start(): void {
    void this.reload();
    const listener: Listener = {
      run: (run) => (this.run.value = { ...run, metrics: this.run.value?.metrics ?? {} }),
      metrics: (change) => {
        this.metrics.value = { ...this.metrics.value, ...change.metrics };
        for (const news of this.listeners) news.metrics?.(change.metrics, change.complete !== false);
      },
      history: (change) => {
        for (const news of this.listeners) news.history?.(change.entries);
      },
      resync: () => {
        void this.reload();
        for (const news of this.listeners) news.resync?.();
      },
    };
    this.unfollow = follow(this.workspace, this.runId, listener);
  }

  stop(): void {
    this.request?.abort();
    this.unfollow?.();
  }

  /** Hear what happens. Returns how to stop hearing. */
  listen(news: RunNews): () => void {
    this.listeners.add(news);
    return () => this.listeners.delete(news);
  }

  readonly reload = async (): Promise<void> => {
    this.request?.abort();
    this.request = new AbortController();
    try {
      const run = await fetchRun(this.workspace, this.runId, this.request.signal);
      this.run.value = run;
      this.metrics.value = run.metrics;
      this.error.value = undefined;
    } catch (error) {
      if (isAbort(error)) return;
      // What is shown stays while the server is away; the stream says when it is back.
      const isAway = error instanceof Problem && error.isTemporary && this.run.value !== undefined;
      if (!isAway) this.error.value = error;
    }
  };
}
