/** What stands in a cell. */
import { runName } from "../../api/runs";
import type { RunView } from "../../api/types";
import { href } from "../../lib/router";
import { float, measured, measuredInColumn } from "../../lib/numbers";
import { Chip, Duration, Time } from "../../ui/basics";
import { StatusLabel } from "../../ui/StatusIcon";
import { NAME, valueOf, type Column } from "./columns";

const CHIPS_SHOWN = 4;

export function Cell({ run, column }: { run: RunView; column: Column }) {
  switch (column.field) {
    case NAME:
      return (
        <a class="run-link truncate" tabIndex={-1} href={href(["w", run.workspace, "runs", run.run_id])} title={runName(run)}>
          {runName(run)}
        </a>
      );
    case "status":
      return <StatusLabel status={run.status} />;
    case "duration_s":
      return <Duration from={run.started_at} to={run.ended_at} />;
    case "created_at":
    case "started_at":
    case "ended_at":
    case "updated_at":
      return <Time at={run[column.field]} />;
    case "tags":
      return <Tags tags={run.tags} />;
    case "number":
      return <span class="faint">#{run.number}</span>;
    case "experiment":
      return <span class="truncate">{run.experiment}</span>;
    default:
      return <Value value={valueOf(run, column)} column={column} />;
  }
}

function Tags({ tags }: { tags: RunView["tags"] }) {
  const entries = Object.entries(tags);
  return (
    <span class="cell-tags">
      {entries.slice(0, CHIPS_SHOWN).map(([name, value]) => (
        <Chip key={name} name={name} value={value} />
      ))}
      {entries.length > CHIPS_SHOWN && <span class="faint">+{entries.length - CHIPS_SHOWN}</span>}
    </span>
  );
}

function Value({ value, column }: { value: unknown; column: Column }) {
  if (value === undefined || value === null) return <span class="nothing">–</span>;
  const isMetric = column.kind === "metrics";
  const plain = isMetric && typeof value === "string" ? (float(value) ?? value) : value;
  const text = isMetric ? measuredInColumn(plain) : measured(plain);
  return (
    <span class="truncate" title={String(value)}>
      {text}
    </span>
  );
}
