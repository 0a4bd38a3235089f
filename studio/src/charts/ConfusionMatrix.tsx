/** How often each class was taken for which: shares of a row by colour, counts in words. */
import { useState } from "preact/hooks";
import { measured } from "../lib/numbers";
import type { Matrix } from "./chartFiles";

const STRONG_FROM = 0.5;

export function ConfusionMatrix({ labels, matrix }: Matrix) {
  const [isShare, showShare] = useState(false);
  const sums = matrix.map((row) => row.reduce((sum, n) => sum + (n || 0), 0));
  const share = (row: number, column: number): number => (sums[row]! > 0 ? (matrix[row]![column]! || 0) / sums[row]! : 0);
  return (
    <div class="confusion">
      <div class="confusion-scroll" tabIndex={0} role="region" aria-label="Confusion matrix">
        <table>
          <thead>
            <tr>
              <th scope="col" class="confusion-corner">
                True <span class="faint">\ predicted</span>
              </th>
              {labels.map((label, column) => (
                <th key={column} scope="col" class="truncate" title={label}>{label}</th>
              ))}
            </tr>
          </thead>
          <tbody>
            {matrix.map((cells, row) => (
              <tr key={row}>
                <th scope="row" class="truncate" title={labels[row]}>{labels[row]}</th>
                {cells.map((value, column) => {
                  const part = share(row, column);
                  const words = `${labels[row]} taken for ${labels[column]}: ${measured(value)} (${(part * 100).toFixed(1)} %)`;
                  return (
                    <td key={column} title={words} class={part > STRONG_FROM ? "is-strong" : undefined} style={{ "--share": `${strength(part).toFixed(1)}%` }}>
                      {isShare ? `${(part * 100).toFixed(1)} %` : measured(value)}
                    </td>
                  );
                })}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <div class="segments" role="group" aria-label="What cells say">
        <button type="button" aria-pressed={!isShare} onClick={() => showShare(false)}>Counts</button>
        <button type="button" aria-pressed={isShare} onClick={() => showShare(true)}>Shares of a row</button>
      </div>
    </div>
  );
}

/** How much of the colour a share gets, in percent. Between the two there is none on which a number could be read. */
function strength(share: number): number {
  return share > STRONG_FROM ? 92 + (share - STRONG_FROM) * 16 : share * 80;
}
