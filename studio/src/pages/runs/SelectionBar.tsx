/** What can be done with the runs that are selected. */
import { useState } from "preact/hooks";
import { cancelRun, changeTags, updateRun } from "../../api/runs";
import { counted } from "../../lib/numbers";
import { href } from "../../lib/router";
import { Button, IconButton } from "../../ui/basics";
import { confirm, Dialog } from "../../ui/dialogs";
import { Icon } from "../../ui/icons";
import { tell, tellFailure } from "../../ui/toasts";

const AT_ONCE = 6;
const COMPARED_MAX = 100;

interface SelectionBarProps {
  workspace: string;
  runIds: readonly string[];
  onClear: () => void;
  onDone: () => void;
}

export function SelectionBar({ workspace, runIds, onClear, onDone }: SelectionBarProps) {
  const [isTagging, setTagging] = useState(false);
  const what = counted(runIds.length, "run");

  const apply = async (done: string, change: (runId: string) => Promise<unknown>): Promise<void> => {
    const failed = await forEach(runIds, change);
    if (failed.length < runIds.length) tell(`${counted(runIds.length - failed.length, "run")} ${done}.`);
    if (failed.length > 0) tellFailure(`${counted(failed.length, "run")} not ${done}`, failed[0]);
    onDone();
  };
  const cancel = async (): Promise<void> => {
    const text = "Whoever holds a run is asked to end it; without a living holder it is canceled at once. Runs that have ended stay as they are.";
    if (await confirm(`Cancel ${what}?`, text, `Cancel ${what}`)) await apply("asked to end", (runId) => cancelRun(workspace, runId));
  };

  return (
    <div class="selection-bar" role="toolbar" aria-label="Selected runs">
      <strong role="status">{what} selected</strong>
      <a
        class="button button-primary"
        aria-disabled={runIds.length > COMPARED_MAX}
        title={runIds.length > COMPARED_MAX ? `At most ${COMPARED_MAX} runs are compared` : undefined}
        href={href(["w", workspace, "compare"], { run: runIds.slice(0, COMPARED_MAX) })}
      >
        <Icon name="compare" size={14} />
        Compare
      </a>
      <Button look="quiet" icon="tag" onClick={() => setTagging(true)}>
        Tag
      </Button>
      <Button look="quiet" icon="stop" onClick={() => void cancel()}>
        Cancel
      </Button>
      <Button look="quiet" icon="archive" onClick={() => void apply("archived", (runId) => updateRun(workspace, runId, { archived: true }))}>
        Archive
      </Button>
      <IconButton icon="x" label="Clear the selection" onClick={onClear} />
      {isTagging && (
        <TagDialog
          title={`Tag ${what}`}
          onClose={() => setTagging(false)}
          onTag={(key, value) => {
            setTagging(false);
            void apply("tagged", (runId) => changeTags(workspace, runId, { set: { [key]: value } }));
          }}
        />
      )}
    </div>
  );
}

/** Asks for a tag: a key, and a value if it has one. */
export function TagDialog({ title, onClose, onTag }: { title: string; onClose: () => void; onTag: (key: string, value: string | null) => void }) {
  const [key, setKey] = useState("");
  const [value, setValue] = useState("");
  return (
    <Dialog title={title} onClose={onClose}>
      <form
        class="menu-form"
        onSubmit={(event) => {
          event.preventDefault();
          if (key.trim()) onTag(key.trim(), value.trim() || null);
        }}
      >
        <label class="form-row">
          <span>Tag</span>
          <input class="field" autofocus required value={key} onInput={(event) => setKey(event.currentTarget.value)} />
        </label>
        <label class="form-row">
          <span>Value (may be empty)</span>
          <input class="field" value={value} onInput={(event) => setValue(event.currentTarget.value)} />
        </label>
        <div class="dialog-actions">
          <Button onClick={onClose}>Leave it</Button>
          <Button type="submit" look="primary" disabled={!key.trim()}>
            Set the tag
          </Button>
        </div>
      </form>
    </Dialog>
  );
}

/** A few at a time; returns what went wrong. */
async function forEach(runIds: readonly string[], change: (runId: string) => Promise<unknown>): Promise<unknown[]> {
  const failed: unknown[] = [];
  const waiting = [...runIds];
  const work = async (): Promise<void> => {
    for (let runId = waiting.shift(); runId !== undefined; runId = waiting.shift()) {
      try {
        await change(runId);
      } catch (error) {
        failed.push(error);
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return failed;
}
