/** The small parts that every page is made of. */
import type { ButtonHTMLAttributes, ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { Problem } from "../api/http";
import { ago, clockSkewMs, duration, localTime, localTimeExact, milliseconds, now, runningDuration, utcTime } from "../lib/time";
import { Icon, type IconName } from "./icons";

type ButtonProps = Omit<ButtonHTMLAttributes<HTMLButtonElement>, "icon"> & {
  icon?: IconName;
  look?: "plain" | "primary" | "danger" | "quiet";
};

export function Button({ icon, look = "plain", children, class: extra, ...rest }: ButtonProps) {
  return (
    <button type="button" class={`button button-${look} ${extra ?? ""}`} {...rest}>
      {icon && <Icon name={icon} size={14} />}
      {children}
    </button>
  );
}

/** A button that shows an icon alone: its label is read out and shown on hover. */
export function IconButton({ icon, label, class: extra, ...rest }: Omit<ButtonProps, "look" | "label" | "icon"> & { icon: IconName; label: string }) {
  return (
    <button type="button" class={`icon-button ${extra ?? ""}`} aria-label={label} title={label} {...rest}>
      <Icon name={icon} size={15} />
    </button>
  );
}

/** A moment: local, with UTC on hover; `relative` counts from now. */
export function Time({ at, relative, exact }: { at: string | number | null; relative?: boolean; exact?: boolean }) {
  if (at === null) return <span class="faint">–</span>;
  const ms = typeof at === "number" ? at : milliseconds(at);
  const local = exact ? localTimeExact(ms, now.value) : localTime(ms, now.value);
  return (
    <time dateTime={new Date(ms).toISOString()} title={`${new Date(ms).toLocaleString()}\n${utcTime(ms)}`}>
      {relative ? ago(ms, now.value + clockSkewMs.value) : local}
    </time>
  );
}

/** How long something took; without an end it runs. */
export function Duration({ from, to }: { from: string | null; to: string | null }) {
  if (from === null) return <span class="faint">–</span>;
  const began = milliseconds(from);
  if (to !== null) return <span class="number">{duration(milliseconds(to) - began)}</span>;
  return <span class="number is-running">{runningDuration(now.value + clockSkewMs.value - began)}</span>;
}

/** Nothing is here, and why, and what to do. */
export function Empty({ icon, title, children, action }: { icon: IconName; title: string; children?: ComponentChildren; action?: ComponentChildren }) {
  return (
    <div class="state">
      <span class="state-icon">
        <Icon name={icon} size={22} />
      </span>
      <h2>{title}</h2>
      {children && <div class="state-text">{children}</div>}
      {action && <div class="state-actions">{action}</div>}
    </div>
  );
}

/** What went wrong, and how to try again. */
export function Failure({ error, retry }: { error: unknown; retry?: (() => void) | undefined }) {
  const isGone = error instanceof Problem && error.status === 0;
  return (
    <div class="state" role="alert">
      <span class="state-icon state-icon-bad">
        <Icon name={isGone ? "refresh" : "x"} size={22} />
      </span>
      <h2>{isGone ? "The server does not answer" : "This could not be loaded"}</h2>
      <div class="state-text">{isGone ? "It may be restarting. What you see comes back by itself when it does." : messageOf(error)}</div>
      {retry && (
        <div class="state-actions">
          <Button icon="refresh" onClick={retry}>
            Try again
          </Button>
        </div>
      )}
    </div>
  );
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Lines that stand for what is being loaded; shown only when that takes long enough to be noticed. */
export function Skeleton({ lines = 6 }: { lines?: number }) {
  const [isShown, show] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => show(true), 120);
    return () => clearTimeout(timer);
  }, []);
  return (
    <div class="skeleton" role="status" aria-label="Loading">
      {isShown && Array.from({ length: lines }, (_, index) => <span key={index} class={`skeleton-line skeleton-${index % 4}`} />)}
    </div>
  );
}

/** A key and a value, as tags and properties show it. */
export function Chip({ name, value }: { name: string; value: string | null }) {
  const text = value === null ? name : `${name}: ${value}`;
  return (
    <span class="chip" title={text}>
      <span class="chip-name">{name}</span>
      {value !== null && <span class="chip-value">{value}</span>}
    </span>
  );
}

/** Copies a text, and says so. */
export function Copy({ text, label }: { text: string; label: string }) {
  const [isDone, done] = useState(false);
  const copy = async (): Promise<void> => {
    await navigator.clipboard?.writeText(text);
    done(true);
    setTimeout(() => done(false), 1_200);
  };
  return <IconButton class="copy" icon={isDone ? "check" : "copy"} label={isDone ? "Copied" : label} onClick={() => void copy()} />;
}

export function Kbd({ children }: { children: ComponentChildren }) {
  return <kbd>{children}</kbd>;
}
