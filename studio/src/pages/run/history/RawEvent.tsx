/** One event as the ledger keeps it: who, when, where it stands, what proves it, and all of it as it was answered. */
import type { ComponentChildren } from "preact";
import { fetchEvent } from "../../../api/events";
import type { EventOut } from "../../../api/types";
import { indented } from "../../../lib/json";
import { useQuery } from "../../../lib/useQuery";
import { Copy, Failure, Skeleton, Time } from "../../../ui/basics";
import type { RunModel } from "../model";

const SKEW_MS_SHOWN = 60_000;
/** Of one text, such as a body that is no JSON; copied it is whole. */
const TEXT_CHARS_SHOWN = 10_000;

export function RawEvent({ model, seq }: { model: RunModel; seq: number }) {
  const { workspace, runId } = model;
  const { data, error, reload } = useQuery(JSON.stringify([workspace, runId, seq]), (signal) => fetchEvent(workspace, runId, seq, signal));
  if (data === undefined) return <div class="history-raw">{error === undefined ? <Skeleton lines={6} /> : <Failure error={error} retry={reload} />}</div>;
  const { event, text } = data;
  const traceback = tracebackOf(event);
  return (
    <div class="history-raw">
      <Facts event={event} />
      {traceback && <pre class="raw" tabIndex={0} aria-label="Traceback">{traceback}</pre>}
      <div class="history-json">
        <Copy text={indented(text)} label="Copy the event" />
        <pre class="raw" tabIndex={0} aria-label="The event">{indented(text, TEXT_CHARS_SHOWN)}</pre>
      </div>
    </div>
  );
}

function Facts({ event }: { event: EventOut }) {
  const [recorded, occurred] = [event.recorded_at / 1_000, event.occurred_at / 1_000];
  return (
    <dl class="history-facts">
      <Fact name="Who">
        {event.actor} <span class="faint">{event.actor_source}, {event.door}</span>
      </Fact>
      <Code name="Event" text={event.id} />
      <Fact name="Recorded"><Time at={recorded} exact /></Fact>
      <Code name="Writer" text={event.writer_id}>
        <span class="faint">its command {event.writer_seq}</span>
      </Code>
      <Fact name="Client's clock">
        <Time at={occurred} exact />
        {Math.abs(occurred - recorded) > SKEW_MS_SHOWN && <span class="badge">differs</span>}
      </Fact>
      <Code name="Digest" text={event.digest} />
      <Fact name="Position">
        <span class="number">{event.pos}</span> <span class="faint">in partition {event.partition}</span>
      </Fact>
      <Code name="Chain" text={event.chain} />
      <Fact name="Run's event"><span class="number">{event.stream_seq}</span></Fact>
      {event.causation_id && <Code name="Caused by" text={event.causation_id} />}
      {event.correlation_id && <Code name="Together with" text={event.correlation_id} />}
    </dl>
  );
}

function Code({ name, text, children }: { name: string; text: string; children?: ComponentChildren }) {
  return (
    <Fact name={name}>
      <span class="mono truncate" title={text}>{text}</span>
      {children}
    </Fact>
  );
}

function Fact({ name, children }: { name: string; children: ComponentChildren }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function tracebackOf({ body }: EventOut): string | null {
  const error = isRecord(body) ? body["error"] : null;
  const traceback = isRecord(error) ? error["traceback"] : null;
  return typeof traceback === "string" ? traceback : null;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}
