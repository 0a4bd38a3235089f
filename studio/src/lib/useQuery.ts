/** A question of a component: asked again when its key changes, the outdated one ended. */
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { isAbort, isSignedOut, Problem } from "../api/http";

/** A server that does not answer, or says that it will later, is asked again after so long. */
const AGAIN_MS = 3_000;

export interface Answer<T> {
  /** The last good answer; kept while the next is awaited, so that nothing jumps. */
  data: T | undefined;
  error: unknown;
  isLoading: boolean;
  /** Ask again; the present answer stays until the next has come. */
  reload: () => void;
}

/**
 * `key` names the question; null asks nothing. An answer to another key is not shown unless `keep` says that it may
 * stand in for the one that is awaited.
 */
export function useQuery<T>(key: string | null, fetcher: (signal: AbortSignal) => Promise<T>, options: { keep?: boolean } = {}): Answer<T> {
  const [state, setState] = useState<{ key: string | null; data: T | undefined; error: unknown }>({ key: null, data: undefined, error: undefined });
  const [isLoading, setLoading] = useState(key !== null);
  const [round, setRound] = useState(0);
  const latest = useRef(fetcher);
  latest.current = fetcher;
  const signedOut = isSignedOut.value;

  useEffect(() => {
    if (key === null || signedOut) return;
    const request = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    setLoading(true);
    latest
      .current(request.signal)
      .then((data) => {
        if (request.signal.aborted) return;
        setState({ key, data, error: undefined });
        setLoading(false);
      })
      .catch((error: unknown) => {
        if (request.signal.aborted || isAbort(error)) return;
        setState((before) => ({ key, data: before.key === key ? before.data : undefined, error }));
        setLoading(false);
        if (error instanceof Problem && error.isTemporary) timer = setTimeout(() => setRound((n) => n + 1), AGAIN_MS);
      });
    return () => {
      request.abort();
      clearTimeout(timer);
    };
  }, [key, round, signedOut]);

  const reload = useCallback(() => setRound((n) => n + 1), []);
  const isMine = state.key === key;
  return {
    data: isMine || (options.keep && key !== null) ? state.data : undefined,
    error: isMine ? state.error : undefined,
    isLoading,
    reload,
  };
}
