/** The lines of a run's audit trail: loaded page by page, then as they are recorded. */
import { useEffect, useRef, useState } from "preact/hooks";
import { ask, isAbort } from "../../../api/http";
import { runPath } from "../../../api/runs";
import type { HistoryEntry } from "../../../api/types";
import type { RunModel } from "../model";

const PAGE = 1_000;

export function useHistory(model: RunModel) {
  const [entries, setEntries] = useState<readonly HistoryEntry[] | undefined>(undefined);
  const [error, setError] = useState<unknown>(undefined);
  const [round, setRound] = useState(0);
  const known = useRef(new Map<number, HistoryEntry>());
  useEffect(() => {
    const request = new AbortController();
    known.current = new Map();
    const add = (more: readonly HistoryEntry[]): void => {
      for (const entry of more) known.current.set(entry.stream_seq, entry);
      setEntries([...known.current.values()].sort((a, b) => a.stream_seq - b.stream_seq));
    };
    const load = async (): Promise<void> => {
      try {
        for (let from = 1; ; ) {
          const page = await ask<HistoryEntry[]>(runPath(model.workspace, model.runId, "history"), { query: { from_seq: from, limit: PAGE }, signal: request.signal });
          add(page);
          setError(undefined);
          if (page.length < PAGE) return;
          from = page[page.length - 1]!.stream_seq + 1;
        }
      } catch (problem) {
        if (!isAbort(problem)) setError(problem);
      }
    };
    void load();
    const stop = model.listen({ history: (more) => (more.some(({ type }) => type === "run.erased") ? setRound((n) => n + 1) : add(more)), resync: () => setRound((n) => n + 1) });
    return () => {
      stop();
      request.abort();
    };
  }, [model, round]);
  return { entries, error, retry: () => setRound((n) => n + 1) };
}
