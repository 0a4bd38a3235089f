/** Short news in a corner: what was done, or why it was not. */
import { signal } from "@preact/signals";
import { messageOf } from "./basics";
import { IconButton } from "./basics";

interface Toast {
  id: number;
  text: string;
  isBad: boolean;
}

const SHOWN_MS = 5_000;
const toasts = signal<readonly Toast[]>([]);
let next = 1;

function dismiss(id: number): void {
  toasts.value = toasts.value.filter((toast) => toast.id !== id);
}

function add(text: string, isBad: boolean): void {
  const id = next++;
  toasts.value = [...toasts.value.slice(-3), { id, text, isBad }];
  // A refusal stays until it was read.
  if (!isBad) setTimeout(() => dismiss(id), SHOWN_MS);
}

export function tell(text: string): void {
  add(text, false);
}

export function tellFailure(what: string, error: unknown): void {
  add(`${what}: ${messageOf(error)}`, true);
}

export function Toasts() {
  return (
    <div class="toasts" role="status" aria-live="polite">
      {toasts.value.map((toast) => (
        <div key={toast.id} class={`toast ${toast.isBad ? "toast-bad" : ""}`}>
          <span>{toast.text}</span>
          <IconButton icon="x" label="Dismiss" onClick={() => dismiss(toast.id)} />
        </div>
      ))}
    </div>
  );
}
