/** A picture of a run, fetched with the token and shown as nothing but a picture. */
import { useEffect, useState } from "preact/hooks";
import { fetchFile } from "../../../api/files";
import { useQuery } from "../../../lib/useQuery";
import { messageOf } from "../../../ui/basics";
import { imageType } from "./kinds";

const IMAGE_BYTES_MAX = 32 * 1024 * 1024;

export function FileImage({ workspace, runId, path, alt }: { workspace: string; runId: string; path: string; alt: string }) {
  const { data, error } = useQuery(`image ${workspace} ${runId} ${path}`, (signal) => fetchFile(workspace, runId, path, IMAGE_BYTES_MAX, signal), { keep: true });
  const [shown, show] = useState<string | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  useEffect(() => {
    if (data === undefined) return;
    const type = imageType(path, data);
    setProblem(type === null ? "This is no picture that browsers show." : null);
    if (type === null) return;
    const address = addressOf(data, type);
    show(address);
    return () => URL.revokeObjectURL(address);
  }, [data]);
  if (error !== undefined) return <p class="panel-empty">{messageOf(error)}</p>;
  if (problem !== null) return <p class="panel-empty">{problem}</p>;
  if (shown === null) return <div class="image-wait" role="status" aria-label="Loading" />;
  return <img src={shown} alt={alt} onError={() => setProblem("This picture is damaged.")} />;
}

/** SVG as `data:`, which opened by itself is nobody's page; a `blob:` of it would run in the Studio's name. */
function addressOf(bytes: Uint8Array, type: string): string {
  if (type !== "image/svg+xml") return URL.createObjectURL(new Blob([bytes as Uint8Array<ArrayBuffer>], { type }));
  let binary = "";
  for (const byte of bytes) binary += String.fromCharCode(byte);
  return `data:${type};base64,${btoa(binary)}`;
}
