/** All experiments: what is going on in each, and when something last happened. */
import { useEffect, useRef } from "preact/hooks";
import { follow } from "../../api/live";
import { apiPath, ask, write } from "../../api/http";
import type { ExperimentView, Status } from "../../api/types";
import { count, counted } from "../../lib/numbers";
import { href, query, setQuery } from "../../lib/router";
import { ENDED, STATUSES, statusWords } from "../../lib/statuses";
import { milliseconds } from "../../lib/time";
import { useQuery } from "../../lib/useQuery";
import { Chip, Empty, Failure, IconButton, Skeleton, Time } from "../../ui/basics";
import { Icon } from "../../ui/icons";
import { Menu, MenuItem } from "../../ui/Menu";
import { PageHead, useTitle } from "../../ui/Page";
import { StatusIcon } from "../../ui/StatusIcon";
import { tell, tellFailure } from "../../ui/toasts";

const RELOAD_MS = 1_000;

type Order = "activity" | "name" | "runs" | "created";

const BY: Record<Order, (a: ExperimentView, b: ExperimentView) => number> = {
  activity: (a, b) => milliseconds(b.last_activity_at) - milliseconds(a.last_activity_at),
  name: (a, b) => a.experiment.localeCompare(b.experiment),
  runs: (a, b) => runsOf(b) - runsOf(a),
  created: (a, b) => milliseconds(b.created_at) - milliseconds(a.created_at),
};

export function ExperimentsPage({ workspace }: { workspace: string }) {
  useTitle("Experiments");
  const withArchived = query.value.has("archived");
  const sought = query.value.get("q") ?? "";
  const order = (query.value.get("sort") ?? "activity") as Order;
  const { data, error, reload } = useQuery(
    `experiments ${workspace} ${withArchived}`,
    (signal) => ask<ExperimentView[]>(apiPath("workspaces", workspace, "experiments"), { query: { include_archived: withArchived }, signal }),
    { keep: true },
  );
  useReloadWhenSomethingHappens(workspace, reload);

  return (
    <>
      <PageHead title="Experiments" />
      <div class="toolbar">
        <div class="search" role="search">
          <Icon name="search" size={15} />
          <input data-search class="field" type="search" placeholder="Search experiments" aria-label="Search experiments" value={sought} onInput={(event) => setQuery({ q: event.currentTarget.value })} />
          <div class="search-end">{sought ? <IconButton icon="x" label="Clear the search" onClick={() => setQuery({ q: null })} /> : <kbd>/</kbd>}</div>
        </div>
        <Menu label="Show" icon="archive" look={`button button-plain ${withArchived ? "is-set" : ""}`}>
          {() => (
            <MenuItem icon="archive" isChecked={withArchived} onSelect={() => setQuery({ archived: !withArchived })}>
              Archived experiments
            </MenuItem>
          )}
        </Menu>
      </div>
      <Body workspace={workspace} data={data} error={error} sought={sought} order={order in BY ? order : "activity"} reload={reload} />
    </>
  );
}

interface BodyProps {
  workspace: string;
  data: ExperimentView[] | undefined;
  error: unknown;
  sought: string;
  order: Order;
  reload: () => void;
}

function Body({ workspace, data, error, sought, order, reload }: BodyProps) {
  if (data === undefined) return error === undefined ? <div class="page-body"><Skeleton /></div> : <Failure error={error} retry={reload} />;
  if (data.length === 0) {
    return (
      <Empty icon="flask" title="There are no experiments yet">
        An experiment appears here with its first run.
        <pre>{`from runfold import Experiment, Workspace\n\nwith Experiment(Workspace.from_config(), "first").start_logging() as run:\n    run.log("loss", 0.5)`}</pre>
      </Empty>
    );
  }
  const words = sought.toLowerCase().split(/\s+/).filter(Boolean);
  const found = data.filter((one) => words.every((word) => textOf(one).includes(word))).sort(BY[order]);
  if (found.length === 0) return <Empty icon="search" title="No experiment is like that">{counted(data.length, "experiment")} in {workspace}.</Empty>;
  return (
    <div class="page-body">
      <table class="table experiments" aria-label="Experiments">
        <thead>
          <tr>
            <Sorted by="name" order={order}>Experiment</Sorted>
            <Sorted by="runs" order={order} isNumber>Runs</Sorted>
            <th scope="col">By status</th>
            <Sorted by="activity" order={order}>Last activity</Sorted>
            <Sorted by="created" order={order}>Created</Sorted>
            <th scope="col">By</th>
            <th scope="col"><span class="visually-hidden">Actions</span></th>
          </tr>
        </thead>
        <tbody>
          {found.map((one) => (
            <Row key={one.experiment_id} one={one} workspace={workspace} reload={reload} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Sorted({ by, order, isNumber, children }: { by: Order; order: Order; isNumber?: boolean; children: string }) {
  return (
    <th scope="col" aria-sort={order === by ? (by === "name" ? "ascending" : "descending") : "none"} class={isNumber ? "is-number" : undefined}>
      <button type="button" class="grid-sort" onClick={() => setQuery({ sort: by === "activity" ? null : by })}>
        {children}
        {order === by && <Icon name={by === "name" ? "arrowUp" : "arrowDown"} size={12} />}
      </button>
    </th>
  );
}

function Row({ one, workspace, reload }: { one: ExperimentView; workspace: string; reload: () => void }) {
  const total = runsOf(one);
  const archive = async (): Promise<void> => {
    try {
      await write(apiPath("workspaces", workspace, "experiments", one.experiment), "PATCH", { archived: !one.archived });
      tell(one.archived ? `${one.experiment} is back in the list.` : `${one.experiment} is archived.`);
      reload();
    } catch (error) {
      tellFailure("This was not changed", error);
    }
  };
  return (
    <tr>
      <td class="experiment-name">
        <a class="run-link truncate" title={one.experiment} href={href(["w", workspace, "runs"], { experiment: one.experiment })}>
          {one.experiment}
        </a>
        {one.archived && <Chip name="archived" value={null} />}
        {Object.entries(one.tags).slice(0, 3).map(([name, value]) => <Chip key={name} name={name} value={value} />)}
        {one.description && <p class="faint truncate" title={one.description}>{one.description}</p>}
      </td>
      <td class="is-number">{count(total)}</td>
      <td>
        <Counts runs={one.runs} total={total} />
      </td>
      <td><Time at={one.last_activity_at} relative /></td>
      <td><Time at={one.created_at} /></td>
      <td class="muted">{one.created_by}</td>
      <td class="is-action">
        <Menu label={<Icon name="more" />} title={`More about ${one.experiment}`} align="right" look="icon-button">
          {(close) => (
            <MenuItem icon="archive" onSelect={() => (close(), void archive())}>
              {one.archived ? "Restore from the archive" : "Archive"}
            </MenuItem>
          )}
        </Menu>
      </td>
    </tr>
  );
}

/** A bar of the statuses, and the numbers that it stands for. */
function Counts({ runs, total }: { runs: ExperimentView["runs"]; total: number }) {
  if (total === 0) return <span class="faint">no runs</span>;
  const present = STATUSES.filter((status) => runs[status]);
  return (
    <span class="counts">
      <span class="counts-bar" aria-hidden="true">
        {present.map((status) => (
          <i key={status} data-status={status} class={isActive(status) ? "is-active" : undefined} style={{ flexGrow: runs[status] }} />
        ))}
      </span>
      {present.map((status) => (
        <span key={status} class="count-by-status" title={`${statusWords(status)}: ${count(runs[status] ?? 0)}`}>
          <StatusIcon status={status} size={12} />
          <span class="visually-hidden">{statusWords(status)}:</span>
          {count(runs[status] ?? 0)}
        </span>
      ))}
    </span>
  );
}

function isActive(status: Status): boolean {
  return !ENDED.has(status);
}

function runsOf(one: ExperimentView): number {
  return Object.values(one.runs).reduce((sum, n) => sum + n, 0);
}

function textOf(one: ExperimentView): string {
  const tags = Object.entries(one.tags).flat().join(" ");
  return `${one.experiment} ${one.description ?? ""} ${one.created_by} ${tags}`.toLowerCase();
}

function useReloadWhenSomethingHappens(workspace: string, reload: () => void): void {
  const latest = useRef(reload);
  latest.current = reload;
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const soon = (): void => {
      timer ??= setTimeout(() => {
        timer = undefined;
        latest.current();
      }, RELOAD_MS);
    };
    const unfollow = follow(workspace, null, { run: soon, experiment: soon, resync: soon });
    return () => {
      clearTimeout(timer);
      unfollow();
    };
  }, [workspace]);
}
