import { expect, test } from "vitest";
import type { RunView } from "../src/api/types";
import { columnOf, distinct, fieldOf, typed } from "../src/pages/runs/columns";
import { cell } from "../src/pages/runs/exportCsv";

test.each([
  ["params", "lr", "latest", "params.lr"],
  ["metrics", "val/loss", "min", "metrics.val/loss.min"],
  ["metrics", "loss.min", "latest", 'metrics."loss.min"'],
  ["metrics", "loss.min", "max", 'metrics."loss.min".max'],
  ["tags", "worth another look", "latest", 'tags."worth another look"'],
  ["tags", 'say "so"', "latest", 'tags."say ""so"""'],
  ["tags", "größe", "latest", 'tags."größe"'],
  ["properties", "git.commit", "latest", "properties.git.commit"],
] as const)("%s %s (%s) is spelled %s and read back", (kind, key, aggregate, field) => {
  expect(fieldOf(kind, key, aggregate)).toBe(field);
  expect(columnOf(field)).toMatchObject({ kind, key, aggregate });
});

test("what names nothing is no column", () => {
  expect(columnOf("nothing")).toBeNull();
  expect(columnOf("tags.")).toBeNull();
});

test("columns of one name are told apart", () => {
  const labels = distinct([columnOf("metrics.lr")!, columnOf("params.lr")!, columnOf("params.depth")!]).map((column) => column.label);
  expect(labels).toEqual(["lr (metric)", "lr (parameter)", "depth"]);
});

test.each([
  [null, ""],
  [0.5, "0.5"],
  [-1, "-1"],
  ["plain", "plain"],
  ['a "b", c', '"a ""b"", c"'],
  ["=HYPERLINK(1)", "'=HYPERLINK(1)"],
  ["@cmd", "'@cmd"],
  ["-0.25", "-0.25"],
])("a cell of CSV: %s", (value, text) => {
  expect(cell(value)).toBe(text);
});

test("parameters that are texts stand as texts, and those that are numbers as numbers", () => {
  const sample = [{ params: { model: "mlp", lr: 0.1 } }, { params: { lr: "NaN" } }] as unknown as RunView[];
  const columns = typed([columnOf("params.model")!, columnOf("params.lr")!, columnOf("metrics.model")!], sample);
  expect(columns.map((column) => column.isNumber)).toEqual([false, true, true]);
});
