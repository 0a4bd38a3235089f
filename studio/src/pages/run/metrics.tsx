import { Empty } from "../../ui/basics";
import type { RunTabProps } from "./model";

export function MetricsTab({ run }: RunTabProps) {
  return <Empty icon="bars" title={`Metrics of ${run.run_id}`} />;
}
