/** Images over steps: a slider, arrow keys, and the latest one while the run goes on. */
import { useEffect, useState } from "preact/hooks";
import { fetchSeries } from "../../../api/curves";
import { fileOfMetric } from "../../../api/files";
import { count } from "../../../lib/numbers";
import { useQuery } from "../../../lib/useQuery";
import { Failure, IconButton, Skeleton, Time } from "../../../ui/basics";
import { FileImage } from "../files/FileImage";
import { MetricPanel } from "./MetricPanel";
import type { RunSeries } from "./series";

const IMAGES = 1_000;

interface ImagePanelProps {
  series: RunSeries;
  workspace: string;
  runId: string;
  version: number;
}

export function ImagePanel(props: ImagePanelProps) {
  const { series } = props;
  return (
    <MetricPanel name={series.name} note={<span class="faint number">{count(series.count)} {series.count === 1 ? "image" : "images"}</span>}>
      {(isLarge) => <Images {...props} isLarge={isLarge} />}
    </MetricPanel>
  );
}

function Images({ series, workspace, runId, version, isLarge }: ImagePanelProps & { isLarge: boolean }) {
  const { data, error, reload } = useQuery(`images ${workspace} ${runId} ${series.name}`, (signal) => fetchSeries(workspace, runId, series.name, IMAGES, signal));
  useEffect(() => {
    if (version > 0) reload();
  }, [version, reload]);
  const [chosen, choose] = useState<number | null>(null);
  const [found] = data ?? [];
  if (found === undefined) return error === undefined ? <Skeleton lines={4} /> : <Failure error={error} retry={reload} />;
  const values = found.columns[series.name] ?? Object.values(found.columns)[0] ?? [];
  const last = values.length - 1;
  const at = Math.min(chosen ?? last, last);
  const file = fileOfMetric(values[at]);
  const step = found.steps[at];
  const go = (to: number): void => choose(to >= last ? null : Math.max(0, to));
  return (
    <figure class={`metric-image ${isLarge ? "is-large" : ""}`}>
      <div class="metric-image-frame">
        {file === null ? <p class="panel-empty">This names no file of a run.</p> : <FileImage workspace={workspace} runId={file.runId} path={file.path} alt={`${series.name}, ${step === null ? `image ${at + 1}` : `step ${step}`}`} />}
      </div>
      <figcaption>
        <span class="number">{step === null || step === undefined ? `${at + 1} of ${values.length}` : `Step ${count(step)}`}</span>
        <span class="faint"><Time at={found.times_ms[at] ?? null} exact /></span>
        {last > 0 && (
          <>
            <IconButton icon="chevronLeft" label="The image before" disabled={at === 0} onClick={() => go(at - 1)} />
            <input type="range" min={0} max={last} step={1} value={at} aria-label={`Which image of ${series.name}`} onInput={(event) => go(Number(event.currentTarget.value))} />
            <IconButton icon="chevronRight" label="The image after" disabled={at === last} onClick={() => go(at + 1)} />
          </>
        )}
      </figcaption>
    </figure>
  );
}
