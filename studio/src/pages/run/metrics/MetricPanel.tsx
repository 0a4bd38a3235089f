/** The frame of one metric on the metrics tab. What is far out of sight is not loaded. */
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { query, setQuery } from "../../../lib/router";
import { IconButton } from "../../../ui/basics";

interface MetricPanelProps {
  name: string;
  note?: ComponentChildren;
  tools?: ComponentChildren;
  /** Given whether the panel takes the whole width. */
  children: (isLarge: boolean) => ComponentChildren;
}

const AHEAD_PX = 400;

export function MetricPanel({ name, note, tools, children }: MetricPanelProps) {
  const element = useRef<HTMLElement>(null);
  const [isNear, setNear] = useState(false);
  const isLarge = query.value.get("large") === name;
  useEffect(() => {
    const observer = new IntersectionObserver(([entry]) => entry?.isIntersecting && setNear(true), { rootMargin: `${AHEAD_PX}px` });
    observer.observe(element.current!);
    return () => observer.disconnect();
  }, []);
  return (
    <section class={`panel metric-panel ${isLarge ? "is-large" : ""}`} aria-label={name} ref={element}>
      <div class="metric-head">
        <h3 class="truncate" title={name}>{name}</h3>
        {note !== undefined && <span class="metric-note">{note}</span>}
        {tools}
        <IconButton icon={isLarge ? "shrink" : "expand"} label={isLarge ? `Make ${name} smaller` : `Enlarge ${name}`} onClick={() => setQuery({ large: isLarge ? null : name })} />
      </div>
      <div class="metric-body">{isNear && children(isLarge)}</div>
    </section>
  );
}
