/** The audit trail: everything that happened to the run and everything that was refused, who did it, when, and the event itself. */
import { useMemo, useState } from "preact/hooks";
import type { HistoryEntry } from "../../api/types";
import { count } from "../../lib/numbers";
import { query, setQuery } from "../../lib/router";
import { Empty, Failure, Skeleton, Time } from "../../ui/basics";
import { Icon, type IconName } from "../../ui/icons";
import { Batches } from "./history/Batches";
import { withBatches, type Line } from "./history/lines";
import { RawEvent } from "./history/RawEvent";
import { useHistory } from "./history/useHistory";
import type { RunModel, RunTabProps } from "./model";

const ROWS = 200;

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
  const shown: Line[] = chosen === null ? withBatches(entries) : entries.filter((entry) => kindOf(entry) === chosen).map((entry) => ({ entry })).reverse();
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
        <span class="faint history-note">Newest first; recorded for good. Batches of metrics show once another event follows.</span>
      </div>
      {shown.length === 0 ? (
        <Empty icon="history" title={chosen === "refused" ? "Nothing was refused" : "Nothing of this kind has happened"} />
      ) : (
        <ol class="history-list">
          {shown.slice(0, rows).map((line) =>
            "entry" in line ? <Entry key={line.entry.stream_seq} model={model} entry={line.entry} /> : <Batches key={`batches-${line.firstSeq}`} model={model} {...line} />,
          )}
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

function Entry({ model, entry }: { model: RunModel; entry: HistoryEntry }) {
  const [isOpen, open] = useState(false);
  const kind = kindOf(entry);
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
      {isOpen && <RawEvent model={model} seq={entry.stream_seq} />}
    </li>
  );
}

function kindOf(entry: HistoryEntry): Kind {
  return KIND_OF[entry.type] ?? "status";
}

function countKinds(entries: readonly HistoryEntry[]): Map<Kind, number> {
  const found = new Map<Kind, number>();
  for (const entry of entries) found.set(kindOf(entry), (found.get(kindOf(entry)) ?? 0) + 1);
  return found;
}
