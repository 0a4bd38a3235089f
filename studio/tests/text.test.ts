import { expect, test } from "vitest";
import { EventStreamParser } from "../src/api/eventStream";
import { aligned, bytes, measured, measuredInColumn } from "../src/lib/numbers";
import { ago, duration, runningDuration } from "../src/lib/time";

test("a stream is read whatever the pieces it comes in", () => {
  const text = ': still here\n\nevent: run\ndata: {"a":1}\n\nevent: metrics\ndata: {}\nid: e:0=7\n\n: still here\nid: e:0=9\n\n';
  for (const size of [1, 2, 7, text.length]) {
    const parser = new EventStreamParser();
    const found = [];
    for (let at = 0; at < text.length; at += size) found.push(...parser.push(text.slice(at, at + size)));
    expect(found).toEqual([
      { event: "run", data: '{"a":1}' },
      { event: "metrics", data: "{}" },
    ]);
    expect(parser.id).toBe("e:0=9");
  }
});

test("an id counts when its message is complete", () => {
  const parser = new EventStreamParser();
  parser.push("event: run\ndata: {}\nid: e:0=1\n");
  expect(parser.id).toBeNull();
  parser.push("\n");
  expect(parser.id).toBe("e:0=1");
});

test.each([
  [340, "340 ms"],
  [12_440, "12.4 s"],
  [59_960, "0:59"],
  [187_000, "3:07"],
  [8_109_000, "2:15:09"],
  [353_700_000, "4 d 2:15"],
])("%d ms took %s", (ms, text) => expect(duration(ms)).toBe(text));

test("what still runs counts whole seconds", () => {
  expect(runningDuration(12_940)).toBe("12 s");
  expect(runningDuration(-5)).toBe("0 s");
});

test("how long ago", () => {
  const at = 1_700_000_000_000;
  expect([ago(at - 5_000, at), ago(at - 300_000, at), ago(at - 7_300_000, at)]).toEqual(["just now", "5 min ago", "2 h ago"]);
});

test.each([
  [0.123456789, "0.12346"],
  [-2, "−2"],
  [1_234_567, "1,234,567"],
  [1e-7, "1e-7"],
  [4.62613e-8, "4.626e-8"],
  [NaN, "NaN"],
  [-Infinity, "−∞"],
  [true, "true"],
  [null, ""],
])("%d is shown as %s", (value, text) => expect(measured(value)).toBe(text));

test("values in a column have as many digits", () => {
  expect([0.5, 12.25, 3].map(measuredInColumn)).toEqual(["0.50000", "12.250", "3"]);
});

test("sizes", () => {
  expect([bytes(512), bytes(1536), bytes(5 * 1024 ** 3)]).toEqual(["512 B", "1.5 KiB", "5.0 GiB"]);
});

test("a column's decimals never hide its small numbers", () => {
  expect([0.3, 0.25].map(aligned([0.3, 0.25]))).toEqual(["0.30", "0.25"]);
  const rates = [0.01, 0.0003, 10_000];
  expect(rates.map(aligned(rates))).toEqual(["0.01", "0.0003", "10,000"]);
});
