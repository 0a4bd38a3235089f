/** The head of a run's page: where it stands in the tree, its name, status and duration, and what can be done. */
import { Fragment } from "preact";
import { useState } from "preact/hooks";
import { cancelRun, fetchRuns, runName, shortId, updateRun } from "../../api/runs";
import type { RunView } from "../../api/types";
import { href } from "../../lib/router";
import { ENDED } from "../../lib/statuses";
import { useQuery } from "../../lib/useQuery";
import { Button, Copy, Duration, IconButton, Time } from "../../ui/basics";
import { confirm } from "../../ui/dialogs";
import { Icon } from "../../ui/icons";
import { Menu, MenuItem } from "../../ui/Menu";
import { StatusPill } from "../../ui/StatusIcon";
import { tell, tellFailure } from "../../ui/toasts";
import type { RunTabProps } from "./model";

export function RunHeader({ model, run }: RunTabProps) {
  return (
    <header class="run-head">
      <Ancestry run={run} />
      <div class="run-head-row">
        <Name run={run} />
        <StatusPill status={run.status} />
        {run.archived && <span class="chip"><span class="chip-name">Archived</span></span>}
        <div class="page-head-end">
          <Actions model={model} run={run} />
        </div>
      </div>
      <dl class="run-facts">
        <div>
          <dt>Duration</dt>
          <dd><Duration from={run.started_at} to={run.ended_at} /></dd>
        </div>
        <div>
          <dt>{run.started_at === null ? "Created" : "Started"}</dt>
          <dd><Time at={run.started_at ?? run.created_at} /></dd>
        </div>
        <div>
          <dt>By</dt>
          <dd class="truncate">{run.created_by}</dd>
        </div>
        <div>
          <dt>Id</dt>
          <dd>
            <span class="mono truncate" title={run.run_id}>{run.run_id}</span>
            <Copy text={run.run_id} label="Copy the run's id" />
          </dd>
        </div>
      </dl>
    </header>
  );
}

function Ancestry({ run }: { run: RunView }) {
  const { workspace } = run;
  const above = run.path.filter((id) => id !== run.run_id);
  const { data } = useQuery(above.length === 0 ? null : JSON.stringify([workspace, above]), (signal) => fetchRuns(workspace, above, signal, ["display_name"]));
  const names = new Map(data?.map((one) => [one.run_id, runName(one)]));
  return (
    <nav class="crumbs" aria-label="Where this run stands">
      <a href={href(["w", workspace, "experiments"])}>Experiments</a>
      <Icon name="chevronRight" size={12} />
      <a class="truncate" href={href(["w", workspace, "runs"], { experiment: run.experiment })}>{run.experiment}</a>
      {above.map((id) => (
        <Fragment key={id}>
          <Icon name="chevronRight" size={12} />
          <a class="truncate" href={href(["w", workspace, "runs", id])} title={id}>{names.get(id) ?? shortId(id)}</a>
        </Fragment>
      ))}
      <Icon name="chevronRight" size={12} />
      <span class="number">#{run.number}</span>
    </nav>
  );
}

function Name({ run }: { run: RunView }) {
  const [draft, setDraft] = useState<string | null>(null);
  const save = async (event: Event): Promise<void> => {
    event.preventDefault();
    const name = draft?.trim() ?? "";
    setDraft(null);
    if (name === (run.display_name ?? "")) return;
    try {
      await updateRun(run.workspace, run.run_id, { display_name: name || null });
    } catch (error) {
      tellFailure("The name was not changed", error);
    }
  };
  if (draft !== null) {
    return (
      <form class="run-name-form" onSubmit={(event) => void save(event)}>
        <input
          class="field"
          aria-label="Name of the run"
          value={draft}
          placeholder={run.name ?? run.run_id}
          autofocus
          onInput={(event) => setDraft(event.currentTarget.value)}
          onKeyDown={(event) => event.key === "Escape" && setDraft(null)}
          onBlur={(event) => void save(event)}
          ref={(element) => element?.focus()}
        />
      </form>
    );
  }
  return (
    <h1 class="run-name">
      <span class="truncate" title={runName(run)}>{runName(run)}</span>
      {!run.erased && <IconButton icon="edit" label="Change the name" onClick={() => setDraft(run.display_name ?? "")} />}
    </h1>
  );
}

function Actions({ run }: RunTabProps) {
  const { workspace, run_id: runId } = run;
  const cancel = async (): Promise<void> => {
    const isConfirmed = await confirm(
      `Cancel ${runName(run)}?`,
      "Whoever holds the run is asked to end it; without a living holder it is canceled at once. A canceled run stays canceled.",
      "Cancel the run",
    );
    if (!isConfirmed) return;
    try {
      await cancelRun(workspace, runId);
      tell("The run was asked to end.");
    } catch (error) {
      tellFailure("The run was not canceled", error);
    }
  };
  const archive = async (): Promise<void> => {
    try {
      await updateRun(workspace, runId, { archived: !run.archived });
      tell(run.archived ? "The run is back in the lists." : "The run is archived: lists leave it out.");
    } catch (error) {
      tellFailure("This was not changed", error);
    }
  };
  return (
    <>
      <a class="button button-plain" href={href(["w", workspace, "compare"], { run: [runId] })}>
        <Icon name="compare" size={14} />
        Compare
      </a>
      {!ENDED.has(run.status) && (
        <Button icon="stop" onClick={() => void cancel()} disabled={run.status === "CancelRequested"}>
          Cancel
        </Button>
      )}
      <Menu label={<Icon name="more" />} title="More" align="right" look="icon-button">
        {(close) => (
          <MenuItem icon="archive" onSelect={() => (close(), void archive())}>
            {run.archived ? "Restore from the archive" : "Archive"}
          </MenuItem>
        )}
      </Menu>
    </>
  );
}
