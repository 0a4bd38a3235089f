/** Times and durations as people read them: local, with UTC at hand. */
import { signal } from "@preact/signals";

/** The present, once a second while the page is looked at. Who reads it is drawn anew each second. */
export const now = signal(Date.now());

setInterval(() => {
  if (!document.hidden) now.value = Date.now();
}, 1_000);
document.addEventListener("visibilitychange", () => (now.value = Date.now()));

/** The server's clock minus ours in ms, from what it says in its answers: durations run by its clock. */
export const clockSkewMs = signal(0);

const DAY = new Intl.DateTimeFormat(undefined, { year: "numeric", month: "short", day: "numeric" });
const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const CLOCK_S = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const SHORT_DAY = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric" });

export function milliseconds(time: string): number {
  return Date.parse(time);
}

/** "14:03" today, "12 May, 14:03" this year, with the year otherwise. */
export function localTime(ms: number, at: number = Date.now()): string {
  const then = new Date(ms);
  const today = new Date(at);
  if (then.toDateString() === today.toDateString()) return CLOCK.format(then);
  const day = then.getFullYear() === today.getFullYear() ? SHORT_DAY : DAY;
  return `${day.format(then)}, ${CLOCK.format(then)}`;
}

/** With seconds, for places where order matters. */
export function localTimeExact(ms: number, at: number = Date.now()): string {
  const then = new Date(ms);
  const clock = CLOCK_S.format(then);
  return then.toDateString() === new Date(at).toDateString() ? clock : `${SHORT_DAY.format(then)}, ${clock}`;
}

/** As recorded: UTC with milliseconds. */
export function utcTime(ms: number): string {
  return new Date(ms).toISOString().replace("T", " ").replace("Z", " UTC");
}

const UNITS: readonly (readonly [string, number])[] = [
  ["d", 86_400_000],
  ["h", 3_600_000],
  ["min", 60_000],
];

/** "just now", "5 min ago", "3 h ago", "2 d ago"; older ones as a date. */
export function ago(ms: number, at: number): string {
  const past = at - ms;
  if (past < 60_000) return past > -60_000 ? "just now" : localTime(ms, at);
  if (past > 7 * 86_400_000) return localTime(ms, at);
  for (const [unit, size] of UNITS) {
    if (past >= size) return `${Math.floor(past / size)} ${unit} ago`;
  }
  return "just now";
}

/** "340 ms", "12.4 s", "3:07", "2:15:09", "4 d 2:15". */
export function duration(ms: number): string {
  if (!Number.isFinite(ms)) return "";
  if (ms < 0) return "0 s";
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 59_950) return `${(ms / 1_000).toFixed(1)} s`;
  return clock(ms);
}

/** As above for something that still runs: whole seconds, so that nothing flickers. */
export function runningDuration(ms: number): string {
  return ms < 60_000 ? `${Math.max(0, Math.floor(ms / 1_000))} s` : clock(ms);
}

function clock(ms: number): string {
  const s = Math.floor(ms / 1_000);
  const two = (n: number): string => String(n).padStart(2, "0");
  const [days, hours, minutes, seconds] = [Math.floor(s / 86_400), Math.floor(s / 3_600) % 24, Math.floor(s / 60) % 60, s % 60];
  if (days > 0) return `${days} d ${hours}:${two(minutes)}`;
  return hours > 0 ? `${hours}:${two(minutes)}:${two(seconds)}` : `${minutes}:${two(seconds)}`;
}
