/** The runs of a workspace, or of one experiment: found, sorted, grouped, selected. All of it stands in the address. */
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { isAbort, Problem } from "../../api/http";
import { count, counted } from "../../lib/numbers";
import { query, setQuery } from "../../lib/router";
import { STATUSES, statusWords } from "../../lib/statuses";
import { Button, Empty, Failure, IconButton, Kbd, messageOf, Skeleton } from "../../ui/basics";
import { Icon } from "../../ui/icons";
import { Menu, MenuItem } from "../../ui/Menu";
import { PageHead, useTitle } from "../../ui/Page";
import { StatusIcon } from "../../ui/StatusIcon";
import { tell, tellFailure } from "../../ui/toasts";
import { available, columnOf, fieldOf, type Column } from "./columns";
import { ColumnsMenu } from "./ColumnsMenu";
import { exportCsv } from "./exportCsv";
import { Grid } from "./Grid";
import type { RunTable } from "./grid";
import { SearchBox } from "./SearchBox";
import { SelectionBar } from "./SelectionBar";
import { asked, bodyOf, DEFAULT_ORDER, useColumns, useRunTable, type Asked } from "./useRunTable";
import { ViewsMenu } from "./ViewsMenu";
import type { RunView } from "../../api/types";

export function RunsPage({ workspace }: { workspace: string }) {
  const what = asked(query.value);
  const { columns, sample, choose, isReady } = useColumns(workspace, what.experiment);
  const { table, wanted } = useRunTable(workspace, what, columns, isReady);
  const selectedIds = query.value.getAll("sel");
  const selected = useMemo(() => new Set(selectedIds), [selectedIds.join("\n")]);
  useTitle(what.experiment ?? "Runs");

  const select = (runIds: readonly string[], isSelected: boolean): void => {
    const next = new Set(selected);
    for (const runId of runIds) isSelected ? next.add(runId) : next.delete(runId);
    setQuery({ sel: [...next] });
  };
  const problem = wanted.error;
  const isFilterProblem = problem instanceof Problem && problem.status === 400;

  return (
    <div class="runs-page">
      <PageHead title={what.experiment ?? "Runs"}>
        <ExportButton workspace={workspace} what={what} columns={columns} />
      </PageHead>
      <div class="toolbar">
        <SearchBox value={what.text} error={isFilterProblem ? problem.message : null} onChange={(text) => setQuery({ q: text })} />
        {what.experiment !== null && (
          <span class="scope">
            <span class="truncate">{what.experiment}</span>
            <IconButton icon="x" label={`Show runs of all experiments, not only ${what.experiment}`} onClick={() => setQuery({ experiment: null }, "push")} />
          </span>
        )}
        <StatusMenu what={what} />
        <div class="toolbar-end">
          <ViewsMenu workspace={workspace} />
          <ShowMenu what={what} />
          <GroupMenu by={what.by} sample={sample} />
          <ColumnsMenu columns={columns} sample={sample} onChange={(fields) => (choose(fields), setQuery({ cols: fields === null ? null : fields.join(",") }))} />
        </div>
      </div>
      {problem !== undefined && !isFilterProblem && table !== wanted && table.isLoaded.value && (
        <p class="notice grid-notice" role="alert">
          <Icon name="refresh" size={14} />
          <span>{problem instanceof Problem && problem.isTemporary ? "The server does not answer" : messageOf(problem)}: the runs below are those that you looked at before.</span>
          <Button look="quiet" onClick={() => void wanted.load()}>
            Try again
          </Button>
        </p>
      )}
      <div class="grid-frame">
        {problem !== undefined && !isFilterProblem && !table.isLoaded.value ? (
          <Failure error={problem} retry={() => void wanted.load()} />
        ) : (
          <Body table={table} isOld={table !== wanted} what={what} columns={columns} selected={selected} onSelect={select} isRefused={isFilterProblem} />
        )}
        {selected.size > 0 && (
          <SelectionBar workspace={workspace} runIds={[...selected]} onClear={() => setQuery({ sel: null })} onDone={() => (setQuery({ sel: null }), void wanted.refresh())} />
        )}
      </div>
      <Foot table={table} />
    </div>
  );
}

interface BodyProps {
  table: RunTable;
  isOld: boolean;
  isRefused: boolean;
  what: Asked;
  columns: readonly Column[];
  selected: ReadonlySet<string>;
  onSelect: (runIds: readonly string[], isSelected: boolean) => void;
}

function Body({ table, isOld, isRefused, what, columns, selected, onSelect }: BodyProps) {
  if (!table.isLoaded.value && isRefused) {
    return (
      <Empty icon="search" title="The filter cannot be read yet">
        What it expects stands below the search box; the question mark in it explains the language.
      </Empty>
    );
  }
  if (!table.isLoaded.value) return <div class="page-body"><Skeleton lines={12} /></div>;
  if (table.length === 0) return <NothingFound what={what} />;
  const isStale = table.lists.some((list) => list.isStale.value);
  return (
    <>
      <Grid
        table={table}
        columns={columns}
        order={what.order}
        selected={selected}
        onOrder={(order) => setQuery({ sort: order === DEFAULT_ORDER ? null : order })}
        onSelect={onSelect}
      />
      {isStale && !isOld && (
        <Button class="newer" icon="refresh" onClick={() => void table.load()}>
          There is something new
        </Button>
      )}
    </>
  );
}

function NothingFound({ what }: { what: Asked }) {
  const isNarrowed = what.text !== "" || what.statuses.length > 0;
  if (isNarrowed) {
    return (
      <Empty icon="search" title="No run is like that" action={<Button onClick={() => setQuery({ q: null, status: null })}>Show all runs</Button>}>
        {what.withChildren ? "Archived runs may be left out." : "Children of other runs are left out: “Show” takes them in."}
      </Empty>
    );
  }
  return (
    <Empty icon="runs" title="There are no runs yet">
      A run appears here as soon as a script begins one.
      <pre>{`from runfold import Experiment, Workspace\n\nwith Experiment(Workspace.from_config(), "first").start_logging() as run:\n    run.log("loss", 0.5)`}</pre>
    </Empty>
  );
}

function Foot({ table }: { table: RunTable }) {
  const total = table.total;
  const shown = table.lists.reduce((sum, list) => sum + list.rows.value.length, 0);
  if (!table.isLoaded.value) return <div class="grid-foot" />;
  return (
    <div class="grid-foot">
      <span role="status">
        {total === undefined ? counted(shown, "run") : counted(total, "run")}
        {table.by !== null && ` in ${counted(table.segments.value.length, "group")}`}
        {table.by === null && total !== undefined && total > shown && `, ${count(shown)} loaded`}
        {!table.isComplete.value && "; small groups are left out"}
      </span>
      <span class="keys" aria-hidden="true">
        <span><Kbd>↑</Kbd><Kbd>↓</Kbd> move</span>
        <span><Kbd>Enter</Kbd> open</span>
        <span><Kbd>Space</Kbd> select</span>
        <span><Kbd>/</Kbd> search</span>
      </span>
    </div>
  );
}

function StatusMenu({ what }: { what: Asked }) {
  const chosen = new Set(what.statuses);
  const label = chosen.size === 0 ? "Status" : chosen.size === 1 ? statusWords(what.statuses[0]!) : `${chosen.size} statuses`;
  const toggle = (status: (typeof STATUSES)[number]): void => {
    const next = new Set(chosen);
    if (!next.delete(status)) next.add(status);
    setQuery({ status: [...next] });
  };
  return (
    <Menu label={label} icon="chevronDown" look={`button button-plain ${chosen.size > 0 ? "is-set" : ""}`}>
      {() => (
        <>
          {STATUSES.map((status) => (
            <button key={status} type="button" class="menu-item" aria-pressed={chosen.has(status)} onClick={() => toggle(status)}>
              <StatusIcon status={status} />
              <span>{statusWords(status)}</span>
              {chosen.has(status) && <span aria-hidden="true">✓</span>}
            </button>
          ))}
          {chosen.size > 0 && <MenuItem icon="x" onSelect={() => setQuery({ status: null })}>Any status</MenuItem>}
        </>
      )}
    </Menu>
  );
}

function ShowMenu({ what }: { what: Asked }) {
  return (
    <Menu label="Show" icon="tree" look={`button button-plain ${what.withChildren || what.withArchived ? "is-set" : ""}`}>
      {() => (
        <>
          <MenuItem icon="tree" isChecked={what.withChildren} onSelect={() => setQuery({ children: !what.withChildren })}>Children of runs</MenuItem>
          <MenuItem icon="archive" isChecked={what.withArchived} onSelect={() => setQuery({ archived: !what.withArchived })}>Archived runs</MenuItem>
        </>
      )}
    </Menu>
  );
}

const GROUPED_BY = ["status", "experiment", "created_by"];

function GroupMenu({ by, sample }: { by: string | null; sample: readonly RunView[] }) {
  const keys = useMemo(() => available(sample), [sample]);
  const offers: readonly (readonly [string, readonly string[]])[] = [
    ["Parameters", keys.params.map((key) => fieldOf("params", key))],
    ["Tags", keys.tags.map((key) => fieldOf("tags", key))],
    ["Attributes", GROUPED_BY],
  ];
  const label = by === null ? "Group" : `By ${columnOf(by)?.label ?? by}`;
  return (
    <Menu label={<span class="truncate">{label}</span>} icon="group" align="right" look={`button button-plain ${by === null ? "" : "is-set"}`}>
      {(close) => (
        <>
          {by !== null && <MenuItem icon="x" onSelect={() => (close(), setQuery({ group: null }))}>No groups</MenuItem>}
          {offers.map(([title, fields]) => fields.length > 0 && (
            <div key={title}>
              <p class="menu-title">{title}</p>
              {fields.map((field) => (
                <MenuItem key={field} isChecked={field === by} onSelect={() => (close(), setQuery({ group: field }))}>
                  {columnOf(field)?.label ?? field}
                </MenuItem>
              ))}
            </div>
          ))}
        </>
      )}
    </Menu>
  );
}

function ExportButton({ workspace, what, columns }: { workspace: string; what: Asked; columns: readonly Column[] }) {
  const [rows, setRows] = useState<number | null>(null);
  const request = useRef<AbortController | null>(null);
  useEffect(() => () => request.current?.abort(), []);
  const start = async (): Promise<void> => {
    request.current = new AbortController();
    setRows(0);
    try {
      const fields = columns.filter((column) => column.kind !== "attribute").map((column) => column.field);
      const body = { ...bodyOf(what), fields: ["status", ...fields, "tags", "description"].slice(0, 100) };
      tell(`${counted(await exportCsv(workspace, body, columns, request.current.signal, setRows), "run")} exported.`);
    } catch (error) {
      if (!isAbort(error)) tellFailure("The export ended", error);
    }
    setRows(null);
  };
  if (rows !== null) {
    return (
      <Button icon="x" onClick={() => request.current?.abort()}>
        {count(rows)} exported…
      </Button>
    );
  }
  return (
    <Button icon="download" onClick={() => void start()}>
      Export CSV
    </Button>
  );
}
