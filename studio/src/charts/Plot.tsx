/** Axes for small drawings in SVG: linear, with ticks at round numbers. */
import type { ComponentChildren } from "preact";
import { measured } from "../lib/numbers";

export interface Frame {
  width: number;
  height: number;
  x: (value: number) => number;
  y: (value: number) => number;
}

interface PlotProps {
  label: string;
  width: number;
  height: number;
  xs: readonly [number, number];
  ys: readonly [number, number];
  xTitle: string;
  yTitle: string;
  xWords?: (value: number) => string;
  yWords?: (value: number) => string;
  children: (frame: Frame) => ComponentChildren;
}

const LEFT = 54;
const RIGHT = 12;
const TOP = 10;
const BOTTOM = 38;

export function Plot({ label, width, height, xs, ys, xTitle, yTitle, xWords = measured, yWords = measured, children }: PlotProps) {
  const right = width - RIGHT;
  const bottom = height - BOTTOM;
  const x = (value: number): number => LEFT + ((value - xs[0]) / (xs[1] - xs[0] || 1)) * (right - LEFT);
  const y = (value: number): number => bottom - ((value - ys[0]) / (ys[1] - ys[0] || 1)) * (bottom - TOP);
  return (
    <svg class="plot" viewBox={`0 0 ${width} ${height}`} role="img" aria-label={label}>
      {ticks(ys, 4).map((value) => (
        <g key={value}>
          <line class="plot-grid" x1={LEFT} x2={right} y1={y(value)} y2={y(value)} />
          <text class="plot-tick" x={LEFT - 8} y={y(value)} text-anchor="end" dominant-baseline="middle">{yWords(value)}</text>
        </g>
      ))}
      {ticks(xs, Math.max(2, Math.floor(width / 90))).map((value) => (
        <text key={value} class="plot-tick" x={x(value)} y={bottom + 15} text-anchor="middle">{xWords(value)}</text>
      ))}
      {children({ width, height, x, y })}
      <text class="plot-title" x={(LEFT + right) / 2} y={height - 4} text-anchor="middle">{xTitle}</text>
      <text class="plot-title" transform={`translate(11 ${(TOP + bottom) / 2}) rotate(-90)`} text-anchor="middle">{yTitle}</text>
    </svg>
  );
}

/** About so many round numbers within a range. */
export function ticks([from, to]: readonly [number, number], wanted: number): number[] {
  const span = to - from;
  if (!(span > 0) || !Number.isFinite(span)) return [from];
  const rough = span / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5, 10].find((n) => n * power >= rough) ?? 10);
  const found: number[] = [];
  for (let value = Math.ceil(from / step) * step; value <= to + step * 1e-9 && found.length < 50; value += step) found.push(Number(value.toPrecision(12)));
  return found;
}

/** From the least to the greatest finite value, with room around; `least` is always in it. */
export function extent(values: readonly number[], room = 0.05, least?: number): [number, number] {
  const finite = values.filter(Number.isFinite);
  if (least !== undefined) finite.push(least);
  if (finite.length === 0) return [0, 1];
  const from = finite.reduce((a, b) => Math.min(a, b));
  const to = finite.reduce((a, b) => Math.max(a, b));
  if (from === to) return [from - (Math.abs(from) * 0.1 || 1), to + (Math.abs(to) * 0.1 || 1)];
  return [from === least ? from : from - (to - from) * room, to + (to - from) * room];
}
