/** Lines of a log, of which only those in sight are on the page; the end is followed unless one scrolls away from it. */
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { bytes, count } from "../../../lib/numbers";
import { saveText } from "../../../lib/save";
import { Button, Failure, IconButton, Skeleton } from "../../../ui/basics";
import { Icon } from "../../../ui/icons";
import { tellFailure } from "../../../ui/toasts";
import { DownloadButton } from "../files/DownloadButton";
import { useLog } from "./useLog";

const LINE_PX = 19;
const AROUND = 30;
const NEAR_END_PX = 24;
const MATCHES_MAX = 100_000;

interface LogViewProps {
  workspace: string;
  runId: string;
  path: string;
  size: number;
  find: string;
  onFind: (text: string) => void;
}

export function LogView({ workspace, runId, path, size, find, onFind }: LogViewProps) {
  const { state, error, loadEarlier, retry } = useLog(workspace, runId, path, size);
  const box = useRef<HTMLDivElement>(null);
  const [top, setTop] = useState(0);
  const [tall, setTall] = useState(600);
  const [isFollowing, setFollowing] = useState(find === "");
  const [match, setMatch] = useState(0);
  const lines = useMemo(() => (state === undefined ? [] : state.rest === "" ? state.lines : [...state.lines, state.rest]), [state]);
  const matches = useMemo(() => matching(lines, find), [lines, find]);

  useLayoutEffect(() => {
    const element = box.current;
    if (element === null) return;
    const resize = new ResizeObserver(() => setTall(element.clientHeight));
    resize.observe(element);
    return () => resize.disconnect();
  }, [state === undefined]);
  useLayoutEffect(() => {
    if (isFollowing && box.current !== null) box.current.scrollTop = box.current.scrollHeight;
  }, [lines.length, isFollowing, tall]);
  useEffect(() => {
    setMatch(0);
    if (matches.length > 0) goTo(0);
  }, [find, state === undefined]);

  if (state === undefined) return error === undefined ? <Skeleton lines={10} /> : <Failure error={error} retry={retry} />;

  const goTo = (index: number): void => {
    const line = matches[(index + matches.length) % matches.length];
    if (line === undefined || box.current === null) return;
    setMatch((index + matches.length) % matches.length);
    setFollowing(false);
    box.current.scrollTop = Math.max(0, line * LINE_PX - tall / 2);
  };
  const onScroll = (): void => {
    const element = box.current!;
    setTop(element.scrollTop);
    const isAtEnd = element.scrollHeight - element.scrollTop - element.clientHeight < NEAR_END_PX;
    if (isAtEnd !== isFollowing) setFollowing(isAtEnd);
  };
  const earlier = async (): Promise<void> => {
    try {
      setFollowing(false);
      const added = await loadEarlier();
      requestAnimationFrame(() => box.current?.scrollBy(0, added * LINE_PX));
    } catch (problem) {
      tellFailure("The earlier part was not loaded", problem);
    }
  };
  const first = Math.max(0, Math.floor(top / LINE_PX) - AROUND);
  const last = Math.min(lines.length, Math.ceil((top + tall) / LINE_PX) + AROUND);
  const isNumbered = !state.hasEarlier;

  return (
    <section class="panel log" aria-label={`Log ${path}`}>
      <div class="log-head">
        <label class="find">
          <Icon name="search" size={14} />
          <input
            class="field"
            type="search"
            placeholder="Search in the log"
            aria-label="Search in the log"
            data-search
            value={find}
            onInput={(event) => onFind(event.currentTarget.value)}
            onKeyDown={(event) => event.key === "Enter" && goTo(match + (event.shiftKey ? -1 : 1))}
          />
        </label>
        {find !== "" && (
          <span class="log-matches" role="status">
            <span class="number">{matches.length === 0 ? "Nothing found" : `${count(match + 1)} of ${count(matches.length)}`}</span>
            <IconButton icon="arrowUp" label="The match before" disabled={matches.length === 0} onClick={() => goTo(match - 1)} />
            <IconButton icon="arrowDown" label="The match after" disabled={matches.length === 0} onClick={() => goTo(match + 1)} />
          </span>
        )}
        <span class="log-facts faint">
          <span class={state.isLive ? "log-live" : undefined}>{state.isLive ? "Being written" : "Finished"}</span>
          <span class="number">{bytes(state.end)}</span>
        </span>
        <Button icon="arrowDown" aria-pressed={isFollowing} onClick={() => setFollowing(!isFollowing)}>
          Follow
        </Button>
        {state.isLive ? (
          <Button icon="download" onClick={() => saveText(path.slice(path.lastIndexOf("/") + 1), lines.join("\n"))}>
            Save what is loaded
          </Button>
        ) : (
          <DownloadButton workspace={workspace} runId={runId} path={path} />
        )}
      </div>
      {state.hasEarlier && (
        <p class="log-earlier">
          <span class="faint">The first {bytes(state.start)} are not loaded; the search does not see them.</span>
          <Button look="quiet" icon="arrowUp" onClick={() => void earlier()}>
            Load earlier lines
          </Button>
        </p>
      )}
      <div class="log-box" ref={box} onScroll={onScroll} tabIndex={0} role="log" aria-live="off" aria-label={`Lines of ${path}`}>
        {lines.length === 0 && <p class="panel-empty">Nothing has been written yet.</p>}
        <div class="log-all" style={{ height: `${lines.length * LINE_PX}px` }}>
          <div class="log-seen" style={{ transform: `translateY(${first * LINE_PX}px)`, "--digits": String(String(lines.length).length) }}>
            {lines.slice(first, last).map((line, index) => (
              <div key={first + index} class={`log-line ${matches.length > 0 && matches[match] === first + index ? "is-match" : ""}`}>
                {isNumbered && <span class="log-number" aria-hidden="true">{first + index + 1}</span>}
                <span class="log-text">{find === "" ? line : marked(line, find)}</span>
              </div>
            ))}
          </div>
        </div>
      </div>
    </section>
  );
}

/** Numbers of the lines in which the text stands, whatever its case. */
function matching(lines: readonly string[], find: string): number[] {
  const wanted = find.toLowerCase();
  const found: number[] = [];
  if (wanted === "") return found;
  for (let index = 0; index < lines.length && found.length < MATCHES_MAX; index++) {
    if (lines[index]!.toLowerCase().includes(wanted)) found.push(index);
  }
  return found;
}

function marked(line: string, find: string) {
  const parts = [];
  const lower = line.toLowerCase();
  const wanted = find.toLowerCase();
  // Where lower case has another length than the text, places would not fit.
  if (lower.length !== line.length) return line;
  let from = 0;
  for (let at = lower.indexOf(wanted); at >= 0; at = lower.indexOf(wanted, from)) {
    parts.push(line.slice(from, at), <mark key={at}>{line.slice(at, at + wanted.length)}</mark>);
    from = at + wanted.length;
  }
  return [...parts, line.slice(from)];
}
