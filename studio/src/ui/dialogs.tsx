/** Dialogs on the browser's own <dialog>: it keeps the focus inside and Esc closes it. */
import { signal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { Button } from "./basics";

interface Question {
  title: string;
  text: ComponentChildren;
  action: string;
  isDanger: boolean;
  answer: (isConfirmed: boolean) => void;
}

const question = signal<Question | null>(null);

/** Ask before something that cannot be undone. */
export function confirm(title: string, text: ComponentChildren, action: string, isDanger = true): Promise<boolean> {
  return new Promise((resolve) => {
    question.value = {
      title,
      text,
      action,
      isDanger,
      answer: (isConfirmed) => {
        question.value = null;
        resolve(isConfirmed);
      },
    };
  });
}

export function Confirmation() {
  const asked = question.value;
  if (asked === null) return null;
  return (
    <Dialog title={asked.title} onClose={() => asked.answer(false)}>
      <div class="dialog-text">{asked.text}</div>
      <div class="dialog-actions">
        <Button onClick={() => asked.answer(false)}>Keep as it is</Button>
        <Button look={asked.isDanger ? "danger" : "primary"} onClick={() => asked.answer(true)} autofocus>
          {asked.action}
        </Button>
      </div>
    </Dialog>
  );
}

/** A modal dialog for as long as it is rendered. */
export function Dialog({ title, onClose, children, wide }: { title: string; onClose: () => void; children: ComponentChildren; wide?: boolean }) {
  const element = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const before = document.activeElement;
    element.current?.showModal();
    return () => {
      if (before instanceof HTMLElement) before.focus();
    };
  }, []);
  return (
    <dialog
      ref={element}
      class={`dialog ${wide ? "dialog-wide" : ""}`}
      aria-labelledby="dialog-title"
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
      onClick={(event) => {
        if (event.target === element.current) onClose();
      }}
    >
      <div class="dialog-body">
        <h2 id="dialog-title">{title}</h2>
        {children}
      </div>
    </dialog>
  );
}
