/** Paths as folders. */
import type { FileInfo } from "../../../api/types";

export interface Folder {
  path: string;
  name: string;
  folders: Folder[];
  files: FileInfo[];
  /** Of everything below. */
  count: number;
  bytes: number;
}

export function folderOf(files: readonly FileInfo[]): Folder {
  const top = empty("", "");
  const known = new Map<string, Folder>([["", top]]);
  for (const file of [...files].sort((a, b) => a.path.localeCompare(b.path, undefined, { numeric: true }))) {
    const at = file.path.lastIndexOf("/");
    const folder = folderAt(known, at < 0 ? "" : file.path.slice(0, at));
    folder.files.push(file);
    for (let above: Folder | undefined = folder; above !== undefined; above = above === top ? undefined : known.get(parent(above.path))) {
      above.count++;
      above.bytes += file.size_bytes;
    }
  }
  return top;
}

function folderAt(known: Map<string, Folder>, path: string): Folder {
  const there = known.get(path);
  if (there !== undefined) return there;
  const made = empty(path, path.slice(path.lastIndexOf("/") + 1));
  known.set(path, made);
  folderAt(known, parent(path)).folders.push(made);
  return made;
}

function parent(path: string): string {
  const at = path.lastIndexOf("/");
  return at < 0 ? "" : path.slice(0, at);
}

function empty(path: string, name: string): Folder {
  return { path, name, folders: [], files: [], count: 0, bytes: 0 };
}
