import { describe, expect, test } from "vitest";
import { both, isValue, splitSearch } from "../src/pages/runs/search";

describe("what the search box holds", () => {
  test.each([
    ["", "", ""],
    ["ember baseline", "ember baseline", ""],
    ['status = "Failed"', "", 'status = "Failed"'],
    ['adam status = "Failed"', "adam", 'status = "Failed"'],
    ["metrics.val/loss.min<0.2", "", "metrics.val/loss.min<0.2"],
    ['not has(tags.keep) or tags."two words" is null', "", 'not has(tags.keep) or tags."two words" is null'],
    ["(params.lr < 1 or params.lr > 2) and name like 'x%'", "", "(params.lr < 1 or params.lr > 2) and name like 'x%'"],
    ["two words (status in ('Failed'))", "two words", "(status in ('Failed'))"],
    ["status", "status", ""], // a word, until something is said of it
    ["the experiment in May", "the", "experiment in May"], // and then the server says what it misses
    ["a=b", "a=b", ""],
  ])("%s", (text, words, filter) => {
    expect(splitSearch(text)).toEqual({ words, filter });
  });

  test("conditions are joined and quoted", () => {
    expect(both("a = 1", "")).toBe("a = 1");
    expect(both("a = 1 or b = 2", isValue("tags.x", 'say "so"'))).toBe('(a = 1 or b = 2) and (tags.x = "say ""so""")');
    expect(isValue("tags.x", null)).toBe("tags.x is null");
  });
});
