/** Where values stand on an axis: numbers by size, perhaps by magnitude; anything else one after the other. */
import { measured } from "../../lib/numbers";
import { extent, ticks } from "../../charts/Plot";
import type { Fact, Value } from "./model";

export interface ValueAxis {
  fact: Fact;
  /** From 0 to 1; null where there is none. */
  place: (value: Value) => number | null;
  ticks: readonly { place: number; words: string }[];
}

/** Numbers that span more are laid out by magnitude. */
const LOG_FROM = 100;
const NAMES_MAX = 24;

export function axisOf(fact: Fact): ValueAxis {
  const numbers = fact.values.filter((value): value is number => typeof value === "number" && Number.isFinite(value));
  if (fact.isNumber && numbers.length > 0) return numberAxis(fact, numbers);
  const names = [...new Set(fact.values.filter((value) => value !== undefined && value !== null).map(String))].sort((a, b) => a.localeCompare(b, undefined, { numeric: true }));
  const place = (index: number): number => (names.length === 1 ? 0.5 : index / (names.length - 1));
  const apart = Math.ceil(names.length / NAMES_MAX);
  return {
    fact,
    place: (value) => (value === undefined || value === null || !names.includes(String(value)) ? null : place(names.indexOf(String(value)))),
    ticks: names.flatMap((name, index) => (index % apart === 0 ? { place: place(index), words: name } : [])),
  };
}

function numberAxis(fact: Fact, numbers: readonly number[]): ValueAxis {
  const least = Math.min(...numbers);
  const greatest = Math.max(...numbers);
  const isLog = least > 0 && greatest / least >= LOG_FROM;
  const scale = isLog ? Math.log10 : (value: number): number => value;
  const [from, to] = extent(numbers.map(scale), 0.04);
  const at = (value: number): number => (scale(value) - from) / (to - from);
  const marks = isLog ? decades(least, greatest) : ticks([from, to], 5);
  return {
    fact,
    place: (value) => (typeof value === "number" && Number.isFinite(value) ? at(value) : null),
    ticks: marks.map((value) => ({ place: at(value), words: measured(value) })),
  };
}

function decades(least: number, greatest: number): number[] {
  const found: number[] = [];
  const apart = Math.max(1, Math.ceil((Math.log10(greatest) - Math.log10(least)) / 6));
  for (let power = Math.ceil(Math.log10(least) - 0.04); power <= Math.floor(Math.log10(greatest) + 0.04); power += apart) found.push(10 ** power);
  return found;
}
