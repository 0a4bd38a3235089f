import type { RunTabProps } from "./model";

export function OverviewTab({ run }: RunTabProps) {
  return <pre>{JSON.stringify(run, null, 2)}</pre>;
}
