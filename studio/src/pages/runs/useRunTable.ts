/** What the address asks for, as a table that is loaded and kept up to date. */
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { follow } from "../../api/live";
import { queryRuns } from "../../api/runs";
import type { RunQueryBody, RunView, Status } from "../../api/types";
import { query } from "../../lib/router";
import { STATUSES } from "../../lib/statuses";
import { remember, remembered } from "../../lib/storage";
import { useQuery } from "../../lib/useQuery";
import { columnOf, distinct, fieldsOf, NAME, PLAIN_COLUMNS, suggested, typed, type Column } from "./columns";
import { RunTable } from "./grid";
import { splitSearch } from "./search";

const SAMPLE_ROWS = 40;
const REFRESH_MS = 600;
const REFRESH_MS_MAX = 2_500;
export const DEFAULT_ORDER = "-created_at";

/** The question that the address asks, apart from columns. */
export interface Asked {
  experiment: string | null;
  text: string;
  order: string;
  by: string | null;
  statuses: Status[];
  withChildren: boolean;
  withArchived: boolean;
}

export function asked(values: URLSearchParams): Asked {
  const known = new Set<string>(STATUSES);
  return {
    experiment: values.get("experiment"),
    text: values.get("q") ?? "",
    order: values.get("sort") ?? DEFAULT_ORDER,
    by: values.get("group"),
    statuses: values.getAll("status").filter((status) => known.has(status)) as Status[],
    withChildren: values.has("children"),
    withArchived: values.has("archived"),
  };
}

export function bodyOf(what: Asked): RunQueryBody {
  const { words, filter } = splitSearch(what.text);
  return {
    order_by: what.order,
    include_children: what.withChildren,
    include_archived: what.withArchived,
    ...(what.experiment === null ? {} : { experiment: what.experiment }),
    ...(words ? { search: words } : {}),
    ...(filter ? { filter } : {}),
    ...(what.statuses.length > 0 ? { status: what.statuses } : {}),
  };
}

/** The columns: those of the address, else those chosen here before, else what suits the runs. */
export function useColumns(workspace: string, experiment: string | null): { columns: Column[]; sample: readonly RunView[]; choose: (fields: readonly string[] | null) => readonly string[] | null; isReady: boolean } {
  const place = `columns.${workspace}.${experiment ?? ""}`;
  const [round, setRound] = useState(0);
  const inAddress = query.value.get("cols");
  const kept = useMemo(() => remembered<string[] | null>(place, null), [place, round]);
  const { data: sample, error } = useQuery(`sample ${place}`, async (signal) => {
    const fields = ["params", "metrics", "tags", "properties"];
    const body = { fields, limit: SAMPLE_ROWS, include_children: true, ...(experiment === null ? {} : { experiment }) };
    return (await queryRuns(workspace, body, signal)).rows;
  });
  const isReady = inAddress !== null || kept !== null || sample !== undefined || error !== undefined;
  const fields = inAddress?.split(",") ?? kept ?? (sample === undefined ? PLAIN_COLUMNS : suggested(sample, experiment !== null));
  const spelled = JSON.stringify(fields);
  const columns = useMemo(() => {
    const found = (JSON.parse(spelled) as string[]).flatMap((field) => columnOf(field) ?? []).filter((column) => column.field !== NAME);
    const once = found.filter((column, index) => found.findIndex((one) => one.field === column.field) === index);
    return typed(distinct([columnOf(NAME)!, ...once]), sample ?? []);
  }, [spelled, sample]);
  const choose = (next: readonly string[] | null): readonly string[] | null => {
    remember(place, next ?? undefined);
    setRound((n) => n + 1);
    return next;
  };
  return { columns, sample: sample ?? [], choose, isReady };
}

export interface ShownTable {
  /** What is drawn: the last table that has been loaded. */
  table: RunTable;
  /** The table of what is asked now; another one while that is loading. */
  wanted: RunTable;
}

/** The table of a question. The last one stays until the next is there. */
export function useRunTable(workspace: string, what: Asked, columns: readonly Column[], isReady: boolean): ShownTable {
  const body = JSON.stringify({ ...bodyOf(what), fields: fieldsOf(columns) });
  const wanted = useMemo(() => new RunTable(workspace, JSON.parse(body) as RunQueryBody, what.by), [workspace, body, what.by]);
  const shown = useRef(wanted);
  useEffect(() => {
    if (isReady) void wanted.load();
    return () => wanted.stop();
  }, [wanted, isReady]);
  const isThere = wanted.isLoaded.value && wanted.error === undefined;
  if (isThere || !shown.current.isLoaded.value) shown.current = wanted;
  useLive(workspace, wanted);
  return { table: shown.current, wanted };
}

/** Takes in what happens: at once what is shown, and soon what only the server can say. */
function useLive(workspace: string, table: RunTable): void {
  const now = useRef(table);
  now.current = table;
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    let since = 0;
    const soon = (): void => {
      const at = performance.now();
      since ||= at;
      clearTimeout(timer);
      timer = setTimeout(
        () => {
          since = 0;
          void now.current.refresh();
        },
        Math.max(0, Math.min(REFRESH_MS, since + REFRESH_MS_MAX - at)),
      );
    };
    const unfollow = follow(workspace, null, {
      run: (run) => {
        now.current.update(run);
        soon();
      },
      metrics: (change) => now.current.updateMetrics(change.run_id, change.metrics),
      resync: soon,
    });
    return () => {
      clearTimeout(timer);
      unfollow();
    };
  }, [workspace]);
}
