/** Azure ML's four types of charts, from the files that their metrics name. */
import { useEffect } from "preact/hooks";
import { fetchSeries } from "../../../api/curves";
import { fetchFile, fileOfMetric } from "../../../api/files";
import { chartOf, type Chart } from "../../../charts/chartFiles";
import { AccuracyCurves } from "../../../charts/AccuracyCurves";
import { ConfusionMatrix } from "../../../charts/ConfusionMatrix";
import { Predictions } from "../../../charts/Predictions";
import { Residuals } from "../../../charts/Residuals";
import { useQuery } from "../../../lib/useQuery";
import { Failure, Skeleton } from "../../../ui/basics";
import { MetricPanel } from "./MetricPanel";
import type { RunSeries } from "./series";

const FILE_BYTES_MAX = 8 * 1024 * 1024;

interface ChartPanelProps {
  series: RunSeries;
  workspace: string;
  runId: string;
  version: number;
}

export function ChartPanel({ series, workspace, runId, version }: ChartPanelProps) {
  const { data, error, reload } = useQuery(`chart ${workspace} ${runId} ${series.name}`, (signal) => load(workspace, runId, series.name, signal));
  useEffect(() => {
    if (version > 0) reload();
  }, [version, reload]);
  return (
    <MetricPanel name={series.name} note={<span class="faint">{data?.words}</span>}>
      {(isLarge) => {
        if (data === undefined) return error === undefined ? <Skeleton lines={4} /> : <Failure error={error} retry={reload} />;
        return <Drawn chart={data} isLarge={isLarge} />;
      }}
    </MetricPanel>
  );
}

async function load(workspace: string, runId: string, name: string, signal: AbortSignal): Promise<Chart> {
  const [found] = await fetchSeries(workspace, runId, name, 1, signal);
  const value = Object.values(found?.columns ?? {})[0]?.at(-1);
  const file = fileOfMetric(value);
  if (file === null) throw new Error("The metric names no file of a run.");
  const content = await fetchFile(workspace, file.runId, file.path, FILE_BYTES_MAX, signal);
  return chartOf(new TextDecoder().decode(content));
}

function Drawn({ chart, isLarge }: { chart: Chart; isLarge: boolean }) {
  switch (chart.type) {
    case "confusion_matrix":
      return <ConfusionMatrix {...chart} />;
    case "residuals":
      return <Residuals {...chart} isLarge={isLarge} />;
    case "predictions":
      return <Predictions {...chart} isLarge={isLarge} />;
    case "accuracy_table":
      return <AccuracyCurves {...chart} isLarge={isLarge} />;
    case "other":
      return (
        <pre class="raw chart-raw" tabIndex={0} aria-label="The chart's file">
          {chart.text}
        </pre>
      );
  }
}
