/**
 * Where the user is: the address is the only place where that is kept, so that every view can be shared.
 *
 * Links are plain `<a href>`; one listener turns clicks on them into changes of the history.
 */
import { computed, signal } from "@preact/signals";

const BASE = "/studio";

interface Place {
  /** Below /studio, without a trailing slash; "/" at the top. */
  path: string;
  query: URLSearchParams;
}

function here(): Place {
  const path = location.pathname.startsWith(BASE) ? location.pathname.slice(BASE.length) : "/";
  return { path: path.replace(/\/+$/, "") || "/", query: new URLSearchParams(location.search) };
}

export const place = signal<Place>(here());
export const path = computed(() => place.value.path);
export const query = computed(() => place.value.query);

export type QueryChange = Record<string, string | readonly string[] | number | boolean | null | undefined>;

/** An address in the Studio: segments are escaped, empty query values left out. */
export function href(segments: readonly string[], values: QueryChange = {}): string {
  const text = withQuery(new URLSearchParams(), values).toString();
  return `${BASE}/${segments.map(encodeURIComponent).join("/")}${text ? `?${text}` : ""}`;
}

export function navigate(to: string, how: "push" | "replace" = "push"): void {
  if (how === "push") history.pushState(null, "", to);
  else history.replaceState(null, "", to);
  const before = place.value.path;
  place.value = here();
  if (how === "push" && place.value.path !== before) {
    scrollTo(0, 0);
    // Who cannot see that the page has changed hears its heading.
    requestAnimationFrame(() => document.querySelector<HTMLElement>("main")?.focus({ preventScroll: true }));
  }
}

/** Change some of the query and leave the rest: null, "" and false remove. Replaces unless told to push. */
export function setQuery(change: QueryChange, how: "push" | "replace" = "replace"): void {
  const text = withQuery(new URLSearchParams(location.search), change).toString();
  if (`?${text}` !== location.search && (text || location.search)) {
    navigate(location.pathname + (text ? `?${text}` : ""), how);
  }
}

function withQuery(values: URLSearchParams, change: QueryChange): URLSearchParams {
  for (const [name, value] of Object.entries(change)) {
    values.delete(name);
    if (value === null || value === undefined || value === "" || value === false) continue;
    if (typeof value === "object") for (const item of value) values.append(name, item);
    else values.set(name, value === true ? "1" : String(value));
  }
  return values;
}

/** Match a path against a pattern such as "/w/:workspace/runs/:run"; the named segments, or null. */
export function match(pattern: string, given: string): Record<string, string> | null {
  const wanted = pattern.split("/");
  const segments = given.split("/");
  if (wanted.length !== segments.length) return null;
  const named: Record<string, string> = {};
  for (const [index, part] of wanted.entries()) {
    const segment = segments[index] ?? "";
    if (part.startsWith(":")) {
      try {
        named[part.slice(1)] = decodeURIComponent(segment);
      } catch {
        return null;
      }
    } else if (part !== segment) return null;
  }
  return named;
}

export function startRouter(): void {
  addEventListener("popstate", () => (place.value = here()));
  document.addEventListener("click", (event) => {
    if (event.defaultPrevented || event.button !== 0) return;
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const link = (event.target as Element).closest("a");
    if (!link || link.target || link.hasAttribute("download") || link.origin !== location.origin) return;
    if (!link.pathname.startsWith(BASE + "/") && link.pathname !== BASE) return;
    event.preventDefault();
    navigate(link.pathname + link.search);
  });
}
