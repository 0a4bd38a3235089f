/** Hands the browser something to keep. Always as bytes: a `blob:` of HTML or SVG would run in the Studio's name. */

export function saveBlob(name: string, content: Blob): void {
  const url = URL.createObjectURL(new Blob([content], { type: "application/octet-stream" }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

export function saveText(name: string, text: string): void {
  saveBlob(name, new Blob([text]));
}
