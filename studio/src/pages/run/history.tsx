import { Empty } from "../../ui/basics";
import type { RunTabProps } from "./model";

export function HistoryTab({ run }: RunTabProps) {
  return <Empty icon="history" title={`History of ${run.run_id}`} />;
}
