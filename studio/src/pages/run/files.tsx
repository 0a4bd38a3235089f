/** The files of a run as a tree, and one of them looked into. `?file=` says which. */
import { useEffect, useMemo, useState } from "preact/hooks";
import { fetchFiles } from "../../api/files";
import type { FileInfo } from "../../api/types";
import { bytes, count, counted } from "../../lib/numbers";
import { query, setQuery } from "../../lib/router";
import { useQuery } from "../../lib/useQuery";
import { Button, Empty, Failure, Skeleton } from "../../ui/basics";
import { Icon, type IconName } from "../../ui/icons";
import { FilePreview } from "./files/FilePreview";
import { folderOf, type Folder } from "./files/tree";
import type { RunTabProps } from "./model";

const OPEN_FILES_MAX = 60;
const ROWS = 300;

export function FilesTab({ model, run }: RunTabProps) {
  const { workspace, run_id: runId } = run;
  const { data, error, reload } = useQuery(`files ${workspace} ${runId}`, (signal) => fetchFiles(workspace, runId, signal));
  useEffect(
    () =>
      model.listen({
        history: (entries) => {
          if (entries.some(({ type }) => type === "run.artifact_recorded" || type === "run.erased")) reload();
        },
        resync: reload,
      }),
    [model, reload],
  );
  const [search, setSearch] = useState("");
  const wanted = search.trim().toLowerCase();
  const top = useMemo(() => folderOf((data ?? []).filter(({ path }) => path.toLowerCase().includes(wanted))), [data, wanted]);
  const chosen = query.value.get("file");
  const file = data?.find(({ path }) => path === chosen);

  if (data === undefined) return error === undefined ? <Skeleton lines={8} /> : <Failure error={error} retry={reload} />;
  if (data.length === 0) {
    return (
      <Empty icon="folder" title="This run has no files">
        <p>What a run uploads, or leaves in <code>outputs/</code>, is here.</p>
        <pre>{'run.upload_file("outputs/model.bin", "model.bin")'}</pre>
      </Empty>
    );
  }
  return (
    <div class="files">
      <nav class="panel file-tree" aria-label="Files">
        <div class="file-tree-head">
          <label class="find">
            <Icon name="search" size={14} />
            <input class="field" type="search" placeholder="Find a file" aria-label="Find a file" data-search value={search} onInput={(event) => setSearch(event.currentTarget.value)} />
          </label>
        </div>
        <div class="file-tree-list">
          {top.count === 0 ? <p class="panel-empty">No file is called like that.</p> : <Members folder={top} depth={0} chosen={chosen} isOpenAtFirst={wanted !== "" || top.count <= OPEN_FILES_MAX} />}
        </div>
        <p class="file-tree-foot faint">
          {counted(top.count, "file")}, {bytes(top.bytes)}
        </p>
      </nav>
      {file === undefined ? (
        <Empty icon="file" title={chosen === null ? "Choose a file to look into it" : "There is no such file"}>{chosen !== null && <code>{chosen}</code>}</Empty>
      ) : (
        <FilePreview key={file.path} workspace={workspace} runId={runId} file={file} />
      )}
    </div>
  );
}

interface MembersProps {
  folder: Folder;
  depth: number;
  chosen: string | null;
  isOpenAtFirst: boolean;
}

function Members({ folder, depth, chosen, isOpenAtFirst }: MembersProps) {
  const [rows, setRows] = useState(ROWS);
  return (
    <ul>
      {folder.folders.map((one) => (
        <FolderLine key={one.path} folder={one} depth={depth} chosen={chosen} isOpenAtFirst={isOpenAtFirst} />
      ))}
      {folder.files.slice(0, rows).map((file) => (
        <FileLine key={file.path} file={file} depth={depth} isChosen={file.path === chosen} />
      ))}
      {folder.files.length > rows && (
        <li>
          <Button look="quiet" onClick={() => setRows(rows * 4)}>
            Show more of {count(folder.files.length)}
          </Button>
        </li>
      )}
    </ul>
  );
}

function FolderLine({ folder, depth, chosen, isOpenAtFirst }: MembersProps) {
  const [isOpen, open] = useState(isOpenAtFirst || (chosen?.startsWith(`${folder.path}/`) ?? false));
  useEffect(() => {
    if (isOpenAtFirst) open(true);
  }, [isOpenAtFirst]);
  return (
    <li>
      <button type="button" class="file-line" style={{ "--depth": depth }} aria-expanded={isOpen} onClick={() => open(!isOpen)}>
        <Icon name={isOpen ? "chevronDown" : "chevronRight"} size={12} />
        <Icon name="folder" size={14} />
        <span class="truncate">{folder.name}</span>
        <span class="file-size number" title={bytes(folder.bytes)}>{count(folder.count)}</span>
      </button>
      {isOpen && <Members folder={folder} depth={depth + 1} chosen={chosen} isOpenAtFirst={isOpenAtFirst} />}
    </li>
  );
}

function FileLine({ file, depth, isChosen }: { file: FileInfo; depth: number; isChosen: boolean }) {
  const name = file.path.slice(file.path.lastIndexOf("/") + 1);
  return (
    <li>
      <button type="button" class="file-line is-file" style={{ "--depth": depth }} aria-current={isChosen ? "true" : undefined} title={file.path} onClick={() => setQuery({ file: file.path })}>
        <Icon name={iconOf(file)} size={14} />
        <span class="truncate">{name}</span>
        <span class="file-size number">{bytes(file.size_bytes)}</span>
      </button>
    </li>
  );
}

function iconOf(file: FileInfo): IconName {
  if (/\.(png|jpe?g|gif|webp|bmp|svg)$/i.test(file.path)) return "image";
  if (/\.(csv|tsv|parquet)$/i.test(file.path)) return "columns";
  return "file";
}
