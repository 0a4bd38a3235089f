/** The audit trail: everything that happened to the run and everything that was refused, who did it, when, and the event itself. */
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { ask, isAbort } from "../../api/http";
import { runPath } from "../../api/runs";
import type { HistoryEntry } from "../../api/types";
import { count } from "../../lib/numbers";
import { query, setQuery } from "../../lib/router";
import { milliseconds } from "../../lib/time";
import { Copy, Empty, Failure, Skeleton, Time } from "../../ui/basics";
import { Icon, type IconName } from "../../ui/icons";
import type { RunModel, RunTabProps } from "./model";

const PAGE = 1_000;
const ROWS = 200;
const SKEW_MS_SHOWN = 60_000;

type Kind = "status" | "refused" | "data" | "about" | "file";

const KINDS: readonly (readonly [Kind, string])[] = [
  ["refused", "Refused"],
  ["status", "Status"],
  ["data", "Parameters and properties"],
  ["about", "Tags and names"],
  ["file", "Files"],
];
const KIND_OF: Record<string, Kind> = {
  "run.command_rejected": "refused",
  "run.commands_lost": "refused",
  "run.params_logged": "data",
  "run.properties_added": "data",
  "run.tags_set": "about",
  "run.tags_removed": "about",
  "run.updated": "about",
  "run.archived": "about",
  "run.restored": "about",
  "run.artifact_recorded": "file",
};
const ICON_OF: Record<Kind, IconName> = { status: "bars", refused: "ban", data: "lock", about: "tag", file: "file" };

export function HistoryTab({ model }: RunTabProps) {
  const { entries, error, retry } = useHistory(model);
  const chosen = query.value.get("kind");
  const [rows, setRows] = useState(ROWS);
  const counts = useMemo(() => countKinds(entries ?? []), [entries]);
  if (entries === undefined) return error === undefined ? <Skeleton lines={10} /> : <Failure error={error} retry={retry} />;
  const shown = entries.filter((entry) => chosen === null || kindOf(entry) === chosen).reverse();
  return (
    <div class="history">
      <div class="chart-bar" role="toolbar" aria-label="What is shown">
        <div class="segments" role="group" aria-label="Kinds of events">
          <button type="button" aria-pressed={chosen === null} onClick={() => setQuery({ kind: null })}>
            Everything <span class="number faint">{count(entries.length)}</span>
          </button>
          {KINDS.filter(([kind]) => counts.get(kind) || kind === "refused").map(([kind, words]) => (
            <button key={kind} type="button" aria-pressed={chosen === kind} onClick={() => setQuery({ kind })}>
              {words} <span class="number faint">{count(counts.get(kind) ?? 0)}</span>
            </button>
          ))}
        </div>
        <span class="faint history-note">Newest first. Recorded for good; batches of metrics are not listed.</span>
      </div>
      {shown.length === 0 ? (
        <Empty icon="history" title={chosen === "refused" ? "Nothing was refused" : "Nothing of this kind has happened"} />
      ) : (
        <ol class="history-list">
          {shown.slice(0, rows).map((entry) => (
            <Entry key={entry.event_id} entry={entry} />
          ))}
        </ol>
      )}
      {shown.length > rows && (
        <button type="button" class="button button-plain" onClick={() => setRows(rows * 3)}>
          Show more of {count(shown.length)}
        </button>
      )}
    </div>
  );
}

function Entry({ entry }: { entry: HistoryEntry }) {
  const [isOpen, open] = useState(false);
  const kind = kindOf(entry);
  const traceback = tracebackOf(entry);
  return (
    <li class={`history-entry is-${kind}`}>
      <button type="button" class="history-line" aria-expanded={isOpen} onClick={() => open(!isOpen)}>
        <span class="history-icon">
          <Icon name={ICON_OF[kind]} size={13} />
        </span>
        <span class="history-words">{entry.words}</span>
        {entry.late && <span class="badge" title="It came after the run's end">Late</span>}
        {entry.erased && <span class="badge" title="What it said was erased">Erased</span>}
        <span class="history-type mono faint">{entry.type}</span>
        <span class="history-time">
          <Time at={entry.recorded_at} exact />
        </span>
        <Icon name={isOpen ? "chevronDown" : "chevronRight"} size={13} />
      </button>
      {isOpen && (
        <div class="history-raw">
          <dl class="history-facts">
            <Fact name="Who">{entry.actor} <span class="faint">({entry.actor_source})</span></Fact>
            <Fact name="By">{entry.door}</Fact>
            <Fact name="Recorded"><Time at={entry.recorded_at} exact /></Fact>
            <Fact name="Client's clock">
              <Time at={entry.occurred_at} exact />
              {Math.abs(milliseconds(entry.occurred_at) - milliseconds(entry.recorded_at)) > SKEW_MS_SHOWN && <span class="badge">differs</span>}
            </Fact>
            <Fact name="Number"><span class="number">{entry.stream_seq}</span></Fact>
          </dl>
          {traceback && <pre class="raw" tabIndex={0} aria-label="Traceback">{traceback}</pre>}
          <div class="history-json">
            <Copy text={JSON.stringify(entry, null, 2)} label="Copy the event" />
            <pre class="raw" tabIndex={0} aria-label="The event">{JSON.stringify(entry, null, 2)}</pre>
          </div>
        </div>
      )}
    </li>
  );
}

function Fact({ name, children }: { name: string; children: preact.ComponentChildren }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function useHistory(model: RunModel) {
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

function kindOf(entry: HistoryEntry): Kind {
  return KIND_OF[entry.type] ?? "status";
}

function countKinds(entries: readonly HistoryEntry[]): Map<Kind, number> {
  const found = new Map<Kind, number>();
  for (const entry of entries) found.set(kindOf(entry), (found.get(kindOf(entry)) ?? 0) + 1);
  return found;
}

function tracebackOf(entry: HistoryEntry): string | null {
  const error = entry.body?.["error"];
  const traceback = typeof error === "object" && error !== null ? (error as Record<string, unknown>)["traceback"] : null;
  return typeof traceback === "string" ? traceback : null;
}
