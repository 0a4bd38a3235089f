/** Which colour and stroke the nth curve has: ten colours, then the same ones with other strokes. */
const COLORS = 10;
const DASHES: readonly (readonly number[] | undefined)[] = [undefined, [7, 4], [2, 3]];

export function curveColor(index: number): `--${string}` {
  return `--curve-${(index % COLORS) + 1}`;
}

export function curveDash(index: number): readonly number[] | undefined {
  return DASHES[Math.floor(index / COLORS) % DASHES.length];
}
