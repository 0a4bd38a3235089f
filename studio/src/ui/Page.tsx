/** What every page begins with: its title, where it stands, and what can be done. */
import type { ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";

export function PageHead({ title, children }: { title: ComponentChildren; children?: ComponentChildren }) {
  return (
    <header class="page-head">
      <h1 class="truncate">{title}</h1>
      {children && <div class="page-head-end">{children}</div>}
    </header>
  );
}

export function useTitle(title: string): void {
  useEffect(() => {
    document.title = title ? `${title} · runfold` : "runfold";
  }, [title]);
}
