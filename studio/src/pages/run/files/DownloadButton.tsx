import { useState } from "preact/hooks";
import { fetchAnswer, hasToken } from "../../../api/http";
import { runPath } from "../../../api/runs";
import { saveBlob } from "../../../lib/save";
import { Button } from "../../../ui/basics";
import { Icon } from "../../../ui/icons";
import { tellFailure } from "../../../ui/toasts";

/** The browser itself fetches a file, of any size; unless that takes a token, which it cannot send. */
export function DownloadButton({ workspace, runId, path, words = "Download" }: { workspace: string; runId: string; path: string; words?: string }) {
  const [isBusy, setBusy] = useState(false);
  const name = path.slice(path.lastIndexOf("/") + 1);
  const address = runPath(workspace, runId, "artifacts", ...path.split("/"));
  if (!hasToken.value) {
    return (
      <a class="button button-plain" href={address} download={name}>
        <Icon name="download" size={14} />
        {words}
      </a>
    );
  }
  const save = async (): Promise<void> => {
    setBusy(true);
    try {
      saveBlob(name, await (await fetchAnswer(address)).blob());
    } catch (error) {
      tellFailure(`${name} was not downloaded`, error);
    } finally {
      setBusy(false);
    }
  };
  return (
    <Button icon="download" disabled={isBusy} onClick={() => void save()}>
      {isBusy ? "Downloading…" : words}
    </Button>
  );
}
