/** Batches of metrics between two entries of the history: how many, and each with its event when one asks. */
import { useState } from "preact/hooks";
import { counted } from "../../../lib/numbers";
import { Icon } from "../../../ui/icons";
import type { RunModel } from "../model";
import { RawEvent } from "./RawEvent";

const SHOWN = 20;

export function Batches({ model, firstSeq, lastSeq }: { model: RunModel; firstSeq: number; lastSeq: number }) {
  const [isOpen, open] = useState(false);
  const [shown, show] = useState(SHOWN);
  const total = lastSeq - firstSeq + 1;
  return (
    <li class="history-batches">
      <button type="button" class="history-line" aria-expanded={isOpen} onClick={() => open(!isOpen)}>
        <span class="history-icon">
          <Icon name="compare" size={13} />
        </span>
        <span class="history-words faint">{counted(total, "batch of metrics", "batches of metrics")}</span>
        <span class="history-type mono faint">run.metrics_logged</span>
        <span class="history-time number faint">{total === 1 ? firstSeq : `${firstSeq} … ${lastSeq}`}</span>
        <Icon name={isOpen ? "chevronDown" : "chevronRight"} size={13} />
      </button>
      {isOpen && total === 1 && <RawEvent model={model} seq={firstSeq} />}
      {isOpen && total > 1 && (
        <div class="history-within">
          {Array.from({ length: Math.min(total, shown) }, (_, index) => (
            <Batch key={lastSeq - index} model={model} seq={lastSeq - index} />
          ))}
          {total > shown && (
            <button type="button" class="button button-quiet" onClick={() => show(shown + 10 * SHOWN)}>
              Show more of {counted(total, "batch", "batches")}
            </button>
          )}
        </div>
      )}
    </li>
  );
}

function Batch({ model, seq }: { model: RunModel; seq: number }) {
  const [isOpen, open] = useState(false);
  return (
    <>
      <button type="button" class="history-line" aria-expanded={isOpen} onClick={() => open(!isOpen)}>
        <Icon name={isOpen ? "chevronDown" : "chevronRight"} size={13} />
        <span class="history-words">Event {seq}</span>
      </button>
      {isOpen && <RawEvent model={model} seq={seq} />}
    </>
  );
}
