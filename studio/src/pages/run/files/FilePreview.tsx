/** What is in a file, as far as it can be shown. */
import { fetchFile } from "../../../api/files";
import type { FileInfo } from "../../../api/types";
import { indented } from "../../../lib/json";
import { bytes, count, float, measured } from "../../../lib/numbers";
import { useQuery } from "../../../lib/useQuery";
import { Copy, Empty, Failure, Skeleton, Time } from "../../../ui/basics";
import { DownloadButton } from "./DownloadButton";
import { FileImage } from "./FileImage";
import { fileKind, parseTable, textOf } from "./kinds";

const PREVIEW_BYTES = 512 * 1024;
const ROWS = 500;
const COLUMNS = 60;

interface FilePreviewProps {
  workspace: string;
  runId: string;
  file: FileInfo;
}

export function FilePreview({ workspace, runId, file }: FilePreviewProps) {
  const name = file.path.slice(file.path.lastIndexOf("/") + 1);
  return (
    <section class="panel file-preview" aria-label={`Preview of ${file.path}`}>
      <div class="panel-head">
        <h2 class="truncate" title={file.path}>{name}</h2>
        <span class="file-facts faint">
          <span class="number">{bytes(file.size_bytes)}</span>
          <Time at={file.recorded_at} exact />
          <span class="mono" title={`SHA-256 ${file.sha256}`}>{file.sha256.slice(0, 10)}…</span>
          <Copy text={file.sha256} label="Copy the SHA-256" />
        </span>
        <DownloadButton workspace={workspace} runId={runId} path={file.path} />
      </div>
      <Content workspace={workspace} runId={runId} file={file} />
    </section>
  );
}

function Content({ workspace, runId, file }: FilePreviewProps) {
  const isEmpty = file.size_bytes === 0;
  const { data, error, reload } = useQuery(isEmpty ? null : `file ${workspace} ${runId} ${file.path} ${file.sha256}`, (signal) => fetchFile(workspace, runId, file.path, PREVIEW_BYTES, signal));
  if (isEmpty) return <Empty icon="file" title="This file is empty" />;
  if (data === undefined) return error === undefined ? <div class="file-wait"><Skeleton lines={6} /></div> : <Failure error={error} retry={reload} />;
  const isCut = data.length < file.size_bytes;
  const kind = fileKind(file.path, data);
  if (kind === "image") {
    return (
      <div class="file-image">
        <FileImage workspace={workspace} runId={runId} path={file.path} alt={file.path} />
      </div>
    );
  }
  if (kind === "binary") {
    return (
      <Empty icon="file" title="No preview of this kind of file">
        {file.content_type}, {bytes(file.size_bytes)}
      </Empty>
    );
  }
  const text = textOf(data) ?? "";
  return (
    <>
      {isCut && <p class="file-note">The first {bytes(data.length)} of {bytes(file.size_bytes)}</p>}
      {kind === "table" ? <Table text={text} separator={/\.tsv$/i.test(file.path) ? "\t" : ","} isCut={isCut} /> : <Text text={kind === "json" && !isCut ? tidyJson(text) : text} path={file.path} />}
    </>
  );
}

function Text({ text, path }: { text: string; path: string }) {
  const lines = text.replace(/\n$/, "").split("\n");
  return (
    <div class="file-text" tabIndex={0} role="region" aria-label={`Text of ${path}`}>
      <pre class="file-numbers" aria-hidden="true">{lines.map((_, index) => index + 1).join("\n")}</pre>
      <pre class="file-lines">{lines.join("\n")}</pre>
    </div>
  );
}

function Table({ text, separator, isCut }: { text: string; separator: string; isCut: boolean }) {
  const rows = parseTable(text, separator, ROWS + 2);
  if (isCut) rows.pop();
  const [head, ...body] = rows;
  if (head === undefined) return <Empty icon="file" title="There are no rows in this table" />;
  const shown = body.slice(0, ROWS);
  const columns = head.slice(0, COLUMNS);
  const isNumber = columns.map((_, column) => shown.length > 0 && shown.every((row) => row[column] === undefined || row[column] === "" || isNumeric(row[column])));
  return (
    <>
      {(body.length > ROWS || head.length > COLUMNS) && <p class="file-note">The first {count(shown.length)} rows{head.length > COLUMNS && `, ${COLUMNS} of ${count(head.length)} columns`}</p>}
      <div class="file-table" tabIndex={0} role="region" aria-label="Rows of the table">
        <table class="table table-tight">
          <thead>
            <tr>{columns.map((name, column) => <th key={column} scope="col" class={isNumber[column] ? "is-number" : undefined}>{name}</th>)}</tr>
          </thead>
          <tbody>
            {shown.map((row, index) => (
              <tr key={index}>{columns.map((_, column) => <td key={column} class={isNumber[column] ? "is-number" : undefined}>{isNumber[column] && row[column] ? measured(float(row[column]) ?? Number(row[column])) : row[column]}</td>)}</tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}

function isNumeric(text: string): boolean {
  return text.trim() !== "" && !Number.isNaN(Number(text));
}

function tidyJson(text: string): string {
  try {
    JSON.parse(text);
    return indented(text);
  } catch {
    return text;
  }
}
