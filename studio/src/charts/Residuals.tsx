import { measured } from "../lib/numbers";
import type { ResidualBins } from "./chartFiles";
import { extent, Plot } from "./Plot";

/** How far predictions were off, and how often. */
export function Residuals({ edges, counts, isLarge }: ResidualBins & { isLarge: boolean }) {
  const [width, height] = isLarge ? [1000, 400] : [480, 236];
  return (
    <Plot label={`Histogram of residuals in ${counts.length} bins`} width={width} height={height} xs={extent(edges, 0)} ys={extent(counts, 0.06, 0)} xTitle="Residual" yTitle="Count">
      {({ x, y }) =>
        counts.map((count, index) => {
          const [from, to] = [x(edges[index]!), x(edges[index + 1]!)];
          if (![from, to, count].every(Number.isFinite)) return null;
          return (
            <rect key={index} class="plot-bar" x={from + 0.5} width={Math.max(0.5, to - from - 1)} y={y(count)} height={Math.max(0, y(0) - y(count))}>
              <title>{`${measured(edges[index])} to ${measured(edges[index + 1])}: ${measured(count)}`}</title>
            </rect>
          );
        })
      }
    </Plot>
  );
}
