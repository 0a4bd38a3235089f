/** What a file is, by how it begins and how it is called: what its sender said of it is not relied upon. */

export type FileKind = "image" | "json" | "table" | "text" | "binary";

const IMAGES: readonly (readonly [string, (bytes: Uint8Array) => boolean])[] = [
  ["image/png", (bytes) => begins(bytes, [0x89, 0x50, 0x4e, 0x47])],
  ["image/jpeg", (bytes) => begins(bytes, [0xff, 0xd8, 0xff])],
  ["image/gif", (bytes) => begins(bytes, [0x47, 0x49, 0x46, 0x38])],
  ["image/bmp", (bytes) => begins(bytes, [0x42, 0x4d])],
  ["image/webp", (bytes) => begins(bytes, [0x52, 0x49, 0x46, 0x46]) && begins(bytes.subarray(8), [0x57, 0x45, 0x42, 0x50])],
];

function begins(bytes: Uint8Array, wanted: readonly number[]): boolean {
  return wanted.every((byte, index) => bytes[index] === byte);
}

/** Of a picture that browsers show; null of anything else. */
export function imageType(path: string, bytes: Uint8Array): string | null {
  const found = IMAGES.find(([, isIt]) => isIt(bytes));
  if (found !== undefined) return found[0];
  const isSvg = /\.svg$/i.test(path) && /<svg[\s>]/i.test(new TextDecoder().decode(bytes.subarray(0, 4_096)));
  return isSvg ? "image/svg+xml" : null;
}

export function fileKind(path: string, bytes: Uint8Array): FileKind {
  if (imageType(path, bytes) !== null) return "image";
  if (textOf(bytes) === null) return "binary";
  if (/\.(json|ipynb|geojson)$/i.test(path)) return "json";
  return /\.(csv|tsv)$/i.test(path) ? "table" : "text";
}

/** As UTF-8; null where it is none. A character that the end cuts is left out. */
export function textOf(bytes: Uint8Array): string | null {
  if (bytes.includes(0)) return null;
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes, { stream: true });
  } catch {
    return null;
  }
}

/** Lines of cells, quotes and line ends in quotes included; at most so many. */
export function parseTable(text: string, separator: string, rowsMax: number): string[][] {
  const rows: string[][] = [];
  let row: string[] = [];
  let cell = "";
  let isQuoted = false;
  const endCell = (): void => {
    row.push(cell);
    cell = "";
  };
  for (let at = 0; at < text.length && rows.length < rowsMax; at++) {
    const char = text[at]!;
    if (isQuoted) {
      if (char !== '"') cell += char;
      else if (text[at + 1] === '"') {
        cell += '"';
        at++;
      } else isQuoted = false;
    } else if (char === '"' && cell === "") isQuoted = true;
    else if (char === separator) endCell();
    else if (char === "\n") {
      endCell();
      rows.push(row);
      row = [];
    } else if (char !== "\r") cell += char;
  }
  if ((cell !== "" || row.length > 0) && rows.length < rowsMax) rows.push([...row, cell]);
  return rows;
}
