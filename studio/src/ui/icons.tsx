/** Icons of the frame: strokes on a grid of 16. */
import type { SVGAttributes } from "preact";

const PATHS = {
  archive: "M2 3h12v3H2zM3 6v7h10V6M6.5 9h3",
  arrowDown: "M8 3v10M4 9l4 4 4-4",
  arrowUp: "M8 13V3M4 7l4-4 4 4",
  ban: "M8 2a6 6 0 1 1 0 12A6 6 0 0 1 8 2zM3.8 3.8l8.4 8.4",
  bars: "M2.5 13.5h11M4.5 11V7M8 11V3M11.5 11V5.5",
  bookmark: "M4 2.5h8v11L8 10.8 4 13.5z",
  check: "M3 8.5 6.5 12 13 4.5",
  chevronDown: "M4 6l4 4 4-4",
  chevronLeft: "M10 4l-4 4 4 4",
  chevronRight: "M6 4l4 4-4 4",
  columns: "M2.5 3h11v10h-11zM6.2 3v10M9.8 3v10",
  compare: "M2 12.5c3 0 3.5-8.5 6.5-8.5S11 9 14 9M2 8c3 0 4 4.5 6.5 4.5S12 5 14 5",
  copy: "M5.5 5.5h8v8h-8zM10.5 5.5v-3h-8v8h3",
  dark: "M13.2 9.6A5.8 5.8 0 0 1 6.4 2.8a5.8 5.8 0 1 0 6.8 6.8z",
  download: "M8 2v8M4.5 7 8 10.5 11.5 7M2.5 13.5h11",
  edit: "M2.5 13.5l.7-3L10.6 3l2.4 2.4-7.5 7.4zM9 4.6 11.4 7",
  expand: "M9.5 2.5h4v4M13.5 2.5 9 7M6.5 13.5h-4v-4M2.5 13.5 7 9",
  external: "M9 2.5h4.5V7M13.5 2.5 7.5 8.5M6 3.5H2.5v10h10V10",
  file: "M4 1.8h5.5l3 3v9.4H4zM9.3 1.8v3.2h3.2",
  flask: "M6 2h4M6.7 2v4.2L2.8 13a.7.7 0 0 0 .6 1h9.2a.7.7 0 0 0 .6-1L9.3 6.2V2M4.7 10h6.6",
  folder: "M2 4h4.5l1.3 1.5H14v7H2z",
  group: "M2.5 3.5h11M5.5 8h8M5.5 12.5h8",
  history: "M2.5 8a5.5 5.5 0 1 1 1.6 3.9M2.5 12.5V9.4h3M8 5v3.2l2 1.3",
  image: "M2.5 3h11v10h-11zM2.5 11l3.2-3.4 2.6 2.6 2-1.8 3.2 3M10.4 5.8h.01",
  light: "M8 5.2a2.8 2.8 0 1 1 0 5.6 2.8 2.8 0 0 1 0-5.6zM8 1.5v1.3M8 13.2v1.3M1.5 8h1.3M13.2 8h1.3M3.4 3.4l.9.9M11.7 11.7l.9.9M3.4 12.6l.9-.9M11.7 4.3l.9-.9",
  lock: "M4 7.5h8v6H4zM5.5 7.5V5.2a2.5 2.5 0 0 1 5 0v2.3",
  more: "M3.5 7.5a.5.5 0 1 1 0 1 .5.5 0 0 1 0-1zM8 7.5a.5.5 0 1 1 0 1 .5.5 0 0 1 0-1zM12.5 7.5a.5.5 0 1 1 0 1 .5.5 0 0 1 0-1z",
  plus: "M8 3v10M3 8h10",
  refresh: "M13.5 8a5.5 5.5 0 1 1-1.7-4M13.5 2.5v3h-3",
  runs: "M2 4h1M5.5 4h8.5M2 8h1M5.5 8h8.5M2 12h1M5.5 12h8.5",
  search: "M7 2.5a4.5 4.5 0 1 1 0 9 4.5 4.5 0 0 1 0-9zM10.3 10.3l3.2 3.2",
  shrink: "M13 7H9V3M9 7l4.5-4.5M3 9h4v4M7 9l-4.5 4.5",
  signOut: "M6.5 2.5h-4v11h4M6 8h8M11 5l3 3-3 3",
  stop: "M4 4h8v8H4z",
  system: "M2.5 3h11v4h-11zM2.5 9h11v4h-11zM5 5h.01M5 11h.01",
  tag: "M2.5 2.5H8l5.5 5.5-5.5 5.5L2.5 8zM5.3 5.3h.01",
  theme: "M8 2a6 6 0 1 0 0 12zM8 2a6 6 0 0 1 0 12",
  tree: "M3 2.5v9.5h4M3 6h4M9 4.5h4.5v3H9zM9 10.5h4.5v3H9z",
  x: "M4 4l8 8M12 4l-8 8",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name, size = 16, ...rest }: { name: IconName; size?: number } & SVGAttributes<SVGSVGElement>) {
  return (
    <svg class="icon" viewBox="0 0 16 16" width={size} height={size} aria-hidden="true" {...rest}>
      <path d={PATHS[name]} />
    </svg>
  );
}
