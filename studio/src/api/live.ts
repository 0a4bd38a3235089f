/**
 * Following what happens, for as long as somebody looks.
 *
 * A stream that ends is opened again with the id of the last message, so nothing between is missed; the server answers
 * `resync` when it cannot say what that was, and then the page loads anew. While the page is hidden the connection is
 * given up (a browser allows six to one server, for all its tabs) and taken up again in the same way.
 */
import { signal } from "@preact/signals";
import { apiPath, authorization, isSignedOut, problemOf } from "./http";
import { EventStreamParser } from "./eventStream";
import { parsed } from "../lib/json";
import type { HistoryEntry, MetricSummary, RunView } from "./types";

const WAITS_MS: readonly number[] = [100, 250, 500, 1_000, 2_000];
const SILENCE_MS_MAX = 40_000; // the server speaks every 15 s
const HIDDEN_MS_MAX = 20_000;

/** Of all streams of the page: "off" when there is none, "lost" while one cannot be reached. */
export const connection = signal<"off" | "live" | "lost">("off");

export interface Listener {
  /** A run as it is now, without its metrics. */
  run?(run: RunView): void;
  metrics?(change: { run_id: string; metrics: Record<string, MetricSummary>; complete?: boolean }): void;
  history?(change: { run_id: string; entries: HistoryEntry[] }): void;
  experiment?(change: { experiment_id: string }): void;
  /** Too much happened to say: load anew what is shown. */
  resync(): void;
}

/** Follow a workspace, or one run of it. Returns how to stop. */
export function follow(workspace: string, runId: string | null, listener: Listener): () => void {
  const path = runId === null ? apiPath("workspaces", workspace, "stream") : apiPath("workspaces", workspace, "runs", runId, "stream");
  const stream = new Stream(path, listener);
  stream.start();
  return () => stream.stop();
}

class Stream {
  private lastId: string | null = null;
  private tries = 0;
  private request: AbortController | null = null;
  private timer: ReturnType<typeof setTimeout> | null = null;
  private hiding: ReturnType<typeof setTimeout> | null = null;
  private isStopped = false;

  constructor(
    private readonly path: string,
    private readonly listener: Listener,
  ) {}

  start(): void {
    document.addEventListener("visibilitychange", this.onVisibility);
    addEventListener("online", this.wake);
    void this.connect();
  }

  stop(): void {
    this.isStopped = true;
    document.removeEventListener("visibilitychange", this.onVisibility);
    removeEventListener("online", this.wake);
    if (this.timer !== null) clearTimeout(this.timer);
    if (this.hiding !== null) clearTimeout(this.hiding);
    this.request?.abort();
    connection.value = "off";
  }

  private readonly onVisibility = (): void => {
    if (document.hidden) {
      this.hiding ??= setTimeout(() => this.request?.abort(), HIDDEN_MS_MAX);
      return;
    }
    if (this.hiding !== null) clearTimeout(this.hiding);
    this.hiding = null;
    this.wake();
  };

  /** Try now rather than when the wait is over. */
  private readonly wake = (): void => {
    if (this.timer === null) return;
    clearTimeout(this.timer);
    this.timer = null;
    void this.connect();
  };

  private async connect(): Promise<void> {
    this.request = new AbortController();
    try {
      await this.listen(this.request);
    } catch {
      // Gone, for whatever reason: what follows is the same.
    }
    if (!this.isStopped) this.connectLater();
  }

  private connectLater(): void {
    const wait = WAITS_MS[Math.min(this.tries++, WAITS_MS.length - 1)] ?? 0;
    if (this.tries > 1) connection.value = "lost";
    this.timer = setTimeout(() => {
      if (document.hidden || isSignedOut.value) return this.connectWhenLookedAt();
      this.timer = null;
      void this.connect();
    }, wait);
  }

  private connectWhenLookedAt(): void {
    this.timer = setTimeout(() => this.connectLater(), 1_000);
  }

  private async listen(request: AbortController): Promise<void> {
    const response = await fetch(this.path, {
      signal: request.signal,
      cache: "no-store",
      headers: { ...authorization(), ...(this.lastId === null ? {} : { "Last-Event-ID": this.lastId }) },
    });
    if (!response.ok || response.body === null) {
      const problem = await problemOf(response);
      // What is not there has nothing to follow; whoever shows it says so.
      if (problem.status === 404) return this.stop();
      // A position that the server cannot read is of no use again.
      if (problem.status === 400 || problem.status === 409) this.lastId = null;
      throw problem;
    }
    if (this.tries > 0 && this.lastId === null) this.listener.resync();
    this.tries = 0;
    connection.value = "live";
    await this.read(response.body.getReader(), request);
  }

  private async read(reader: ReadableStreamDefaultReader<Uint8Array>, request: AbortController): Promise<void> {
    const parser = new EventStreamParser();
    const decoder = new TextDecoder();
    let silence: ReturnType<typeof setTimeout> | null = null;
    try {
      for (;;) {
        silence = setTimeout(() => request.abort(), SILENCE_MS_MAX);
        const { done, value } = await reader.read();
        clearTimeout(silence);
        if (done) return;
        for (const message of parser.push(decoder.decode(value, { stream: true }))) this.tell(message.event, message.data);
        this.lastId = parser.id ?? this.lastId;
      }
    } finally {
      if (silence !== null) clearTimeout(silence);
    }
  }

  private tell(event: string, data: string): void {
    const { listener } = this;
    if (this.isStopped) return;
    const body = parsed(data);
    if (event === "run") listener.run?.(body as RunView);
    else if (event === "metrics") listener.metrics?.(body as Parameters<NonNullable<Listener["metrics"]>>[0]);
    else if (event === "history") listener.history?.(body as Parameters<NonNullable<Listener["history"]>>[0]);
    else if (event === "experiment") listener.experiment?.(body as { experiment_id: string });
    else if (event === "resync") listener.resync();
  }
}
