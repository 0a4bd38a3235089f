/** The server and its store: positions, what views have folded, what could not be read. Looks again every two seconds. */
import { useEffect, useState } from "preact/hooks";
import { ask, Problem } from "../../api/http";
import type { Entry, EntryPage, ProjectionState, SystemAnswer } from "../../api/types";
import { bytes, count, counted } from "../../lib/numbers";
import { useQuery } from "../../lib/useQuery";
import { Button, Empty, Failure, Skeleton, Time } from "../../ui/basics";
import { Dialog } from "../../ui/dialogs";
import { Icon } from "../../ui/icons";
import { PageHead, useTitle } from "../../ui/Page";

const LOOK_MS = 2_000;
const UNREADABLE_ROWS = 100;

export function SystemPage() {
  useTitle("System");
  const system = useQuery("system", (signal) => ask<SystemAnswer>("/api/v1/system", { signal }));
  const projections = useQuery("projections", (signal) => ask<ProjectionState[]>("/api/v1/system/projections", { signal }));
  useLookAgain(() => (system.reload(), projections.reload()));
  const error = system.error ?? projections.error;
  const isGone = error instanceof Problem && error.status === 0 && system.data !== undefined;
  return (
    <>
      <PageHead title="System" />
      <div class="page-body">
        {isGone && (
          <p class="notice" role="alert">
            <Icon name="refresh" size={14} />
            The server does not answer. What follows is what it said last.
          </p>
        )}
        {system.data === undefined ? error === undefined ? <Skeleton /> : <Failure error={error} retry={() => (system.reload(), projections.reload())} /> : <Facts system={system.data} states={projections.data ?? []} />}
        {projections.data !== undefined && system.data !== undefined && (
          <>
            <Projections states={projections.data} />
            <Partitions ends={system.data.ends} states={projections.data} />
            {system.data.admin && <Unreadable />}
          </>
        )}
      </div>
    </>
  );
}

function useLookAgain(look: () => void): void {
  useEffect(() => {
    const timer = setInterval(() => !document.hidden && look(), LOOK_MS);
    return () => clearInterval(timer);
  }, []);
}

function Facts({ system, states }: { system: SystemAnswer; states: readonly ProjectionState[] }) {
  const events = system.ends.reduce((sum, end) => sum + end, 0);
  const lag = Math.max(0, ...states.map((state) => state.end - state.position));
  return (
    <dl class="facts">
      <Fact name="Events" note={counted(system.ends.length, "partition")}>{count(events)}</Fact>
      <Fact name="Views behind by" note={lag === 0 ? "up to date" : "events, at most"}>{count(lag)}</Fact>
      <Fact name="Processes" note="that hold runs">{count(system.leases)}</Fact>
      <Fact name="Commands waiting" note="in this process">{count(system.queued_commands)}</Fact>
      <Fact name="Watching live" note="in this process">{count(system.followers)}</Fact>
      <Fact name="Server" note={<>since <Time at={system.started_at} /></>}>{system.version}</Fact>
      <Fact name="You are" note={system.admin ? "an admin" : "no admin"}>{system.actor}</Fact>
    </dl>
  );
}

function Fact({ name, note, children }: { name: string; note: preact.ComponentChildren; children: preact.ComponentChildren }) {
  return (
    <div class="fact">
      <dt>{name}</dt>
      <dd>
        {children}
        <span class="fact-note">{note}</span>
      </dd>
    </div>
  );
}

interface Projection {
  name: string;
  version: number;
  lag: number;
  folded: number;
  stopped: ProjectionState[];
  rebuilt: { version: number; folded: number } | null;
  end: number;
}

function byProjection(states: readonly ProjectionState[]): Projection[] {
  const found = new Map<string, Projection>();
  for (const state of states) {
    const one = found.get(state.projection) ?? { name: state.projection, version: state.version, lag: 0, folded: 0, stopped: [], rebuilt: null, end: 0 };
    one.lag += state.end - state.position;
    one.folded += state.position;
    one.end += state.end;
    if (state.error) one.stopped.push(state);
    if (state.rebuilt_position !== undefined && state.rebuilt_position !== null) {
      one.rebuilt = { version: state.rebuilt_version ?? 0, folded: (one.rebuilt?.folded ?? 0) + state.rebuilt_position };
    }
    found.set(state.projection, one);
  }
  return [...found.values()].sort((a, b) => a.name.localeCompare(b.name));
}

function Projections({ states }: { states: readonly ProjectionState[] }) {
  return (
    <section class="system-section" aria-labelledby="projections">
      <div class="section-head">
        <h2 id="projections">Views</h2>
        <span class="faint">what lists and charts are read from; each can be built anew from the events</span>
      </div>
      <div class="panel scroll-x">
        <table class="table">
          <thead>
            <tr>
              <th scope="col">View</th>
              <th scope="col">State</th>
              <th scope="col" class="is-number">Version</th>
              <th scope="col" class="is-number">Folded</th>
              <th scope="col" class="is-number">Behind</th>
              <th scope="col">Rebuild</th>
            </tr>
          </thead>
          <tbody>
            {byProjection(states).map((one) => (
              <tr key={one.name}>
                <td>{one.name}</td>
                <td>
                  {one.stopped.length > 0 ? <span class="stopped">stopped</span> : one.lag > 0 ? <span class="behind">folding</span> : <span class="good">up to date</span>}
                  {one.stopped.map((state) => (
                    <p key={state.partition} class="form-error">
                      partition {state.partition}, position {count(state.position)}: {state.error}
                    </p>
                  ))}
                </td>
                <td class="is-number">{one.version}</td>
                <td class="is-number">{count(one.folded)}</td>
                <td class="is-number">{count(one.lag)}</td>
                <td>
                  {one.rebuilt === null ? (
                    <span class="faint">none</span>
                  ) : (
                    <>
                      version {one.rebuilt.version}
                      <span class="lag" role="progressbar" aria-label={`Rebuild of ${one.name}`} aria-valuemin={0} aria-valuemax={one.end} aria-valuenow={one.rebuilt.folded}>
                        <i style={{ width: `${(100 * one.rebuilt.folded) / Math.max(1, one.end)}%` }} />
                      </span>
                    </>
                  )}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

function Partitions({ ends, states }: { ends: readonly number[]; states: readonly ProjectionState[] }) {
  const lagOf = (partition: number): number => Math.max(0, ...states.filter((state) => state.partition === partition).map((state) => state.end - state.position));
  return (
    <section class="system-section" aria-labelledby="partitions">
      <div class="section-head">
        <h2 id="partitions">Partitions</h2>
        <span class="faint">positions are dense from 0, in the order in which events were committed</span>
      </div>
      <div class="panel scroll-x">
        <table class="table">
          <thead>
            <tr>
              <th scope="col">Partition</th>
              <th scope="col">State</th>
              <th scope="col" class="is-number">Events</th>
              <th scope="col" class="is-number">Slowest view is behind by</th>
            </tr>
          </thead>
          <tbody>
            {ends.map((end, partition) => {
              const lag = lagOf(partition);
              return (
                <tr key={partition}>
                  <td class="number">{partition}</td>
                  <td>{lag > 0 ? <span class="behind">folding</span> : <span class="good">up to date</span>}</td>
                  <td class="is-number">{count(end)}</td>
                  <td class="is-number">{count(lag)}</td>
                </tr>
              );
            })}
          </tbody>
        </table>
      </div>
    </section>
  );
}

function Unreadable() {
  const [shown, show] = useState<Entry | null>(null);
  const { data, error, reload } = useQuery("unreadable", (signal) => ask<EntryPage>("/api/v1/unreadable", { query: { limit: UNREADABLE_ROWS }, signal }));
  useLookAgain(reload);
  return (
    <section class="system-section" aria-labelledby="unreadable">
      <div class="section-head">
        <h2 id="unreadable">Unreadable records</h2>
        <span class="faint">what came by Kafka and could not be handled; kept with its bytes</span>
      </div>
      <div class="panel scroll-x">
        {data === undefined ? (
          error === undefined ? null : <Failure error={error} retry={reload} />
        ) : data.entries.length === 0 ? (
          <Empty icon="check" title="None">
            Everything that was sent could be read.
          </Empty>
        ) : (
          <table class="table">
            <thead>
              <tr>
                <th scope="col">Record</th>
                <th scope="col">When</th>
                <th scope="col">Why</th>
                <th scope="col">Type</th>
                <th scope="col" class="is-number">Size</th>
                <th scope="col">Sent again</th>
                <th scope="col"><span class="visually-hidden">Actions</span></th>
              </tr>
            </thead>
            <tbody>
              {data.entries.map((entry) => (
                <tr key={entry.name}>
                  <td class="mono">{entry.name}</td>
                  <td><Time at={entry.recorded_at / 1_000} /></td>
                  <td>{entry.code}</td>
                  <td class="mono">{entry.type ?? "–"}</td>
                  <td class="is-number">{bytes(entry.value_bytes ?? 0)}</td>
                  <td>{entry.redriven?.length ? <span class="good">yes</span> : <span class="stopped">no</span>}</td>
                  <td class="is-action">
                    <Button look="quiet" onClick={() => show(entry)}>Look</Button>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        )}
      </div>
      {shown && (
        <Dialog title={`Record ${shown.name}`} wide onClose={() => show(null)}>
          <p>{shown.message}</p>
          <pre class="raw">{JSON.stringify(shown, null, 2)}</pre>
        </Dialog>
      )}
    </section>
  );
}
