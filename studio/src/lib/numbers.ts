/** Numbers as people compare them. */

const GROUPED = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

/** A count with its thousands apart. */
export function count(n: number): string {
  return GROUPED.format(n);
}

/** "1 run", "2,000 runs". */
export function counted(n: number, one: string, many: string = `${one}s`): string {
  return `${count(n)} ${n === 1 ? one : many}`;
}

/** A measured value in at most five significant digits; integers whole, NaN and infinities by name. */
export function measured(value: unknown): string {
  if (typeof value === "boolean") return value ? "true" : "false";
  if (typeof value !== "number") return value === null || value === undefined ? "" : String(value);
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "NaN" : value > 0 ? "∞" : "−∞";
  const size = Math.abs(value);
  if (value !== 0 && (size >= 1e7 || size < 1e-4)) return minus(Number(value.toPrecision(4)).toExponential().replace("e+", "e"));
  if (Number.isInteger(value)) return minus(GROUPED.format(value));
  return minus(String(Number(value.toPrecision(5))));
}

/** The same for a column of measurements: all with as many digits, so that they line up. */
export function measuredInColumn(value: unknown): string {
  const isPlain = typeof value === "number" && Number.isFinite(value) && !Number.isInteger(value) && Math.abs(value) >= 1e-4 && Math.abs(value) < 1e5;
  return isPlain ? minus(value.toPrecision(5)) : measured(value);
}

/** Numbers of one column that are further apart are written each by itself: the decimals of the greatest would hide the least. */
const ALIGNED_RATIO_MAX = 100;

/** How to write the numbers of one column so that their points stand below each other: with as many decimals as they need, at most six. */
export function aligned(values: readonly unknown[]): (value: unknown) => string {
  const numbers = values.filter((value): value is number => typeof value === "number" && Number.isFinite(value));
  const sizes = numbers.filter((value) => value !== 0).map(Math.abs);
  const greatest = sizes.reduce((most, size) => Math.max(most, size), 0);
  const least = sizes.reduce((size, other) => Math.min(size, other), Infinity);
  if (greatest >= 1e7 || (greatest > 0 && greatest < 1e-3) || greatest > least * ALIGNED_RATIO_MAX) return measured;
  const room = Math.max(0, Math.min(6, 5 - Math.ceil(Math.log10(greatest || 1))));
  const decimals = numbers.reduce((most, value) => Math.max(most, decimalsOf(value, room)), 0);
  return (value) => (typeof value === "number" && Number.isFinite(value) ? minus(value.toLocaleString("en", { minimumFractionDigits: decimals, maximumFractionDigits: decimals })) : measured(value));
}

function decimalsOf(value: number, most: number): number {
  for (let decimals = 0; decimals < most; decimals++) {
    if (Math.abs(value - Number(value.toFixed(decimals))) < 1e-9) return decimals;
  }
  return most;
}

function minus(text: string): string {
  return text.replace(/^-/, "−");
}

/** What JSON carries for a float: a number, or the name of one that JSON has not, or the digits of one that is too great. */
export function float(value: number | string | null | undefined): number | null {
  if (typeof value === "number") return value;
  if (value === "NaN") return NaN;
  if (value === "Infinity") return Infinity;
  if (value === "-Infinity") return -Infinity;
  if (value && /^-?\d{16,}$/.test(value)) return Number(value);
  return null;
}

const SIZES = ["B", "KiB", "MiB", "GiB", "TiB"] as const;

export function bytes(n: number): string {
  let power = 0;
  let left = n;
  while (left >= 1024 && power < SIZES.length - 1) {
    left /= 1024;
    power++;
  }
  return `${power === 0 ? left : left.toFixed(left < 10 ? 1 : 0)} ${SIZES[power]}`;
}
