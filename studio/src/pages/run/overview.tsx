/** What a run is: its error, description, parameters, properties, tags, latest metrics, and the tree around it. */
import type { ComponentChildren } from "preact";
import type { MetricSummary, RunView } from "../../api/types";
import { float, measured } from "../../lib/numbers";
import { href } from "../../lib/router";
import { Copy, Time } from "../../ui/basics";
import { Icon } from "../../ui/icons";
import { Description } from "./description";
import type { RunTabProps } from "./model";
import { RunTags } from "./tags";
import { RunTree } from "./tree";

const METRICS_SHOWN = 12;

export function OverviewTab({ model, run }: RunTabProps) {
  return (
    <div class="overview">
      <div class="overview-main">
        <Erased run={run} />
        <Losses run={run} />
        <RunError run={run} />
        <Description run={run} />
        <LatestMetrics run={run} metrics={model.metrics.value} />
        <Panel title="Parameters" count={Object.keys(run.params).length}>
          <Values values={run.params} empty="This run has no parameters." />
        </Panel>
        <Panel title="Properties" count={Object.keys(run.properties).length} note={<><Icon name="lock" size={12} /> Never changed once written</>}>
          <Values values={run.properties} empty="This run has no properties." isLocked />
        </Panel>
      </div>
      <div class="overview-side">
        <RunTree run={run} />
        <Panel title="Tags" count={Object.keys(run.tags).length}>
          <RunTags run={run} />
        </Panel>
        <Details run={run} />
      </div>
    </div>
  );
}

export function Panel({ title, count, note, children }: { title: string; count?: number; note?: ComponentChildren; children: ComponentChildren }) {
  return (
    <section class="panel" aria-label={title}>
      <div class="panel-head">
        <h2>{title}</h2>
        {count !== undefined && count > 0 && <span class="tab-note">{count}</span>}
        {note !== undefined && <span class="panel-note">{note}</span>}
      </div>
      {children}
    </section>
  );
}

function RunError({ run }: { run: RunView }) {
  if (run.error === null) {
    if (run.cancel_reason === null) return null;
    return (
      <p class="notice">
        <Icon name="stop" size={14} />
        Canceled: {run.cancel_reason}
      </p>
    );
  }
  const { error_type, message, traceback, code } = run.error;
  return (
    <section class="panel run-error" aria-label="Error">
      <div class="panel-head">
        <h2>{error_type ?? code ?? "Error"}</h2>
        {traceback && <Copy text={traceback} label="Copy the traceback" />}
      </div>
      {message && <p class="run-error-message">{message}</p>}
      {traceback && (
        <pre class="raw" tabIndex={0} aria-label="Traceback">
          {traceback}
        </pre>
      )}
    </section>
  );
}

function Erased({ run }: { run: RunView }) {
  if (!run.erased) return null;
  return (
    <p class="notice notice-bad">
      <Icon name="x" size={14} />
      This run was erased: what it held is gone for good. That it was there, and who erased it, stays in its history.
    </p>
  );
}

/** What its writers have said that is missing, and what was refused. */
function Losses({ run }: RunLossProps) {
  const history = href(["w", run.workspace, "runs", run.run_id, "history"]);
  if (run.lost_commands === 0 && run.rejections === 0) return null;
  return (
    <p class="notice">
      <Icon name="history" size={14} />
      <span>
        {run.rejections > 0 && `${run.rejections} refused ${run.rejections === 1 ? "change" : "changes"}. `}
        {run.lost_commands > 0 && `${run.lost_commands} lost ${run.lost_commands === 1 ? "command" : "commands"}, with ${run.lost_values} values. `}
        <a class="link" href={history}>
          See the history
        </a>
      </span>
    </p>
  );
}

interface RunLossProps {
  run: RunView;
}

function LatestMetrics({ run, metrics }: { run: RunView; metrics: Record<string, MetricSummary> }) {
  const names = Object.keys(metrics).sort((a, b) => a.localeCompare(b));
  if (names.length === 0) return null;
  const to = href(["w", run.workspace, "runs", run.run_id, "metrics"]);
  return (
    <Panel title="Latest metrics" count={names.length} note={<a class="link" href={to}>All as curves</a>}>
      <table class="table table-tight">
        <thead>
          <tr>
            <th scope="col">Metric</th>
            <th scope="col" class="is-number">Latest</th>
            <th scope="col" class="is-number">Least</th>
            <th scope="col" class="is-number">Greatest</th>
            <th scope="col" class="is-number">Values</th>
          </tr>
        </thead>
        <tbody>
          {names.slice(0, METRICS_SHOWN).map((name) => {
            const of = metrics[name]!;
            return (
              <tr key={name}>
                <td class="truncate" title={name}>{name}</td>
                <td class="is-number"><strong>{measured(typeof of.latest === "string" ? (float(of.latest) ?? of.latest) : of.latest)}</strong></td>
                <td class="is-number muted">{measured(float(of.min))}</td>
                <td class="is-number muted">{measured(float(of.max))}</td>
                <td class="is-number muted">{measured(of.count)}</td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </Panel>
  );
}

function Values({ values, empty, isLocked }: { values: Record<string, unknown>; empty: string; isLocked?: boolean }) {
  const keys = Object.keys(values).sort((a, b) => a.localeCompare(b));
  if (keys.length === 0) return <p class="panel-empty">{empty}</p>;
  return (
    <dl class={`values ${isLocked ? "values-locked" : ""}`}>
      {keys.map((key) => (
        <div key={key}>
          <dt title={key}>
            {isLocked && <Icon name="lock" size={12} />}
            <span>{key}</span>
          </dt>
          <dd>
            <span class={typeof values[key] === "string" ? undefined : "number"}>{values[key] === null ? <span class="faint">null</span> : String(values[key])}</span>
            <Copy text={String(values[key])} label={`Copy ${key}`} />
          </dd>
        </div>
      ))}
    </dl>
  );
}

function Details({ run }: { run: RunView }) {
  return (
    <Panel title="Details">
      <dl class="values values-plain">
        <Detail name="Created"><Time at={run.created_at} exact /></Detail>
        {run.started_at && <Detail name="Started"><Time at={run.started_at} exact /></Detail>}
        {run.ended_at && <Detail name="Ended"><Time at={run.ended_at} exact /></Detail>}
        <Detail name="Changed"><Time at={run.updated_at} exact /></Detail>
        <Detail name="Submitted by">{run.created_by}</Detail>
        <Detail name="Target">{run.target}</Detail>
        {run.run_type && <Detail name="Type">{run.run_type}</Detail>}
        {run.status_details && <Detail name="Status says">{run.status_details}</Detail>}
        <Detail name="Experiment">{run.experiment}</Detail>
        {run.name && <Detail name="Name">{run.name}</Detail>}
      </dl>
    </Panel>
  );
}

function Detail({ name, children }: { name: string; children: ComponentChildren }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}
