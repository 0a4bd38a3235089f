import { Empty } from "../../ui/basics";
import type { RunTabProps } from "./model";

export function FilesTab({ run }: RunTabProps) {
  return <Empty icon="archive" title={`Files of ${run.run_id}`} />;
}
