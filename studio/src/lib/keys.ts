/** Keys that hold everywhere: "/" goes to the search, "g" and a letter to a page. */
import { href, navigate } from "./router";
import { workspace } from "./workspace";

const GO_MS = 1_000;

export function startKeys(): void {
  let wentAt = 0;
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
    if (document.querySelector("dialog[open]")) return;
    if (event.key === "/") {
      const search = document.querySelector<HTMLInputElement>("[data-search]");
      if (search === null) return;
      event.preventDefault();
      search.focus();
      search.select();
    } else if (event.key === "g") wentAt = event.timeStamp;
    else if (event.timeStamp - wentAt < GO_MS) {
      wentAt = 0;
      if (event.key === "e") navigate(href(["w", workspace.value, "experiments"]));
      else if (event.key === "r") navigate(href(["w", workspace.value, "runs"]));
      else if (event.key === "s") navigate(href(["system"]));
    }
  });
}

export function isTyping(target: EventTarget | null): boolean {
  return target instanceof Element && target.matches("input:not([type=checkbox]), textarea, select, [contenteditable]");
}
