import { useState } from "preact/hooks";
import { changeTags } from "../../api/runs";
import type { RunView } from "../../api/types";
import { Button, IconButton } from "../../ui/basics";
import { tellFailure } from "../../ui/toasts";

/** Tags, each of which can be changed and removed, and a line for a new one. */
export function RunTags({ run }: { run: RunView }) {
  const [key, setKey] = useState("");
  const [value, setValue] = useState("");
  const change = async (what: Parameters<typeof changeTags>[2]): Promise<void> => {
    try {
      await changeTags(run.workspace, run.run_id, what);
    } catch (error) {
      tellFailure("The tags were not changed", error);
    }
  };
  const add = (event: Event): void => {
    event.preventDefault();
    if (!key.trim()) return;
    void change({ set: { [key.trim()]: value.trim() || null } });
    setKey("");
    setValue("");
  };
  return (
    <>
      <ul class="tag-lines">
        {Object.entries(run.tags).map(([name, given]) => (
          <TagLine key={name} name={name} value={given} change={change} />
        ))}
      </ul>
      {!run.erased && (
        <form class="tag-form" onSubmit={add}>
          <input class="field" placeholder="Tag" aria-label="New tag" value={key} onInput={(event) => setKey(event.currentTarget.value)} />
          <input class="field" placeholder="Value" aria-label="Value of the new tag" value={value} onInput={(event) => setValue(event.currentTarget.value)} />
          <Button type="submit" disabled={!key.trim()}>Add</Button>
        </form>
      )}
    </>
  );
}

function TagLine({ name, value, change }: { name: string; value: string | null; change: (what: { set?: Record<string, string | null>; remove?: string[] }) => Promise<void> }) {
  const [draft, setDraft] = useState<string | null>(null);
  const save = (event: Event): void => {
    event.preventDefault();
    if (draft === null) return;
    setDraft(null);
    const next = draft.trim() || null;
    if (next !== value) void change({ set: { [name]: next } });
  };
  return (
    <li class="tag-line">
      <span class="tag-name truncate" title={name}>{name}</span>
      {draft === null ? (
        <span class="tag-value" title={value ?? undefined}>{value}</span>
      ) : (
        <form onSubmit={save}>
          <input
            class="field"
            aria-label={`Value of ${name}`}
            value={draft}
            ref={(element) => element?.focus()}
            onInput={(event) => setDraft(event.currentTarget.value)}
            onBlur={save}
            onKeyDown={(event) => event.key === "Escape" && setDraft(null)}
          />
        </form>
      )}
      <IconButton icon="edit" label={`Change ${name}`} onClick={() => setDraft(value ?? "")} />
      <IconButton icon="x" label={`Remove ${name}`} onClick={() => void change({ remove: [name] })} />
    </li>
  );
}
