import { expect, test } from "vitest";
import type { HistoryEntry } from "../src/api/types";
import { withBatches } from "../src/pages/run/history/lines";

const entry = (seq: number): HistoryEntry => ({ stream_seq: seq }) as HistoryEntry;

test("numbers that the history leaves out are batches of metrics, where they were recorded", () => {
  const [first, second, sixth] = [entry(1), entry(2), entry(6)];
  expect(withBatches([first, second, sixth])).toEqual([{ entry: sixth }, { firstSeq: 3, lastSeq: 5 }, { entry: second }, { entry: first }]);
});

test("without metrics, and without anything, there are no batches", () => {
  expect(withBatches([])).toEqual([]);
  expect(withBatches([entry(1), entry(2)])).toHaveLength(2);
});
