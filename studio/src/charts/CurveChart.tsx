/** Curves over one x, drawn by uPlot. What is zoomed to is the caller's: it has the finer data. */
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import { measured } from "../lib/numbers";
import { color, themeChanges } from "../lib/theme";
import { join, nearest, type Joined } from "./join";
import { xExtent, xTick, xWords, yRange, type Range, type XKind } from "./scales";

export interface ChartLine {
  id: string;
  label: string;
  /** A curve colour of tokens.css. */
  color: `--${string}`;
  dash?: readonly number[];
  x: Float64Array;
  y: Float64Array;
  /** Drawn as a band behind the line. */
  low: Float64Array | null;
  high: Float64Array | null;
  /** As it was before it was smoothed: drawn faintly. */
  raw?: Float64Array;
}

interface CurveChartProps {
  label: string;
  lines: readonly ChartLine[];
  xKind: XKind;
  isLog: boolean;
  range: Range | null;
  onZoom: (range: Range | null) => void;
  height: number;
}

interface Hover {
  x: number;
  left: number;
}

const FONT = '11px "Inter Variable", system-ui, sans-serif';
const TOOLTIP_ROWS = 12;
/** Of one curve, and of all: more of them are a heap of dots. A curve of one point is nothing but its dot. */
const POINTS_SHOWN_MAX = 40;
const POINTS_SHOWN_MAX_TOGETHER = 200;

export function CurveChart(props: CurveChartProps) {
  const { label, lines, xKind, isLog, range, onZoom, height } = props;
  const frame = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const latest = useRef(props);
  latest.current = props;
  const [hover, setHover] = useState<Hover | null>(null);
  const theme = themeChanges.value;
  const shape = JSON.stringify([xKind, isLog, theme, height, lines.map((line) => [line.id, line.color, line.dash, line.raw !== undefined, isDotted(line, lines)])]);

  useLayoutEffect(() => {
    const element = frame.current!;
    const made = new uPlot(optionsFor(latest, element.clientWidth, setHover), dataOf(latest.current), element);
    plot.current = made;
    const resize = new ResizeObserver(() => {
      const width = element.clientWidth;
      if (width > 0 && width !== made.width) made.setSize({ width, height: latest.current.height });
    });
    resize.observe(element);
    return () => {
      resize.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [shape]);

  useEffect(() => {
    plot.current?.setData(dataOf(latest.current), true);
  }, [lines, range?.from, range?.to]);

  const onKeyDown = (event: KeyboardEvent): void => {
    const reach = range ?? xExtent(lines);
    if (reach === null || event.ctrlKey || event.metaKey || event.altKey) return;
    const middle = hover?.x ?? (reach.from + reach.to) / 2;
    const span = reach.to - reach.from;
    if (event.key === "+" || event.key === "=") onZoom({ from: middle - span / 4, to: middle + span / 4 });
    else if (event.key === "-") onZoom({ from: middle - span, to: middle + span });
    else if (event.key === "0") onZoom(null);
    else if (event.key === "Escape" && hover !== null) setHover(null);
    else if (event.key === "ArrowLeft" || event.key === "ArrowRight") moveCursor(plot.current, lines, reach, hover, event.key === "ArrowRight" ? 1 : -1);
    else return;
    event.preventDefault();
  };

  return (
    <div class="curve-chart" style={{ height: `${height}px` }}>
      <div class="curve-canvas" ref={frame} role="application" aria-roledescription="chart" aria-label={`${label}, ${reachWords(lines, xKind)}. Arrow keys read values, plus and minus zoom, 0 shows all.`} tabIndex={0} onKeyDown={onKeyDown} onBlur={() => setHover(null)} />
      {hover !== null && <Tooltip hover={hover} lines={lines} xKind={xKind} width={frame.current?.clientWidth ?? 0} />}
    </div>
  );
}

function Tooltip({ hover, lines, xKind, width }: { hover: Hover; lines: readonly ChartLine[]; xKind: XKind; width: number }) {
  const found = lines
    .map((line) => ({ line, index: nearest(line.x, hover.x) }))
    .filter(({ line, index }) => index >= 0 && hover.x <= line.x[line.x.length - 1]! + spacing(line) && hover.x >= line.x[0]! - spacing(line))
    .sort((a, b) => descending(a.line.y[a.index]!, b.line.y[b.index]!));
  if (found.length === 0) return null;
  const isRight = hover.left > width / 2;
  return (
    <div class="chart-tooltip" role="status" style={isRight ? { right: `${width - hover.left + 12}px` } : { left: `${hover.left + 12}px` }}>
      <div class="chart-tooltip-x">{xWords(xKind, found[0]!.line.x[found[0]!.index]!)}</div>
      {found.slice(0, TOOLTIP_ROWS).map(({ line, index }) => (
        <div key={line.id} class="chart-tooltip-row">
          <i class="swatch" style={{ background: `var(${line.color})` }} />
          <span class="truncate">{line.label}</span>
          <span class="number">{measured(line.y[index])}</span>
          {line.low && line.high && line.low[index] !== line.high[index] && (
            <span class="number faint">
              {measured(line.low[index])} … {measured(line.high[index])}
            </span>
          )}
        </div>
      ))}
      {found.length > TOOLTIP_ROWS && <div class="faint">and {found.length - TOOLTIP_ROWS} more</div>}
    </div>
  );
}

function reachWords(lines: readonly ChartLine[], xKind: XKind): string {
  const reach = xExtent(lines);
  const curves = lines.length === 1 ? "1 curve" : `${lines.length} curves`;
  return reach === null ? "no curves" : `${curves} to ${xWords(xKind, reach.to)}`;
}

function descending(a: number, b: number): number {
  return (Number.isNaN(b) ? -Infinity : b) - (Number.isNaN(a) ? -Infinity : a);
}

/** How far from its ends a curve still answers for. */
function spacing(line: ChartLine): number {
  return line.x.length < 2 ? Infinity : ((line.x[line.x.length - 1]! - line.x[0]!) / (line.x.length - 1)) * 2;
}

function moveCursor(plot: uPlot | null, lines: readonly ChartLine[], reach: Range, hover: Hover | null, step: number): void {
  const longest = lines.reduce<ChartLine | null>((best, line) => (best === null || line.x.length > best.x.length ? line : best), null);
  if (plot === null || longest === null || longest.x.length === 0) return;
  const at = hover === null ? nearest(longest.x, step > 0 ? reach.from : reach.to) : nearest(longest.x, hover.x) + step;
  const x = longest.x[Math.max(0, Math.min(longest.x.length - 1, at))]!;
  plot.setCursor({ left: plot.valToPos(x, "x"), top: plot.bbox.height / devicePixelRatio / 2 });
}

function isDotted({ x }: ChartLine, lines: readonly ChartLine[]): boolean {
  if (x.length === 1) return true;
  return x.length <= POINTS_SHOWN_MAX && lines.reduce((sum, line) => sum + line.x.length, 0) <= POINTS_SHOWN_MAX_TOGETHER;
}

function dataOf({ lines, isLog }: CurveChartProps): uPlot.AlignedData {
  const faint = lines.filter((line) => line.raw !== undefined).map((line) => ({ x: line.x, y: line.raw! }));
  const joined: Joined = join([...faint, ...lines], isLog);
  return joined as unknown as uPlot.AlignedData;
}

function optionsFor(latest: { current: CurveChartProps }, width: number, onHover: (hover: Hover | null) => void): uPlot.Options {
  const { lines, xKind, isLog, height } = latest.current;
  const axis = { stroke: color("--ink-3"), font: FONT, grid: { stroke: color("--line"), width: 1 }, ticks: { show: false }, gap: 6 };
  const reach = (): Range | null => latest.current.range ?? xExtent(latest.current.lines);
  const xRange = (): [number, number] => {
    const found = reach() ?? { from: 0, to: 1 };
    return found.from === found.to ? [found.from - 0.5, found.to + 0.5] : [found.from, found.to];
  };
  const faint = lines.filter((line) => line.raw !== undefined);
  return {
    width: Math.max(width, 10),
    height,
    ms: 1,
    pxAlign: 0,
    legend: { show: false },
    padding: [10, 14, 0, 0],
    cursor: {
      drag: { x: true, y: false, setScale: false, dist: 4 },
      y: false,
      points: { show: false },
    },
    scales: {
      x: { time: xKind === "time", range: xRange },
      y: { distr: isLog ? 3 : 1, range: () => yRange(latest.current.lines, latest.current.range, isLog) },
    },
    axes: [
      {
        ...axis,
        grid: { show: false },
        space: 76,
        size: 26,
        values: (_, splits, __, ___, apart) => splits.map((value) => xTick(xKind, value, apart)),
        // A step or a point in between there is none.
        ...(xKind === "step" || xKind === "index" ? { incrs: WHOLE_INCREMENTS } : {}),
      },
      {
        ...axis,
        space: 34,
        size: (_, values) => (values ?? []).reduce((most, value) => Math.max(most, (value ?? "").length), 2) * 6.4 + 16,
        values: (plot, splits) => splits.map((value) => (value === null || (isLog && !isRound(value, plot.scales["y"]!)) ? "" : measured(value))),
      },
    ],
    series: [
      {},
      ...faint.map((line) => ({ stroke: translucent(color(line.color), 0.34), width: 1, pxAlign: 0, points: { show: false } })),
      ...lines.map((line) => ({
        stroke: color(line.color),
        width: 1.6,
        pxAlign: 0,
        ...(line.dash === undefined ? {} : { dash: [...line.dash] }),
        points: { show: isDotted(line, lines), size: 4.5, fill: color(line.color) },
      })),
    ],
    hooks: {
      drawAxes: [(plot) => drawBands(plot, latest.current)],
      setCursor: [
        (plot) => {
          const { left } = plot.cursor;
          if (left === undefined || left < 0) onHover(null);
          else onHover({ x: plot.posToVal(left, "x"), left: left + plot.bbox.left / devicePixelRatio });
        },
      ],
      setSelect: [
        (plot) => {
          const { left, width: wide } = plot.select;
          if (wide < 4) return;
          latest.current.onZoom({ from: plot.posToVal(left, "x"), to: plot.posToVal(left + wide, "x") });
          plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
        },
      ],
      ready: [(plot) => plot.over.addEventListener("dblclick", () => latest.current.onZoom(null))],
    },
  };
}

/** 1, 2 or 5 of a decade, within one decade any digit; a scale that begins elsewhere has a tick there, too. */
function isRound(value: number, { min, max }: uPlot.Scale): boolean {
  const digit = value / 10 ** Math.floor(Math.log10(value) + 1e-9);
  const nearest = Math.round(digit);
  const isNarrow = max! < min! * 10;
  return Math.abs(digit - nearest) < 1e-6 && (isNarrow || [1, 2, 5].includes(nearest));
}

const WHOLE_INCREMENTS = Array.from({ length: 18 }, (_, power) => [1, 2, 5].map((n) => n * 10 ** power)).flat();

/** From the least to the greatest value of each bucket. */
function drawBands(plot: uPlot, { lines, isLog }: CurveChartProps): void {
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  for (const { x, low, high, color: name } of lines) {
    if (low === null || high === null) continue;
    const path = new Path2D();
    const bottom = plot.scales["y"]!.min!;
    const y = (value: number): number => plot.valToPos(isLog && value <= 0 ? bottom : value, "y", true);
    let from = 0;
    while (from < x.length) {
      // Infinite and absent values break the band.
      while (from < x.length && !isDrawn(low, high, from)) from++;
      let to = from;
      while (to < x.length && isDrawn(low, high, to)) to++;
      for (let index = from; index < to; index++) {
        const at = plot.valToPos(x[index]!, "x", true);
        if (index === from) path.moveTo(at, y(high[index]!));
        else path.lineTo(at, y(high[index]!));
      }
      for (let index = to - 1; index >= from; index--) path.lineTo(plot.valToPos(x[index]!, "x", true), y(low[index]!));
      path.closePath();
      from = to;
    }
    ctx.fillStyle = translucent(color(name), lines.length > 6 ? 0.1 : 0.17);
    ctx.fill(path);
  }
  ctx.restore();
}

function isDrawn(low: Float64Array, high: Float64Array, index: number): boolean {
  return Number.isFinite(low[index]) && Number.isFinite(high[index]);
}

function translucent(solid: string, alpha: number): string {
  const parts = solid.match(/[\d.]+/g) ?? [];
  return solid.startsWith("rgb") ? `rgb(${parts.slice(0, 3).join(" ")} / ${alpha})` : solid;
}
