/** Everything the runs have, a line each; lines that differ are marked, and how far numbers are from the first run's. */
import { useMemo } from "preact/hooks";
import { runName } from "../../api/runs";
import { curveColor } from "../../charts/palette";
import { aligned, measured } from "../../lib/numbers";
import { href, query, setQuery } from "../../lib/router";
import { Button, Empty } from "../../ui/basics";
import { Icon } from "../../ui/icons";
import type { CompareProps } from "./ComparePage";
import { factsOf, type Fact, type MetricPick, type Value } from "./model";

const PICKS: readonly (readonly [MetricPick, string])[] = [
  ["latest", "Latest"],
  ["min", "Least"],
  ["max", "Greatest"],
];

export function DifferenceTable({ workspace, runs, places }: CompareProps) {
  const pick = PICKS.find(([name]) => name === query.value.get("pick"))?.[0] ?? "latest";
  const isOnlyDifferent = query.value.get("all") !== "1";
  const facts = useMemo(() => factsOf(runs, pick), [runs, pick]);
  const shown = facts.filter((fact) => !isOnlyDifferent || fact.differs);
  const groups = [...new Set(shown.map((fact) => fact.group))];
  return (
    <div class="metrics">
      <div class="chart-bar" role="toolbar" aria-label="Table">
        <Button aria-pressed={isOnlyDifferent} onClick={() => setQuery({ all: isOnlyDifferent })}>
          Only what differs
        </Button>
        <div class="segments" role="group" aria-label="Which value of metrics">
          {PICKS.map(([name, words]) => (
            <button key={name} type="button" aria-pressed={pick === name} onClick={() => setQuery({ pick: name === "latest" ? null : name })}>
              {words}
            </button>
          ))}
        </div>
        <span class="faint">{shown.length} of {facts.length} lines; differences from the first run in small print</span>
      </div>
      {shown.length === 0 ? (
        <Empty icon="check" title="These runs do not differ">In parameters, metrics, tags and properties they are the same.</Empty>
      ) : (
        <div class="difference-box" tabIndex={0} role="region" aria-label="Differences">
          <table class="table difference">
            <thead>
              <tr>
                <th scope="col" class="difference-name">
                  <span class="visually-hidden">What</span>
                </th>
                {runs.map((run) => (
                  <th key={run.run_id} scope="col">
                    <a class="difference-run" href={href(["w", workspace, "runs", run.run_id])} title={runName(run)}>
                      <i class="swatch" style={{ background: `var(${curveColor(places.get(run.run_id) ?? 0)})` }} />
                      <span class="truncate">{runName(run)}</span>
                    </a>
                  </th>
                ))}
              </tr>
            </thead>
            {groups.map((group) => (
              <tbody key={group}>
                <tr class="difference-group">
                  <th scope="rowgroup" colSpan={runs.length + 1}>{group}</th>
                </tr>
                {shown.filter((fact) => fact.group === group).map((fact) => (
                  <Line key={fact.key} fact={fact} isMarked={!isOnlyDifferent} />
                ))}
              </tbody>
            ))}
          </table>
        </div>
      )}
    </div>
  );
}

function Line({ fact, isMarked }: { fact: Fact; isMarked: boolean }) {
  const words = fact.isNumber ? aligned(fact.values) : measured;
  const first = fact.values[0];
  return (
    <tr class={fact.differs ? "is-different" : undefined}>
      <th scope="row" class="difference-name" title={fact.name}>
        {isMarked && fact.differs && <Icon name="compare" size={12} />}
        {fact.name}
      </th>
      {fact.values.map((value, index) => (
        <td key={index} class={`${fact.isNumber ? "number" : ""} ${fact.differs && index > 0 && !isSame(value, first) ? "is-other" : ""}`}>
          {value === undefined ? <span class="faint" title="This run has none">–</span> : value === null ? <span class="faint">null</span> : <span class="difference-value" title={String(value)}>{words(value)}</span>}
          {index > 0 && <Change from={first} to={value} />}
        </td>
      ))}
    </tr>
  );
}

/** Of two numbers, by how much of the first. */
function Change({ from, to }: { from: Value; to: Value }) {
  if (typeof from !== "number" || typeof to !== "number" || from === to || !Number.isFinite(from) || !Number.isFinite(to)) return <span class="difference-change" />;
  const share = from === 0 ? null : ((to - from) / Math.abs(from)) * 100;
  const sign = to > from ? "+" : "−";
  const text = share === null || Math.abs(share) >= 1_000 ? `${sign}${measured(Math.abs(to - from))}` : `${sign}${Math.abs(share).toFixed(Math.abs(share) < 10 ? 1 : 0)} %`;
  return <span class="difference-change number">{text}</span>;
}

function isSame(a: Value, b: Value): boolean {
  return a === b || (Number.isNaN(a) && Number.isNaN(b));
}
