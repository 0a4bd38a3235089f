import { measured } from "../lib/numbers";
import type { PredictionBins } from "./chartFiles";
import { extent, Plot } from "./Plot";

/** What was predicted for true values of each bin: its mean and spread, beside the line where they would be the same. */
export function Predictions({ averages, errors, counts, edges, isLarge }: PredictionBins & { isLarge: boolean }) {
  const [width, height] = isLarge ? [1000, 400] : [480, 236];
  const middle = (index: number): number => (edges[index]! + edges[index + 1]!) / 2;
  const reach = averages.flatMap((average, index) => [average - (errors[index] || 0), average + (errors[index] || 0)]);
  const most = Math.max(...counts.filter(Number.isFinite), 1);
  const xs = extent(edges, 0);
  const ys = extent([...reach, xs[0], xs[1]]);
  return (
    <Plot label={`Predicted against true values in ${averages.length} bins`} width={width} height={height} xs={xs} ys={ys} xTitle="True value" yTitle="Predicted">
      {({ x, y }) => {
        const bottom = y(ys[0]);
        const seen = averages.flatMap((average, index) => (Number.isFinite(average) && Number.isFinite(middle(index)) ? [index] : []));
        return (
          <>
            {counts.map((count, index) => {
              const [from, to] = [x(edges[index]!), x(edges[index + 1]!)];
              const tall = ((count || 0) / most) * (bottom - y(ys[1])) * 0.22;
              return Number.isFinite(from) && Number.isFinite(to) ? <rect key={index} class="plot-back" x={from + 0.5} width={Math.max(0.5, to - from - 1)} y={bottom - tall} height={tall} /> : null;
            })}
            <line class="plot-ideal" x1={x(xs[0])} y1={y(xs[0])} x2={x(xs[1])} y2={y(xs[1])} />
            <polyline class="plot-line" points={seen.map((index) => `${x(middle(index))},${y(averages[index]!)}`).join(" ")} />
            {seen.map((index) => {
              const [average, error] = [averages[index]!, errors[index] || 0];
              return (
                <g key={index} class="plot-point">
                  <line x1={x(middle(index))} x2={x(middle(index))} y1={y(average - error)} y2={y(average + error)} />
                  <circle cx={x(middle(index))} cy={y(average)} r="3" />
                  <title>{`${measured(edges[index])} to ${measured(edges[index + 1])}: ${measured(average)} ± ${measured(error)}, ${measured(counts[index])} values`}</title>
                </g>
              );
            })}
          </>
        );
      }}
    </Plot>
  );
}
