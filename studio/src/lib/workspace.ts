/** Which workspace is looked at: the address says; elsewhere the one looked at last. */
import { computed } from "@preact/signals";
import { path } from "./router";
import { remember, remembered } from "./storage";

export const DEFAULT_WORKSPACE = "default";

export const workspace = computed<string>(() => {
  const named = /^\/w\/([^/]+)/.exec(path.value)?.[1];
  if (named === undefined) return remembered("workspace", DEFAULT_WORKSPACE);
  const plain = decodeURIComponent(named);
  remember("workspace", plain);
  return plain;
});
