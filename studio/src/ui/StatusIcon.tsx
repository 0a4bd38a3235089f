/** Statuses by shape and colour: no two shapes are alike, so colour is never all that tells them apart. */
import type { ComponentChildren } from "preact";
import type { Status } from "../api/types";
import { MEANINGS, statusWords } from "../lib/statuses";

const ring = <circle cx="8" cy="8" r="6.25" fill="none" stroke="currentColor" stroke-width="1.5" />;
const disc = <circle cx="8" cy="8" r="7" fill="currentColor" />;
const line = { fill: "none", stroke: "currentColor", "stroke-width": 1.6, "stroke-linecap": "round", "stroke-linejoin": "round" } as const;
const onDisc = { ...line, class: "status-on-disc" } as const;

const SHAPES: Record<Status, ComponentChildren> = {
  NotStarted: <circle cx="8" cy="8" r="6.25" fill="none" stroke="currentColor" stroke-width="1.5" stroke-dasharray="2.2 2.7" />,
  Unapproved: (
    <>
      <path d="M8 1.6 13.6 4.8v6.4L8 14.4 2.4 11.2V4.8z" {...line} />
      <path d="M8 5v3.4M8 10.9v.1" {...line} />
    </>
  ),
  Pausing: (
    <>
      <path d="M14.2 8A6.2 6.2 0 1 1 8 1.8" {...line} />
      <path d="M6.4 6v4M9.6 6v4" {...line} />
    </>
  ),
  Paused: <path d="M4.2 2.5h2.6v11H4.2zM9.2 2.5h2.6v11H9.2z" fill="currentColor" />,
  Starting: <path d="M4.5 2.8v10.4L13 8z" {...line} />,
  Provisioning: (
    <>
      <rect x="2" y="2.5" width="12" height="4.6" rx="1.2" {...line} />
      <rect x="2" y="8.9" width="12" height="4.6" rx="1.2" {...line} stroke-dasharray="2.2 2.4" />
    </>
  ),
  Preparing: <path d="M8 1.6 14.4 8 8 14.4 1.6 8zM8 5.5v2.7l1.8 1.3" {...line} />,
  Queued: <path d="M2.5 3.5h11M2.5 8h8M2.5 12.5h5" {...line} />,
  Running: (
    <>
      <circle cx="8" cy="8" r="6.25" fill="none" stroke="currentColor" stroke-width="1.5" opacity="0.28" />
      <path class="status-turning" d="M8 1.75A6.25 6.25 0 0 1 14.25 8" {...line} />
      <circle cx="8" cy="8" r="2.6" fill="currentColor" />
    </>
  ),
  NotResponding: (
    <>
      <path d="M8 1.5 15 14H1z" fill="currentColor" stroke="currentColor" stroke-width="1" stroke-linejoin="round" />
      <path d="M8 6v3.6M8 12v.1" {...onDisc} />
    </>
  ),
  CancelRequested: (
    <>
      {ring}
      <path d="M5.7 5.7l4.6 4.6M10.3 5.7l-4.6 4.6" {...line} />
    </>
  ),
  Finalizing: (
    <>
      <path d="M8 1.8v7.4M4.8 6.2 8 9.4l3.2-3.2" {...line} />
      <path d="M2 11v3h12v-3" {...line} />
    </>
  ),
  Canceled: (
    <>
      {ring}
      <path d="M3.8 12.2l8.4-8.4" {...line} />
    </>
  ),
  Completed: (
    <>
      {disc}
      <path d="M4.9 8.3 7 10.4l4.1-4.5" {...onDisc} />
    </>
  ),
  Failed: (
    <>
      <path d="M5.1 1h5.8L15 5.1v5.8L10.9 15H5.1L1 10.9V5.1z" fill="currentColor" />
      <path d="M5.8 5.8l4.4 4.4M10.2 5.8l-4.4 4.4" {...onDisc} />
    </>
  ),
};

export function StatusIcon({ status, size = 14 }: { status: Status; size?: number }) {
  return (
    <svg class="status-icon" data-status={status} viewBox="0 0 16 16" width={size} height={size} aria-hidden="true">
      {SHAPES[status]}
    </svg>
  );
}

/** Icon and word. */
export function StatusLabel({ status }: { status: Status }) {
  return (
    <span class="status-label" title={MEANINGS[status]}>
      <StatusIcon status={status} />
      <span>{statusWords(status)}</span>
    </span>
  );
}

/** For headers, where the status is what one looks for first. */
export function StatusPill({ status }: { status: Status }) {
  return (
    <span class="status-pill" data-status={status} title={MEANINGS[status]}>
      <StatusIcon status={status} />
      {statusWords(status)}
    </span>
  );
}
