/** Tabs that are links: each has an address. Arrow keys move between them. */
import { useRef } from "preact/hooks";
import type { ComponentChildren } from "preact";
import { navigate } from "../lib/router";

export interface Tab {
  id: string;
  label: string;
  href: string;
  note?: ComponentChildren;
}

export function Tabs({ tabs, current, label }: { tabs: readonly Tab[]; current: string; label: string }) {
  const list = useRef<HTMLDivElement>(null);
  const onKeyDown = (event: KeyboardEvent): void => {
    const step = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    if (step === 0) return;
    event.preventDefault();
    const index = tabs.findIndex((tab) => tab.id === current);
    const next = tabs[(index + step + tabs.length) % tabs.length];
    if (next === undefined) return;
    navigate(next.href, "replace");
    requestAnimationFrame(() => list.current?.querySelector<HTMLElement>("[aria-selected=true]")?.focus());
  };
  return (
    <div class="tabs" role="tablist" aria-label={label} ref={list} onKeyDown={onKeyDown}>
      {tabs.map((tab) => (
        <a key={tab.id} role="tab" href={tab.href} id={`tab-${tab.id}`} aria-selected={tab.id === current} tabIndex={tab.id === current ? 0 : -1}>
          {tab.label}
          {tab.note !== undefined && <span class="tab-note">{tab.note}</span>}
        </a>
      ))}
    </div>
  );
}
