/** Curves with their own x on one x, as uPlot wants them: undefined where a curve has no point, null where it breaks. */
export interface Line {
  x: Float64Array;
  y: Float64Array;
}

export type Joined = [Float64Array, ...(number | null | undefined)[][]];

/** On a logarithmic scale there is nothing at or below zero. */
export function join(lines: readonly Line[], isLog: boolean): Joined {
  const all = new Float64Array(lines.reduce((sum, line) => sum + line.x.length, 0));
  let at = 0;
  for (const line of lines) {
    all.set(line.x, at);
    at += line.x.length;
  }
  all.sort();
  const xs = unique(all);
  const columns = lines.map((line) => column(line, xs, isLog));
  return [xs, ...columns];
}

function column(line: Line, xs: Float64Array, isLog: boolean): (number | null | undefined)[] {
  const found = new Array<number | null | undefined>(xs.length).fill(undefined);
  let at = 0;
  for (let index = 0; index < line.x.length; index++) {
    const x = line.x[index]!;
    while (xs[at]! < x) at++;
    const y = line.y[index]!;
    // Of points of the same x the last is drawn.
    found[at] = Number.isFinite(y) && (!isLog || y > 0) ? y : null;
  }
  return found;
}

function unique(sorted: Float64Array): Float64Array {
  let size = 0;
  for (let index = 0; index < sorted.length; index++) {
    if (index === 0 || sorted[index] !== sorted[size - 1]) sorted[size++] = sorted[index]!;
  }
  return sorted.slice(0, size);
}

/** The place of the point nearest to `x`; -1 of none. */
export function nearest(xs: Float64Array, x: number): number {
  let low = 0;
  let high = xs.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (xs[middle]! < x) low = middle + 1;
    else high = middle;
  }
  if (low === 0) return xs.length > 0 ? 0 : -1;
  if (low === xs.length) return low - 1;
  return x - xs[low - 1]! <= xs[low]! - x ? low - 1 : low;
}
