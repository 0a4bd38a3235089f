/**
 * An exponential moving average without the bias of its start: early values are not drawn towards zero.
 * `weight` is that of the past, 0 (none) to below 1. What is no finite number stays as it is and counts for nothing.
 */
export function smoothed(values: Float64Array, weight: number): Float64Array {
  if (weight <= 0) return values;
  const found = new Float64Array(values.length);
  let sum = 0;
  let total = 0;
  for (let index = 0; index < values.length; index++) {
    const value = values[index]!;
    if (!Number.isFinite(value)) {
      found[index] = value;
      continue;
    }
    sum = sum * weight + value * (1 - weight);
    total = total * weight + (1 - weight);
    found[index] = sum / total;
  }
  return found;
}
