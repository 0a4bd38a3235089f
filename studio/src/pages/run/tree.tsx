/** Where a run stands: what is above it, what is below it, and what that adds up to. */
import { useEffect, useState } from "preact/hooks";
import { fetchChildCounts, fetchChildren, fetchRun, runName, shortId } from "../../api/runs";
import type { ChildCounts, RunView } from "../../api/types";
import { count, counted } from "../../lib/numbers";
import { href } from "../../lib/router";
import { ENDED, STATUSES, statusWords } from "../../lib/statuses";
import { useQuery } from "../../lib/useQuery";
import { Button, Duration, IconButton } from "../../ui/basics";
import { Icon } from "../../ui/icons";
import { StatusIcon } from "../../ui/StatusIcon";

const LOOK_MS = 3_000;
const CHILDREN_ROWS = 50;
const FIELDS = "status,display_name";

export function RunTree({ run }: { run: RunView }) {
  const { workspace, run_id: runId } = run;
  const counts = useQuery(`counts ${workspace} ${runId}`, (signal) => fetchChildCounts(workspace, runId, signal));
  const isActive = !ENDED.has(run.status) || hasActive(counts.data);
  const [round, setRound] = useState(0);
  useEffect(() => {
    if (!isActive) return;
    const timer = setInterval(() => {
      if (document.hidden) return;
      counts.reload();
      setRound((n) => n + 1);
    }, LOOK_MS);
    return () => clearInterval(timer);
  }, [isActive, counts.reload]);

  const descendants = total(counts.data?.descendants);
  if (run.parent_run_id === null && descendants === 0) return null;
  const isDeep = descendants > total(counts.data?.direct);
  return (
    <section class="panel" aria-label="Runs above and below">
      <div class="panel-head">
        <h2>Tree</h2>
        {descendants > 0 && <span class="tab-note">{count(descendants)}</span>}
        {descendants > 0 && (
          <a class="link panel-note" href={href(["w", workspace, "runs"], { q: run.parent_run_id === null ? `root_run_id = "${runId}"` : `parent_run_id = "${runId}"`, children: true })}>
            As a table
          </a>
        )}
      </div>
      {counts.data !== undefined && descendants > 0 && <RollUp counts={counts.data} isDeep={isDeep} />}
      <ul class="tree">
        {run.path.filter((id) => id !== runId).map((id, depth) => (
          <Ancestor key={id} workspace={workspace} runId={id} depth={depth} />
        ))}
        <li class="tree-line is-here" style={{ "--depth": run.path.length - 1 }}>
          <StatusIcon status={run.status} />
          <span class="truncate">{runName(run)}</span>
        </li>
        {descendants > 0 && <Children run={run} depth={run.path.length} isDeep={isDeep} round={round} />}
      </ul>
    </section>
  );
}

function RollUp({ counts, isDeep }: { counts: ChildCounts; isDeep: boolean }) {
  const runs: Record<string, number> = (isDeep ? counts.descendants : counts.direct) ?? {};
  const all = total(runs);
  const ended = STATUSES.filter((status) => ENDED.has(status)).reduce((sum, status) => sum + (runs[status] ?? 0), 0);
  return (
    <div class="roll-up">
      <span class="counts-bar" aria-hidden="true">
        {STATUSES.filter((status) => runs[status]).map((status) => (
          <i key={status} data-status={status} style={{ flexGrow: runs[status] }} />
        ))}
      </span>
      <p>
        {counted(ended, "run")} of {count(all)} {ended === 1 ? "has" : "have"} ended{isDeep && `; ${counted(total(counts.direct), "direct child", "direct children")}`}
      </p>
      <div class="counts">
        {STATUSES.filter((status) => runs[status]).map((status) => (
          <span key={status} class="count-by-status" title={statusWords(status)}>
            <StatusIcon status={status} size={12} />
            {count(runs[status] ?? 0)} {statusWords(status).toLowerCase()}
          </span>
        ))}
      </div>
    </div>
  );
}

function Ancestor({ workspace, runId, depth }: { workspace: string; runId: string; depth: number }) {
  const { data } = useQuery(`run ${workspace} ${runId}`, (signal) => fetchRun(workspace, runId, signal));
  return (
    <li class="tree-line" style={{ "--depth": depth }}>
      {data === undefined ? <Icon name="tree" size={14} /> : <StatusIcon status={data.status} />}
      <a class="run-link truncate" href={href(["w", workspace, "runs", runId])}>
        {data === undefined ? shortId(runId) : runName(data)}
      </a>
    </li>
  );
}

function Children({ run, depth, isDeep, round }: { run: RunView; depth: number; isDeep: boolean; round: number }) {
  const [limit, setLimit] = useState(CHILDREN_ROWS);
  const { workspace, run_id: runId } = run;
  const { data, reload } = useQuery(
    `children ${workspace} ${runId} ${limit}`,
    (signal) => fetchChildren(workspace, runId, { order_by: "created_at", limit, fields: FIELDS }, signal),
    { keep: true },
  );
  useEffect(() => {
    if (round > 0) reload();
  }, [round, reload]);
  if (data === undefined) return null;
  return (
    <>
      {data.rows.map((child) => (
        <Child key={child.run_id} run={child} depth={depth} isDeep={isDeep} round={round} />
      ))}
      {data.next !== null && (
        <li class="tree-line" style={{ "--depth": depth }}>
          <Button look="quiet" onClick={() => setLimit((n) => Math.min(1_000, n * 4))}>
            Show more
          </Button>
        </li>
      )}
    </>
  );
}

function Child({ run, depth, isDeep, round }: { run: RunView; depth: number; isDeep: boolean; round: number }) {
  const [isOpen, open] = useState(false);
  return (
    <>
      <li class="tree-line" style={{ "--depth": depth }}>
        {isDeep && <IconButton icon={isOpen ? "chevronDown" : "chevronRight"} label={`Children of ${runName(run)}`} aria-expanded={isOpen} onClick={() => open(!isOpen)} />}
        <StatusIcon status={run.status} />
        <span class="visually-hidden">{statusWords(run.status)}</span>
        <a class="run-link truncate" href={href(["w", run.workspace, "runs", run.run_id])}>
          {runName(run)}
        </a>
        <span class="tree-end">
          <Duration from={run.started_at} to={run.ended_at} />
        </span>
      </li>
      {isOpen && <Children run={run} depth={depth + 1} isDeep={isDeep} round={round} />}
    </>
  );
}

function total(runs: Record<string, number> | undefined): number {
  return Object.values(runs ?? {}).reduce((sum, n) => sum + n, 0);
}

function hasActive(counts: ChildCounts | undefined): boolean {
  return STATUSES.some((status) => !ENDED.has(status) && (counts?.descendants?.[status] ?? 0) > 0);
}
