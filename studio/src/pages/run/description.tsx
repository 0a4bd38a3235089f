import { useState } from "preact/hooks";
import { updateRun } from "../../api/runs";
import type { RunView } from "../../api/types";
import { Button, IconButton } from "../../ui/basics";
import { tellFailure } from "../../ui/toasts";

/** What people say about the run; anybody who may write can change it. */
export function Description({ run }: { run: RunView }) {
  const [draft, setDraft] = useState<string | null>(null);
  const save = async (): Promise<void> => {
    const text = draft?.trim() ?? "";
    if (text === (run.description ?? "")) return setDraft(null);
    try {
      await updateRun(run.workspace, run.run_id, { description: text || null });
      setDraft(null);
    } catch (error) {
      tellFailure("The description was not changed", error);
    }
  };
  if (draft !== null) {
    return (
      <form class="description-form" onSubmit={(event) => (event.preventDefault(), void save())}>
        <textarea
          class="field"
          rows={4}
          aria-label="Description"
          autofocus
          ref={(element) => element?.focus()}
          value={draft}
          onInput={(event) => setDraft(event.currentTarget.value)}
          onKeyDown={(event) => {
            if (event.key === "Escape") setDraft(null);
            else if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) void save();
          }}
        />
        <div class="dialog-actions">
          <Button onClick={() => setDraft(null)}>Leave it</Button>
          <Button type="submit" look="primary">Save</Button>
        </div>
      </form>
    );
  }
  if (!run.description) {
    return run.erased ? null : (
      <button type="button" class="add-line" onClick={() => setDraft("")}>
        Add a description
      </button>
    );
  }
  return (
    <div class="description">
      <p>{run.description}</p>
      <IconButton icon="edit" label="Change the description" onClick={() => setDraft(run.description ?? "")} />
    </div>
  );
}
