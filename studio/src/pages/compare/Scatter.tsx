/** Two values of each run against each other. */
import { useMemo, useState } from "preact/hooks";
import { runName } from "../../api/runs";
import { curveColor } from "../../charts/palette";
import { measured } from "../../lib/numbers";
import { href, query, setQuery } from "../../lib/router";
import { Empty } from "../../ui/basics";
import { axisOf, type ValueAxis } from "./axis";
import type { CompareProps } from "./ComparePage";
import { drawableFacts, type Fact } from "./model";

const WIDTH = 1_000;
const HEIGHT = 440;
const LEFT = 84;
const BOTTOM = 52;
const TOP = 14;
const RIGHT = 20;
const CHAR_PX = 6.4;
const LINE_PX = 14;

export function Scatter({ workspace, runs, places }: CompareProps) {
  const facts = useMemo(() => drawableFacts(runs), [runs]);
  const across = facts.find((fact) => fact.key === query.value.get("sx")) ?? telling(facts, "Parameters") ?? facts[0];
  const up = facts.find((fact) => fact.key === query.value.get("sy")) ?? telling(facts, "Metrics") ?? facts[1];
  const [near, setNear] = useState<string | null>(null);
  if (across === undefined || up === undefined) return <Empty icon="compare" title="There is too little to compare">A scatter needs at least two parameters or metrics.</Empty>;
  const [xs, ys] = [axisOf(across), axisOf(up)];
  const x = (place: number): number => LEFT + place * (WIDTH - LEFT - RIGHT);
  const y = (place: number): number => HEIGHT - BOTTOM - place * (HEIGHT - TOP - BOTTOM);
  const points = runs.flatMap((run, row) => {
    const [a, b] = [xs.place(across.values[row]), ys.place(up.values[row])];
    return a === null || b === null ? [] : [{ run, row, x: x(a), y: y(b) }];
  });
  const named = withRoom(points.map((point) => ({ ...labelOf(point.x, point.y, runName(point.run)), id: point.run.run_id })));
  const nearPoint = points.find(({ run }) => run.run_id === near);
  return (
    <div class="metrics">
      <div class="chart-bar" role="toolbar" aria-label="Axes">
        <Choice label="Across" facts={facts} chosen={across} name="sx" />
        <Choice label="Up" facts={facts} chosen={up} name="sy" />
        <span class="faint" role="status">
          {nearPoint === undefined ? `${points.length} of ${runs.length} runs have both` : `${runName(nearPoint.run)}: ${measured(across.values[nearPoint.row])}, ${measured(up.values[nearPoint.row])}`}
        </span>
      </div>
      <div class="panel parallel">
        <svg class="plot" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="group" aria-label={`${up.name} by ${across.name}`}>
          <Axes xs={xs} ys={ys} x={x} y={y} />
          {points.map((point) => (
            <a key={point.run.run_id} class="scatter-point" href={href(["w", workspace, "runs", point.run.run_id])} aria-label={`${runName(point.run)}: ${measured(across.values[point.row])}, ${measured(up.values[point.row])}`} onMouseEnter={() => setNear(point.run.run_id)} onMouseLeave={() => setNear(null)} onFocus={() => setNear(point.run.run_id)} onBlur={() => setNear(null)}>
              <circle cx={point.x} cy={point.y} r={near === point.run.run_id ? 8 : 5.5} style={{ fill: `var(${curveColor(places.get(point.run.run_id) ?? 0)})` }} />
              {(near === null ? named.has(point.run.run_id) : near === point.run.run_id) && <Label at={labelOf(point.x, point.y, runName(point.run))} />}
            </a>
          ))}
        </svg>
      </div>
    </div>
  );
}

/** The number that spreads the points furthest: that many runs have, and with many different values. */
function telling(facts: readonly Fact[], group: Fact["group"]): Fact | undefined {
  const spread = ({ values }: Fact): number => {
    const given = values.filter((value) => typeof value === "number");
    return given.length * (new Set(given).size - 1);
  };
  const numbers = facts.filter((fact) => fact.group === group && fact.isNumber && fact.differs);
  return numbers.sort((a, b) => spread(b) - spread(a))[0];
}

interface Placed {
  text: string;
  isLeft: boolean;
  x: number;
  y: number;
  from: number;
  to: number;
}

/** Where a point's name stands: to its right, at the drawing's right side to its left. */
function labelOf(x: number, y: number, text: string): Placed {
  const width = text.length * CHAR_PX;
  const isLeft = x + 10 + width > WIDTH;
  const at = x + (isLeft ? -10 : 10);
  return { text, isLeft, x: at, y: y - 9, from: isLeft ? at - width : at, to: isLeft ? at : at + width };
}

/** Which names can stand without covering each other; the others show when one points at them. */
function withRoom(labels: readonly (Placed & { id: string })[]): Set<string> {
  const placed: Placed[] = [];
  const found = new Set<string>();
  for (const label of labels) {
    const isFree = placed.every((other) => Math.abs(other.y - label.y) >= LINE_PX || other.to < label.from || other.from > label.to);
    if (!isFree) continue;
    placed.push(label);
    found.add(label.id);
  }
  return found;
}

function Label({ at }: { at: Placed }) {
  return (
    <text x={at.x} y={at.y} text-anchor={at.isLeft ? "end" : "start"}>
      {at.text}
    </text>
  );
}

function Axes({ xs, ys, x, y }: { xs: ValueAxis; ys: ValueAxis; x: (place: number) => number; y: (place: number) => number }) {
  return (
    <>
      {ys.ticks.map((tick) => (
        <g key={tick.words}>
          <line class="plot-grid" x1={LEFT} x2={WIDTH - RIGHT} y1={y(tick.place)} y2={y(tick.place)} />
          <text class="plot-tick" x={LEFT - 9} y={y(tick.place)} text-anchor="end" dominant-baseline="middle">{tick.words}</text>
        </g>
      ))}
      {xs.ticks.map((tick) => (
        <g key={tick.words}>
          <line class="plot-grid" x1={x(tick.place)} x2={x(tick.place)} y1={y(0)} y2={y(1)} />
          <text class="plot-tick" x={x(tick.place)} y={HEIGHT - BOTTOM + 17} text-anchor="middle">{tick.words}</text>
        </g>
      ))}
      <text class="plot-title" x={(LEFT + WIDTH - RIGHT) / 2} y={HEIGHT - 10} text-anchor="middle">{xs.fact.name}</text>
      <text class="plot-title" transform={`translate(16 ${(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)`} text-anchor="middle">{ys.fact.name}</text>
    </>
  );
}

function Choice({ label, facts, chosen, name }: { label: string; facts: readonly Fact[]; chosen: Fact; name: string }) {
  return (
    <label class="smoothing">
      <span>{label}</span>
      <select class="field" value={chosen.key} onChange={(event) => setQuery({ [name]: event.currentTarget.value })}>
        {facts.map((fact) => (
          <option key={fact.key} value={fact.key}>
            {fact.name}
          </option>
        ))}
      </select>
    </label>
  );
}
