/**
 * The table. Only the rows that are looked at are in the page, and some above and below; all are of one height.
 *
 * One element has the focus, and names the row that is current: arrows move it, Enter opens it, Space selects it.
 */
import { Component } from "preact";
import { useCallback, useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { RunView } from "../../api/types";
import { STATUSES, statusWords } from "../../lib/statuses";
import { count } from "../../lib/numbers";
import { href, navigate } from "../../lib/router";
import { Icon } from "../../ui/icons";
import { StatusIcon } from "../../ui/StatusIcon";
import { Cell } from "./cells";
import { isSortable, NAME, sortField, type Column } from "./columns";
import type { GroupHead, Item, RunTable } from "./grid";

export const ROW_PX = 34;
const HEAD_PX = 34;
const PADDING_PX = 24;
const BEYOND_ROWS = 24;

interface GridProps {
  table: RunTable;
  columns: readonly Column[];
  order: string;
  selected: ReadonlySet<string>;
  onOrder: (order: string) => void;
  onSelect: (runIds: readonly string[], isSelected: boolean) => void;
}

export function Grid({ table, columns, order, selected, onOrder, onSelect }: GridProps) {
  const scroller = useRef<HTMLDivElement>(null);
  const [view, setView] = useState({ top: 0, height: 800 });
  const [current, setCurrent] = useState(0);
  const anchor = useRef<number | null>(null);
  const length = table.length;

  const look = useCallback(() => {
    const element = scroller.current;
    if (element !== null) setView({ top: element.scrollTop, height: element.clientHeight });
  }, []);
  useLayoutEffect(() => {
    look();
    const observer = new ResizeObserver(look);
    if (scroller.current) observer.observe(scroller.current);
    return () => observer.disconnect();
  }, [look]);
  useEffect(() => {
    scroller.current?.scrollTo(0, 0);
    setCurrent(0);
    anchor.current = null;
  }, [table]);

  const first = Math.max(0, Math.floor(view.top / ROW_PX) - BEYOND_ROWS);
  const end = Math.min(length, Math.ceil((view.top + view.height) / ROW_PX) + BEYOND_ROWS);
  useEffect(() => table.ensure(end), [table, end, length]);

  const go = (index: number): void => {
    const to = Math.max(0, Math.min(length - 1, index));
    setCurrent(to);
    const element = scroller.current;
    if (element === null) return;
    const above = to * ROW_PX;
    const below = above + ROW_PX + HEAD_PX - element.clientHeight;
    if (element.scrollTop > above) element.scrollTop = above;
    else if (element.scrollTop < below) element.scrollTop = below;
  };

  const choose = (index: number, isRange: boolean): void => {
    const item = table.slice(index, index + 1)[0];
    if (item?.kind !== "run") return;
    const isSelected = !selected.has(item.run.run_id);
    const from = isRange && anchor.current !== null ? anchor.current : index;
    const range = table.slice(Math.min(from, index), Math.max(from, index) + 1);
    onSelect(range.flatMap((one) => (one.kind === "run" ? [one.run.run_id] : [])), isRange ? true : isSelected);
    anchor.current = index;
    setCurrent(index);
  };

  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.target !== event.currentTarget || event.ctrlKey || event.metaKey || event.altKey) return;
    const item = table.slice(current, current + 1)[0];
    const page = Math.max(1, Math.floor(view.height / ROW_PX) - 2);
    const moves: Record<string, number> = { ArrowDown: current + 1, ArrowUp: current - 1, j: current + 1, k: current - 1, PageDown: current + page, PageUp: current - page, Home: 0, End: length - 1 };
    const to = moves[event.key];
    if (to !== undefined) {
      if (event.shiftKey && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
        anchor.current ??= current;
        choose(Math.max(0, Math.min(length - 1, to)), true);
      }
      go(to);
    } else if (event.key === "Enter" && item?.kind === "run") navigate(href(["w", item.run.workspace, "runs", item.run.run_id]));
    else if ((event.key === " " || event.key === "x") && item?.kind === "run") choose(current, event.shiftKey);
    else if (item?.kind === "group" && isToggle(event.key, item.isOpen)) table.toggle(item.head.value);
    else if (event.key === "Escape" && selected.size > 0) onSelect([...selected], false);
    else return;
    event.preventDefault();
  };

  const tracks = `36px ${columns.map((column) => (column.field === NAME ? `minmax(${column.width}px, 1.4fr)` : `minmax(${column.width}px, ${column.isNumber ? "0.45fr" : "1fr"})`)).join(" ")}`;
  const width = PADDING_PX + 36 + columns.reduce((sum, column) => sum + column.width, 0);
  return (
    <div
      ref={scroller}
      class="grid"
      role={table.by === null ? "grid" : "treegrid"}
      aria-label="Runs"
      aria-rowcount={length + 1}
      aria-colcount={columns.length + 1}
      aria-multiselectable="true"
      aria-activedescendant={length > 0 ? `row-${current}` : undefined}
      tabIndex={0}
      onScroll={look}
      onKeyDown={onKeyDown}
      style={{ "--tracks": tracks, "--width": `${width}px` }}
    >
      <Head columns={columns} order={order} onOrder={onOrder} table={table} selected={selected} onSelect={onSelect} />
      <div class="grid-rows" role="rowgroup" style={{ height: `${length * ROW_PX}px` }}>
        <div class="grid-window" role="presentation" style={{ transform: `translateY(${first * ROW_PX}px)` }}>
          {table.slice(first, end).map((item, offset) => (
            <Row
              key={keyOf(item, first + offset)}
              item={item}
              index={first + offset}
              columns={columns}
              isSelected={item.kind === "run" && selected.has(item.run.run_id)}
              isCurrent={first + offset === current}
              table={table}
              onChoose={choose}
              onCurrent={setCurrent}
            />
          ))}
        </div>
      </div>
    </div>
  );
}

function isToggle(key: string, isOpen: boolean): boolean {
  return key === "Enter" || key === " " || (key === "ArrowRight" && !isOpen) || (key === "ArrowLeft" && isOpen);
}

function keyOf(item: Item, index: number): string {
  if (item.kind === "run") return item.run.run_id;
  return item.kind === "group" ? `group ${item.head.value ?? ""} ${item.head.value === null}` : `wait ${index}`;
}

function Head({ columns, order, onOrder, table, selected, onSelect }: Omit<GridProps, "selected"> & { selected: ReadonlySet<string> }) {
  const loaded = table.lists.flatMap((list) => list.rows.value);
  const isAll = loaded.length > 0 && loaded.every((run) => selected.has(run.run_id));
  return (
    <div class="grid-head" role="row" aria-rowindex={1}>
      <span role="columnheader" class="grid-check">
        <input
          type="checkbox"
          aria-label="Select the runs that are loaded"
          checked={isAll}
          ref={(box) => {
            if (box) box.indeterminate = !isAll && selected.size > 0;
          }}
          onChange={() => onSelect(isAll ? [...selected] : loaded.slice(0, 500).map((run) => run.run_id), !isAll)}
        />
      </span>
      {columns.map((column) => {
        const field = sortField(column);
        const direction = order === field ? "ascending" : order === `-${field}` ? "descending" : undefined;
        return (
          <span key={column.field} role="columnheader" aria-sort={direction ?? "none"} class={column.isNumber ? "is-number" : undefined}>
            {isSortable(column) ? (
              <button type="button" class="grid-sort" title={`Sort by ${column.label}`} onClick={() => onOrder(direction === "descending" ? field : `-${field}`)}>
                <span class="truncate">{column.label}</span>
                {direction && <Icon name={direction === "ascending" ? "arrowUp" : "arrowDown"} size={12} />}
              </button>
            ) : (
              <span class="grid-sort truncate">{column.label}</span>
            )}
          </span>
        );
      })}
    </div>
  );
}

interface RowProps {
  item: Item;
  index: number;
  columns: readonly Column[];
  isSelected: boolean;
  isCurrent: boolean;
  table: RunTable;
  onChoose: (index: number, isRange: boolean) => void;
  onCurrent: (index: number) => void;
}

/** Drawn anew only when something in it has changed: scrolling moves rows, and leaves what is in them. */
class Row extends Component<RowProps> {
  private isRange = false;

  override shouldComponentUpdate(next: RowProps): boolean {
    const now = this.props;
    return !(sameItem(now.item, next.item) && now.index === next.index && now.columns === next.columns && now.isSelected === next.isSelected && now.isCurrent === next.isCurrent && now.table === next.table);
  }

  override render({ item, index, columns, isSelected, isCurrent, table }: RowProps) {
    const common = { role: "row", id: `row-${index}`, "aria-rowindex": index + 2, "data-current": isCurrent || undefined, ...(table.by === null ? {} : { "aria-level": item.kind === "group" ? 1 : 2 }) } as const;
    if (item.kind === "wait") {
      return (
        <div {...common} class="grid-row grid-row-wait">
          <span role="gridcell" class="faint">
            Loading more…
          </span>
        </div>
      );
    }
    if (item.kind === "group") return <GroupRow common={common} head={item.head} isOpen={item.isOpen} by={table.by ?? ""} toggle={() => table.toggle(item.head.value)} />;
    return (
      <div {...common} class="grid-row" aria-selected={isSelected} data-run={item.run.run_id} onClick={(event) => this.onClick(event, item.run)}>
        <span role="gridcell" class="grid-check">
          <input type="checkbox" tabIndex={-1} checked={isSelected} aria-label={`Select ${item.run.display_name ?? item.run.run_id}`} onClick={this.onCheckClick} onChange={this.onCheck} />
        </span>
        {columns.map((column) => (
          <span key={column.field} role="gridcell" class={column.isNumber ? "is-number" : undefined}>
            <Cell run={item.run} column={column} />
          </span>
        ))}
      </div>
    );
  }

  // Through this.props: a row that was not drawn anew must not use the handlers of an older drawing.
  private readonly onCheckClick = (event: MouseEvent): void => {
    event.stopPropagation();
    this.isRange = event.shiftKey;
  };

  private readonly onCheck = (event: Event): void => {
    const { index, isSelected, onChoose } = this.props;
    // A range selects what was selected, too: then nothing is drawn anew that would show it.
    (event.currentTarget as HTMLInputElement).checked = this.isRange || !isSelected;
    onChoose(index, this.isRange);
  };

  private onClick(event: MouseEvent, run: RunView): void {
    const { index, onChoose, onCurrent } = this.props;
    if ((event.target as Element).closest("a")) return;
    if (event.shiftKey) onChoose(index, true);
    else if (event.metaKey || event.ctrlKey) onChoose(index, false);
    else if (getSelection()?.isCollapsed === false) onCurrent(index);
    else navigate(href(["w", run.workspace, "runs", run.run_id]));
  }
}

function sameItem(one: Item, other: Item): boolean {
  if (one.kind === "run" && other.kind === "run") return one.run === other.run;
  if (one.kind === "group" && other.kind === "group") return one.head === other.head && one.isOpen === other.isOpen;
  return one.kind === other.kind;
}

function GroupRow({ common, head, isOpen, by, toggle }: { common: object; head: GroupHead; isOpen: boolean; by: string; toggle: () => void }) {
  return (
    <div {...common} class="grid-row grid-row-group" aria-expanded={isOpen} onClick={toggle}>
      <span role="gridcell" class="grid-group">
        <Icon name={isOpen ? "chevronDown" : "chevronRight"} size={14} />
        <span class="faint">{by.replace(/^(tags|params|properties)\./, "")}</span>
        <strong class="truncate">{head.value ?? "none"}</strong>
        <span class="tab-note">{count(head.count)}</span>
        <span class="grid-group-runs">
          {STATUSES.filter((status) => head.runs[status]).map((status) => (
            <span key={status} class="count-by-status" title={`${statusWords(status)}: ${head.runs[status]}`}>
              <StatusIcon status={status} size={12} />
              {count(head.runs[status] ?? 0)}
            </span>
          ))}
        </span>
      </span>
    </div>
  );
}
