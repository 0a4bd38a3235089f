/** Each run a line through what it was given and what came of it. */
import { useMemo, useState } from "preact/hooks";
import { runName } from "../../api/runs";
import { curveColor } from "../../charts/palette";
import { measured } from "../../lib/numbers";
import { href, navigate, query, setQuery } from "../../lib/router";
import { Empty } from "../../ui/basics";
import { Menu, MenuItem } from "../../ui/Menu";
import { axisOf, type ValueAxis } from "./axis";
import type { CompareProps } from "./ComparePage";
import { byCoverage, drawableFacts, type Fact } from "./model";

const PARAMS_AT_FIRST = 4;
const METRICS_AT_FIRST = 3;
const WIDTH = 1_100;
const HEIGHT = 430;
const TOP = 44;
const BOTTOM = 22;
const SIDE = 74;

export function ParallelCoordinates({ workspace, runs, places }: CompareProps) {
  const facts = useMemo(() => drawableFacts(runs), [runs]);
  const asked = query.value.getAll("axis");
  const chosen = asked.length > 0 ? facts.filter((fact) => asked.includes(fact.key)) : atFirst(facts);
  const axes = useMemo(() => chosen.map(axisOf), [chosen.map((fact) => fact.key).join("\n"), runs]);
  const [near, setNear] = useState<string | null>(null);
  const toggle = (key: string): void => {
    const keys = chosen.map((fact) => fact.key);
    setQuery({ axis: keys.includes(key) ? keys.filter((one) => one !== key) : [...keys, key] });
  };
  if (facts.length < 2) return <Empty icon="compare" title="There is too little to compare">Parallel coordinates need at least two parameters or metrics.</Empty>;

  const x = (index: number): number => (axes.length === 1 ? WIDTH / 2 : SIDE + (index * (WIDTH - 2 * SIDE)) / (axes.length - 1));
  const y = (place: number): number => HEIGHT - BOTTOM - place * (HEIGHT - TOP - BOTTOM);
  const nearRun = runs.find((run) => run.run_id === near);
  return (
    <div class="metrics">
      <div class="chart-bar" role="toolbar" aria-label="Axes">
        <Menu label={`Axes: ${chosen.length} of ${facts.length}`} icon="columns">
          {() => facts.map((fact) => (
            <MenuItem key={fact.key} isChecked={chosen.includes(fact)} onSelect={() => toggle(fact.key)}>
              {fact.name}
            </MenuItem>
          ))}
        </Menu>
        <span class="faint" role="status">{nearRun === undefined ? "Point at a line to see its run; click to open it" : runName(nearRun)}</span>
      </div>
      <div class="panel parallel">
        <svg class="plot" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={`${runs.length} runs through ${axes.map((axis) => axis.fact.name).join(", ")}`}>
          {runs.map((run, row) => {
            const path = pathOf(axes, row, x, y);
            const look = near === null ? "" : near === run.run_id ? "is-near" : "is-far";
            return (
              <g key={run.run_id} class={`parallel-run ${look}`} onMouseEnter={() => setNear(run.run_id)} onMouseLeave={() => setNear(null)} onClick={() => navigate(href(["w", workspace, "runs", run.run_id]))}>
                <path class="parallel-reach" d={path} />
                <path class="parallel-line" d={path} style={{ stroke: `var(${curveColor(places.get(run.run_id) ?? 0)})` }}>
                  <title>{runName(run)}</title>
                </path>
              </g>
            );
          })}
          {axes.map((axis, index) => (
            <g key={axis.fact.key}>
              <line class="parallel-axis" x1={x(index)} x2={x(index)} y1={y(0)} y2={y(1)} />
              <text class="parallel-name" x={x(index)} y={16} text-anchor="middle">{ending(axis.fact.name)}<title>{axis.fact.name}</title></text>
              <text class="plot-tick" x={x(index)} y={31} text-anchor="middle">{axis.fact.group === "Metrics" ? "metric" : axis.fact.group === "Parameters" ? "parameter" : ""}</text>
              {axis.ticks.map((tick) => (
                <text key={tick.words} class="plot-tick parallel-tick" x={x(index) - 7} y={y(tick.place)} text-anchor="end" dominant-baseline="middle">{short(tick.words)}</text>
              ))}
              {nearRun !== undefined && <Mark axis={axis} value={axis.fact.values[runs.indexOf(nearRun)]} x={x(index)} y={y} />}
            </g>
          ))}
        </svg>
      </div>
    </div>
  );
}

function Mark({ axis, value, x, y }: { axis: ValueAxis; value: Fact["values"][number]; x: number; y: (place: number) => number }) {
  const place = axis.place(value);
  if (place === null) return null;
  return (
    <g class="parallel-mark">
      <circle cx={x} cy={y(place)} r="3.5" />
      <text x={x + 8} y={y(place)} dominant-baseline="middle">{short(measured(value))}</text>
    </g>
  );
}

/** Where a run has no value its line breaks. */
function pathOf(axes: readonly ValueAxis[], row: number, x: (index: number) => number, y: (place: number) => number): string {
  let path = "";
  let isBroken = true;
  for (const [index, axis] of axes.entries()) {
    const place = axis.place(axis.fact.values[row]);
    if (place !== null) path += `${isBroken ? "M" : "L"}${x(index).toFixed(1)} ${y(place).toFixed(1)}`;
    isBroken = place === null;
  }
  return path;
}

/** Parameters that differ, then metrics: of each those that most runs have. */
function atFirst(facts: readonly Fact[]): Fact[] {
  const different = byCoverage(facts.filter((fact) => fact.differs));
  const params = different.filter((fact) => fact.group === "Parameters").slice(0, PARAMS_AT_FIRST);
  const metrics = different.filter((fact) => fact.group === "Metrics" && fact.isNumber).slice(0, METRICS_AT_FIRST);
  const found = facts.filter((fact) => params.includes(fact) || metrics.includes(fact));
  return found.length >= 2 ? found : facts.slice(0, PARAMS_AT_FIRST);
}

/** Long names begin alike and end in what tells them apart. */
function ending(name: string): string {
  return name.length > 18 ? `…${name.slice(-17)}` : name;
}

function short(text: string): string {
  return text.length > 18 ? `${text.slice(0, 17)}…` : text;
}
