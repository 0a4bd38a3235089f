/**
 * What the search box holds: plain words, an expression of the filter language, or words and then an expression.
 *
 * `adam status = "Failed"` looks for the word "adam" among failed runs.
 */

const ATTRIBUTES =
  "run_id|experiment|number|status|status_details|name|display_name|description|created_at|started_at|ended_at|updated_at|duration_s|created_by|parent_run_id|root_run_id|run_type|target|cancel_reason|archived|erased|rejections|lost_commands|lost_values";
const KEY = "(?:\"(?:[^\"]|\"\")*\"|'(?:[^']|'')*'|`[^`]*`|[\\w/.-]+)";
const OPERATOR = "(?:=|!=|<|>|(?:not\\s+)?(?:like|ilike|in)\\b|is\\s)";
const BEGIN = new RegExp(
  `(?:^|\\s)(\\(*\\s*(?:not\\s+)*\\(*\\s*(?:has\\s*\\(|(?:tags|params|properties|metrics)\\.${KEY}(?:\\.(?:min|max|count|latest))?\\s*${OPERATOR}|(?:${ATTRIBUTES})\\s*${OPERATOR}))`,
  "i",
);

export interface Search {
  words: string;
  filter: string;
}

export function splitSearch(text: string): Search {
  const found = BEGIN.exec(text);
  if (found === null) return { words: text.trim(), filter: "" };
  const at = found.index + found[0].length - (found[1]?.length ?? 0);
  return { words: text.slice(0, at).trim(), filter: text.slice(at).trim() };
}

/** A text as the filter language writes it. */
export function quoted(text: string): string {
  return `"${text.replaceAll('"', '""')}"`;
}

/** The condition that a run has this value in a field that groups were made by. */
export function isValue(field: string, value: string | null): string {
  return value === null ? `${field} is null` : `${field} = ${quoted(value)}`;
}

/** Both conditions, where there are two. */
export function both(one: string, other: string): string {
  if (!one || !other) return one || other;
  return `(${one}) and (${other})`;
}
