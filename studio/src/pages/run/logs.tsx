/** What the run's program has written, while it writes it and afterwards. `?log=` says which log, `?find=` what is searched. */
import { useEffect } from "preact/hooks";
import { fetchFiles, fetchLogs } from "../../api/files";
import { bytes } from "../../lib/numbers";
import { query, setQuery } from "../../lib/router";
import { ENDED } from "../../lib/statuses";
import { useQuery } from "../../lib/useQuery";
import { Empty, Failure, Skeleton } from "../../ui/basics";
import { LogView } from "./logs/LogView";
import type { RunTabProps } from "./model";

const LOOK_MS = 3_000;
const IS_LOG = /(^|\/)(logs|azureml-logs|user_logs|system_logs)\/|\.log$/;

interface LogChoice {
  path: string;
  size: number;
  isLive: boolean;
}

export function LogsTab({ model, run }: RunTabProps) {
  const { workspace, run_id: runId } = run;
  const { data, error, reload } = useQuery(`logs ${workspace} ${runId}`, (signal) => find(workspace, runId, signal));
  const isActive = !ENDED.has(run.status) || (data?.some(({ isLive }) => isLive) ?? false);
  useEffect(() => {
    if (!isActive) return;
    const timer = setInterval(() => !document.hidden && reload(), data?.length ? LOOK_MS : LOOK_MS / 3);
    return () => clearInterval(timer);
  }, [isActive, reload, data?.length]);
  useEffect(() => model.listen({ history: (entries) => entries.some(({ type }) => type === "run.artifact_recorded") && reload() }), [model, reload]);

  if (data === undefined) return error === undefined ? <Skeleton lines={8} /> : <Failure error={error} retry={reload} />;
  const chosen = data.find(({ path }) => path === query.value.get("log")) ?? data[0];
  if (chosen === undefined) {
    return (
      <Empty icon="runs" title={ENDED.has(run.status) ? "This run has no logs" : "No logs yet"}>
        A script that is submitted has what it prints here, line by line. A run can upload any file as <code>logs/…</code>, too.
      </Empty>
    );
  }
  return (
    <div class="logs">
      {data.length > 1 && (
        <nav class="log-choices" aria-label="Logs">
          {data.map(({ path, size, isLive }) => (
            <button key={path} type="button" class="log-choice" aria-current={path === chosen.path ? "true" : undefined} onClick={() => setQuery({ log: path, find: null })}>
              {isLive && <span class="log-live" title="Being written" />}
              <span class="truncate" title={path}>{path}</span>
              <span class="faint number">{bytes(size)}</span>
            </button>
          ))}
        </nav>
      )}
      <LogView key={chosen.path} workspace={workspace} runId={runId} path={chosen.path} size={chosen.size} find={query.value.get("find") ?? ""} onFind={(text) => setQuery({ find: text })} />
    </div>
  );
}

/** What is being written, then what was finished. */
async function find(workspace: string, runId: string, signal: AbortSignal): Promise<LogChoice[]> {
  const [live, files] = await Promise.all([fetchLogs(workspace, runId, signal), fetchFiles(workspace, runId, signal)]);
  const found = new Map<string, LogChoice>();
  for (const { path, size_bytes: size } of files) if (IS_LOG.test(path)) found.set(path, { path, size, isLive: false });
  for (const { path, size_bytes: size } of live) found.set(path, { path, size, isLive: true });
  return [...found.values()].sort((a, b) => rank(a) - rank(b) || a.path.localeCompare(b.path, undefined, { numeric: true }));
}

/** What the program itself says first. */
function rank({ path, isLive }: LogChoice): number {
  const isOutput = /(std|stdout|70_driver|driver)_?log|std_log|stdout/i.test(path);
  return (isOutput ? 0 : 2) + (isLive ? 0 : 1);
}
