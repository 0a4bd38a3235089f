/** Runs beside each other: `?run=…` (repeated) says which. */
import { query } from "../../lib/router";
import { Empty } from "../../ui/basics";
import { PageHead, useTitle } from "../../ui/Page";

export function ComparePage({ workspace }: { workspace: string }) {
  const runIds = query.value.getAll("run");
  useTitle("Comparison");
  return (
    <>
      <PageHead title="Comparison" />
      <Empty icon="compare" title={`${runIds.length} runs of ${workspace}`} />
    </>
  );
}
