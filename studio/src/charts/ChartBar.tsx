/** What can be chosen about all charts of a page. */
import type { ComponentChildren } from "preact";
import type { Axis } from "../api/curves";
import { Button } from "../ui/basics";
import { Icon } from "../ui/icons";
import { setAxis, setLog, setSmoothing, SMOOTHING_MAX, zoom, type ChartChoices } from "./view";

const AXES: readonly (readonly [Axis, string, string])[] = [
  ["step", "Step", "By step; what has none is counted"],
  ["time", "Time", "By the time at which it was logged"],
  ["relative", "Relative", "By the time since the run's first point"],
];

export function ChartBar({ choices, search, children }: { choices: ChartChoices; search?: { value: string; set: (text: string) => void }; children?: ComponentChildren }) {
  return (
    <div class="chart-bar" role="toolbar" aria-label="Charts">
      {search && (
        <label class="find">
          <Icon name="search" size={14} />
          <input class="field" type="search" placeholder="Find a metric" aria-label="Find a metric" data-search value={search.value} onInput={(event) => search.set(event.currentTarget.value)} />
        </label>
      )}
      <div class="segments" role="group" aria-label="Horizontal axis">
        {AXES.map(([axis, words, meaning]) => (
          <button key={axis} type="button" title={meaning} aria-pressed={choices.axis === axis} onClick={() => setAxis(axis)}>
            {words}
          </button>
        ))}
      </div>
      <label class="smoothing" title="An exponential moving average of what is drawn, without the bias of its start">
        <span>Smoothing</span>
        <input type="range" min={0} max={SMOOTHING_MAX} step={0.01} value={choices.smoothing} onInput={(event) => setSmoothing(Number(event.currentTarget.value))} />
        <output class="number">{choices.smoothing.toFixed(2)}</output>
      </label>
      <Button aria-pressed={choices.isLog} title="Values on a logarithmic scale" onClick={() => setLog(!choices.isLog)}>
        Log
      </Button>
      {children}
      {choices.range !== null && (
        <Button icon="x" look="quiet" onClick={() => zoom(null)}>
          Reset zoom
        </Button>
      )}
    </div>
  );
}
