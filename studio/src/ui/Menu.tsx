/** A button with a panel below it: a menu, or any small form. Esc and a click outside close it. */
import type { ComponentChildren } from "preact";
import { useEffect, useId, useLayoutEffect, useRef, useState } from "preact/hooks";
import { Icon, type IconName } from "./icons";

/** What is left between a panel and the window's sides. */
const SIDE_PX = 8;

interface MenuProps {
  label: ComponentChildren;
  icon?: IconName;
  /** Read out where the label is no text. */
  title?: string;
  align?: "left" | "right";
  look?: string;
  children: (close: () => void) => ComponentChildren;
}

export function Menu({ label, icon, title, align = "left", look = "button button-plain", children }: MenuProps) {
  const [isOpen, open] = useState(false);
  const root = useRef<HTMLDivElement>(null);
  const id = useId();
  const close = (): void => {
    open(false);
    root.current?.querySelector("button")?.focus();
  };

  useLayoutEffect(() => {
    const panel = root.current?.querySelector<HTMLElement>(".menu-panel");
    if (!isOpen || !panel) return;
    const { left, right } = panel.getBoundingClientRect();
    const shift = Math.max(SIDE_PX - left, Math.min(0, innerWidth - SIDE_PX - right));
    if (shift !== 0) panel.style.translate = `${shift}px`;
  }, [isOpen]);
  useEffect(() => {
    if (!isOpen) return;
    const outside = (event: Event): void => {
      if (!root.current?.contains(event.target as Node)) open(false);
    };
    document.addEventListener("pointerdown", outside);
    document.addEventListener("focusin", outside);
    root.current?.querySelector<HTMLElement>(".menu-panel [autofocus], .menu-panel button, .menu-panel input")?.focus();
    return () => {
      document.removeEventListener("pointerdown", outside);
      document.removeEventListener("focusin", outside);
    };
  }, [isOpen]);

  const onKeyDown = (event: KeyboardEvent): void => {
    if (!isOpen) return;
    if (event.key === "Escape") {
      event.stopPropagation();
      close();
    } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      if ((event.target as Element).matches("input[type=number]")) return;
      const stops = [...(root.current?.querySelectorAll<HTMLElement>(".menu-panel :is(button, input, a):not(:disabled)") ?? [])];
      const index = stops.indexOf(document.activeElement as HTMLElement) + (event.key === "ArrowDown" ? 1 : -1);
      stops[(index + stops.length) % stops.length]?.focus();
      event.preventDefault();
    }
  };

  return (
    <div class="menu" ref={root} onKeyDown={onKeyDown}>
      <button type="button" class={look} aria-expanded={isOpen} aria-haspopup="true" aria-controls={id} aria-label={title} title={title} onClick={() => open(!isOpen)}>
        {icon && <Icon name={icon} size={14} />}
        {label}
      </button>
      {isOpen && (
        <div class={`menu-panel menu-${align}`} id={id}>
          {children(close)}
        </div>
      )}
    </div>
  );
}

export function MenuItem({ icon, children, onSelect, isChecked, isDanger }: { icon?: IconName; children: ComponentChildren; onSelect: () => void; isChecked?: boolean; isDanger?: boolean }) {
  return (
    <button type="button" class={`menu-item ${isDanger ? "menu-item-danger" : ""}`} aria-pressed={isChecked} onClick={onSelect}>
      {icon && <Icon name={icon} size={14} />}
      <span>{children}</span>
      {isChecked && <Icon name="check" size={14} />}
    </button>
  );
}
