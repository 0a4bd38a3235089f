/**
 * A part of a log, as lines: from a place on that is the start of a line to where the log ended when it was read last.
 *
 * Lines are cut from bytes, so that no character is ever cut; how many bytes each had is kept, so that lines can be let
 * go at one end and more be read at the other.
 */

const NEWLINE = 10;
const LINE_CHARS_MAX = 4_000;
const ANSI = /\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)|[PX^_][^\u001b]*\u001b\\|[@-Z\\-_])/g;
const CONTROLS = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/g;

export class LogBuffer {
  /** Complete ones. */
  lines: string[] = [];
  /** What stands after the last of them. */
  rest = "";
  /** Where in the log, in bytes. */
  start = 0;
  end = 0;
  private sizes: number[] = [];
  private restBytes: Uint8Array = new Uint8Array();
  private readonly decoder = new TextDecoder();

  constructor(
    /** Beyond, the oldest lines are let go when newer ones come. */
    private readonly linesMax: number,
  ) {}

  /** The bytes at `from`, where a log is looked at first: a line that began before is left out. */
  begin(from: number, bytes: Uint8Array): void {
    const skipped = from === 0 ? 0 : bytes.indexOf(NEWLINE) + 1;
    this.lines = [];
    this.sizes = [];
    this.restBytes = new Uint8Array();
    this.start = from + skipped;
    this.end = this.start;
    this.append(bytes.subarray(skipped));
  }

  /** The bytes that follow `end`. */
  append(bytes: Uint8Array): void {
    const all = joined(this.restBytes, bytes);
    const { lines, sizes, rest } = this.cut(all);
    this.lines = this.lines.concat(lines);
    this.sizes = this.sizes.concat(sizes);
    this.restBytes = rest;
    this.rest = this.text(rest);
    this.end += bytes.length;
    if (this.lines.length > this.linesMax) this.forget(this.lines.length - this.linesMax);
  }

  /** The bytes from `from` to `start`. */
  prepend(from: number, bytes: Uint8Array): void {
    const found = from === 0 ? -1 : bytes.indexOf(NEWLINE);
    const skipped = found < 0 || found === bytes.length - 1 ? 0 : found + 1;
    const { lines, sizes } = this.cut(bytes.subarray(skipped));
    this.lines = lines.concat(this.lines);
    this.sizes = sizes.concat(this.sizes);
    this.start = from + skipped;
  }

  private forget(number: number): void {
    this.start += this.sizes.slice(0, number).reduce((sum, size) => sum + size, 0);
    this.lines = this.lines.slice(number);
    this.sizes = this.sizes.slice(number);
  }

  private cut(bytes: Uint8Array): { lines: string[]; sizes: number[]; rest: Uint8Array } {
    const lines: string[] = [];
    const sizes: number[] = [];
    let from = 0;
    for (let at = bytes.indexOf(NEWLINE); at >= 0; at = bytes.indexOf(NEWLINE, from)) {
      lines.push(this.text(bytes.subarray(from, at)));
      sizes.push(at + 1 - from);
      from = at + 1;
    }
    return { lines, sizes, rest: bytes.slice(from) };
  }

  private text(bytes: Uint8Array): string {
    return plainLine(this.decoder.decode(bytes));
  }
}

/** As a terminal would leave it: without colours, and with what was written over it last. */
export function plainLine(raw: string): string {
  const line = raw.endsWith("\r") ? raw.slice(0, -1) : raw;
  const shown = line.includes("\r") ? line.slice(line.lastIndexOf("\r") + 1) : line;
  const plain = shown.replace(ANSI, "").replace(CONTROLS, "\ufffd");
  return plain.length > LINE_CHARS_MAX ? `${plain.slice(0, LINE_CHARS_MAX)} … ${plain.length - LINE_CHARS_MAX} more characters` : plain;
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  if (a.length === 0) return b;
  const both = new Uint8Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}
