import { signal } from "@preact/signals";

export type Theme = "light" | "dark" | "system";

// public/theme.js reads the same place before the first paint, so the value is kept as plain text.
const PLACE = "runfold.theme";

function stored(): Theme {
  const named = document.documentElement.dataset["theme"];
  return named === "light" || named === "dark" ? named : "system";
}

export const theme = signal<Theme>(stored());

/** Counts changes of what is drawn, whoever made them: canvases draw themselves anew. */
export const themeChanges = signal(0);

export function setTheme(next: Theme): void {
  theme.value = next;
  if (next === "system") delete document.documentElement.dataset["theme"];
  else document.documentElement.dataset["theme"] = next;
  try {
    if (next === "system") localStorage.removeItem(PLACE);
    else localStorage.setItem(PLACE, next);
  } catch {
    // It holds until the page is left.
  }
  themeChanges.value++;
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => themeChanges.value++);

let probe: HTMLElement | null = null;

/** A colour of tokens.css as a canvas understands it. */
export function color(name: `--${string}`): string {
  if (probe === null) {
    probe = document.body.appendChild(document.createElement("i"));
    probe.hidden = true;
  }
  probe.style.color = `var(${name})`;
  return getComputedStyle(probe).color;
}
