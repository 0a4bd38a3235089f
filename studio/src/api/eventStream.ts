/** Server-sent events from a body that arrives in pieces: EventSource sends no headers, so it cannot sign in. */

export interface StreamMessage {
  event: string;
  data: string;
}

/** Splits text into messages. `id` is that of the last complete message, with or without data. */
export class EventStreamParser {
  id: string | null = null;
  private rest = "";
  private event = "";
  private data: string[] = [];
  private pendingId: string | null = null;

  /** The messages that `piece` completes. */
  push(piece: string): StreamMessage[] {
    const lines = (this.rest + piece).split("\n");
    this.rest = lines.pop() ?? "";
    const messages: StreamMessage[] = [];
    for (const line of lines) {
      if (line === "") this.finish(messages);
      else this.field(line);
    }
    return messages;
  }

  private field(line: string): void {
    const colon = line.indexOf(":");
    if (colon === 0) return; // a comment
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (name === "event") this.event = value;
    else if (name === "data") this.data.push(value);
    else if (name === "id") this.pendingId = value;
  }

  private finish(messages: StreamMessage[]): void {
    if (this.data.length > 0) messages.push({ event: this.event || "message", data: this.data.join("\n") });
    if (this.pendingId !== null) this.id = this.pendingId;
    this.event = "";
    this.data = [];
    this.pendingId = null;
  }
}
