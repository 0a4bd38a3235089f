import { float, measured } from "../../../lib/numbers";
import { Copy } from "../../../ui/basics";
import type { RunSeries } from "./series";

/** Metrics with one value, which make no curve. */
export function SingleValues({ series }: { series: readonly RunSeries[] }) {
  if (series.length === 0) return null;
  return (
    <dl class="single-values">
      {series.map(({ name, summary }) => {
        const latest = summary?.latest;
        const plain = typeof latest === "string" ? (float(latest) ?? latest) : latest;
        return (
          <div key={name} class="single-value">
            <dt class="truncate" title={name}>{name}</dt>
            <dd>
              <span class={typeof plain === "number" ? "number" : "truncate"} title={String(latest ?? "")}>{measured(plain)}</span>
              <Copy text={String(latest ?? "")} label={`Copy ${name}`} />
            </dd>
          </div>
        );
      })}
    </dl>
  );
}
