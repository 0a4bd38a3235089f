import { expect, test } from "vitest";
import { indented, parsed } from "../src/lib/json";

test.each([[{ a: 1, b: [1, 2.5, { c: null }], d: {}, e: [], "f\"g,{": "x: [y]\\" }], [[]], [{}], ["text"], [[[], {}]]])("%j is laid out as JSON.stringify does", (value) => {
  expect(indented(JSON.stringify(value))).toBe(JSON.stringify(value, null, 2));
});

test("numbers and the order of keys stay as they were sent", () => {
  expect(indented('{"10":1152921504606846977,"2":1.0}')).toBe('{\n  "10": 1152921504606846977,\n  "2": 1.0\n}');
});

test("long texts are cut where that is asked for", () => {
  expect(indented('{"body":"aaaaaaaaaa","b":"aaaaa"}', 5)).toBe('{\n  "body": "aaaaa… (10 characters)",\n  "b": "aaaaa"\n}');
});

test("integers beyond what a number holds are read as their digits", () => {
  const json = '{"seed":9223372036854775807,"lr":0.30000000000000004,"n":[-1152921504606846977,1e300,12],"text":"[1152921504606846977]"}';
  expect(parsed(json)).toEqual({ seed: "9223372036854775807", lr: 0.30000000000000004, n: ["-1152921504606846977", 1e300, 12], text: "[1152921504606846977]" });
});
