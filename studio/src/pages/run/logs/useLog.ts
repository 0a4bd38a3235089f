/** A log as it is so far, and as it grows for as long as its run writes it. */
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { fetchLogPart } from "../../../api/files";
import { isAbort } from "../../../api/http";
import { LogBuffer } from "./buffer";

const PART_BYTES = 1024 * 1024;
const LINES_MAX = 400_000;
const LOOK_MS = 600;
const LOOK_LATER_MS = 3_000;

export interface LogState {
  lines: readonly string[];
  rest: string;
  /** There is more before the first of these lines. */
  hasEarlier: boolean;
  start: number;
  end: number;
  isLive: boolean;
}

export function useLog(workspace: string, runId: string, path: string, size: number) {
  const [state, setState] = useState<LogState | undefined>(undefined);
  const [error, setError] = useState<unknown>(undefined);
  const [round, setRound] = useState(0);
  const buffer = useRef(new LogBuffer(LINES_MAX));
  const isLive = useRef(false);
  const show = (): void => {
    const { lines, rest, start, end } = buffer.current;
    setState({ lines, rest, start, end, hasEarlier: start > 0, isLive: isLive.current });
  };

  useEffect(() => {
    const request = new AbortController();
    const read = async (from: number): Promise<Uint8Array> => {
      const part = await fetchLogPart(workspace, runId, path, from, PART_BYTES, request.signal);
      isLive.current = part.isLive;
      return part.data;
    };
    const follow = async (): Promise<void> => {
      buffer.current = new LogBuffer(LINES_MAX);
      const from = Math.max(0, size - PART_BYTES);
      buffer.current.begin(from, await read(from));
      show();
      setError(undefined);
      for (;;) {
        const data = await read(buffer.current.end);
        if (data.length > 0) buffer.current.append(data);
        show();
        if (!isLive.current && data.length === 0) return;
        if (data.length < PART_BYTES) await pause(document.hidden ? LOOK_LATER_MS : LOOK_MS, request.signal);
      }
    };
    const followAgain = async (): Promise<void> => {
      // A server that restarts is looked at again; what is shown stays.
      for (;;) {
        try {
          return await follow();
        } catch (problem) {
          if (isAbort(problem) || request.signal.aborted) return;
          setError(problem);
          await pause(LOOK_LATER_MS, request.signal);
          if (request.signal.aborted) return;
        }
      }
    };
    void followAgain();
    return () => request.abort();
  }, [workspace, runId, path, round]);

  const loadEarlier = useCallback(async (): Promise<number> => {
    const { start, lines } = buffer.current;
    const before = lines.length;
    const from = Math.max(0, start - PART_BYTES);
    const { data } = await fetchLogPart(workspace, runId, path, from, start - from);
    if (buffer.current.start !== start) return 0;
    buffer.current.prepend(from, data);
    show();
    return buffer.current.lines.length - before;
  }, [workspace, runId, path]);

  return { state, error, loadEarlier, retry: () => setRound((n) => n + 1) };
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  });
}
