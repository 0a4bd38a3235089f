import { Empty } from "../../ui/basics";
import type { RunTabProps } from "./model";

export function LogsTab({ run }: RunTabProps) {
  return <Empty icon="runs" title={`Logs of ${run.run_id}`} />;
}
