// Rendered from the API's own types; a test compares. To write it anew: python -m tests.support.studio_types

export interface Accepted {
  outcome: "accepted";
  token: string;
  events?: (EventRef)[];
  repeated?: boolean;
  run_id?: string | null;
}

export interface AddProperties {
  type: "run.add_properties";
  run_id: string;
  properties: Record<string, string | null>;
}

export interface AdvanceRun {
  type: "run.advance";
  run_id: string;
  status: Status;
  details?: string | null;
  claim?: boolean;
  unless_adopted?: boolean;
}

export interface ArchiveRun {
  type: "run.archive";
  run_id: string;
}

export interface ArtifactBody {
  path: string;
  sha256: string;
  size_bytes: number;
  content_type?: string;
}

export interface Asked {
  stream: string;
  number: number;
  partition?: number | null;
  offset?: number | null;
}

export interface CancelRun {
  type: "run.cancel";
  run_id: string;
  reason?: string | null;
}

export interface ChildCounts {
  direct?: Record<string, number>;
  descendants?: Record<string, number>;
}

export interface ChildFields {
  run_id?: string | null;
  name?: string | null;
  display_name?: string | null;
  description?: string | null;
  tags?: Record<string, string | null>;
  properties?: Record<string, string | null>;
  target?: string;
  run_type?: string | null;
}

export interface ChildrenAnswer {
  token: string;
  run_ids: (string)[];
  created: number;
}

export interface Column {
  dtype: "any" | "bool" | "f64" | "i64" | "str";
  values?: (boolean | number | string | null)[] | null;
  codec?: "delta-shuffle-zstd" | "delta-zstd" | "raw" | "shuffle-zstd" | "zstd" | null;
  count?: number | null;
  data?: string | null;
}

export interface CommandBatch {
  workspace: string;
  commands: (CommandItem)[];
  hold?: boolean;
}

export interface CommandItem {
  command: EnsureExperiment | UpdateExperiment | CreateRun | StartRun | AdvanceRun | RequestCancel | CompleteRun | FailRun | CancelRun | LogMetrics | LogParams | AddProperties | SetTags | RemoveTags | UpdateRun | ArchiveRun | RestoreRun | RecordArtifact | DeclareLost | EraseRun;
  writer_seq?: number | null;
  occurred_at?: number | null;
  correlation_id?: string | null;
  causation_id?: string | null;
}

export interface CommandsAnswer {
  token: string | null;
  outcomes: (Accepted | Refused)[];
}

export interface CompleteRun {
  type: "run.complete";
  run_id: string;
}

export interface Content {
  sha256: string;
  size_bytes: number;
}

export interface CountAnswer {
  count: number;
}

export interface CreateChildrenBody {
  count?: number | null;
  tag_key?: string | null;
  tag_values?: (string | null)[] | null;
  children?: (ChildFields)[] | null;
  experiment?: string | null;
  start?: boolean;
  hold?: boolean;
}

export interface CreateRun {
  type: "run.create";
  run_id: string;
  experiment: string;
  start?: boolean;
  resume?: boolean;
  parent_run_id?: string | null;
  name?: string | null;
  display_name?: string | null;
  description?: string | null;
  tags?: Record<string, string | null>;
  properties?: Record<string, string | null>;
  target?: string;
  run_type?: string | null;
}

export interface CreateRunBody {
  run_id?: string | null;
  name?: string | null;
  display_name?: string | null;
  description?: string | null;
  tags?: Record<string, string | null>;
  properties?: Record<string, string | null>;
  target?: string;
  run_type?: string | null;
  start?: boolean;
  resume?: boolean;
  parent_run_id?: string | null;
  hold?: boolean;
}

export interface CreateRunInBody {
  run_id?: string | null;
  name?: string | null;
  display_name?: string | null;
  description?: string | null;
  tags?: Record<string, string | null>;
  properties?: Record<string, string | null>;
  target?: string;
  run_type?: string | null;
  start?: boolean;
  resume?: boolean;
  parent_run_id?: string | null;
  hold?: boolean;
  experiment: string;
}

export interface Curve {
  run_id: string;
  name: string;
  column: string;
  kind: string;
  x: "index" | "step" | "time";
  dtype: "f64" | "i64";
  total: number;
  count: number;
  nan_count: number;
  exact: boolean;
  points?: CurvePoints | null;
  buckets?: CurveBuckets | null;
}

export interface CurveAnswer {
  run_id: string;
  name: string;
  column: string;
  kind: string;
  x: "index" | "step" | "time";
  dtype: "f64" | "i64";
  total: number;
  count: number;
  nan_count: number;
  exact: boolean;
  points?: CurvePointsAnswer | null;
  buckets?: CurveBucketsAnswer | null;
}

export interface CurveBuckets {
  x_first: string;
  x_last: string;
  count: string;
  nan_count: string;
  min: string;
  max: string;
  mean: string;
  first: string;
  last: string;
}

export interface CurveBucketsAnswer {
  x_first: (number)[];
  x_last: (number)[];
  count: (number)[];
  nan_count: (number)[];
  min: (number | "-Infinity" | "Infinity" | "NaN" | null)[];
  max: (number | "-Infinity" | "Infinity" | "NaN" | null)[];
  mean: (number | "-Infinity" | "Infinity" | "NaN" | null)[];
  first: (number | "-Infinity" | "Infinity" | "NaN" | null)[];
  last: (number | "-Infinity" | "Infinity" | "NaN" | null)[];
}

export interface CurvePoints {
  x: string;
  values: string;
  steps?: string | null;
  times_ms: string;
}

export interface CurvePointsAnswer {
  x: (number)[];
  values: (number | "-Infinity" | "Infinity" | "NaN")[];
  steps: (number | null)[] | null;
  times_ms: (number)[];
}

export interface CurveQueryBody {
  runs?: (string)[];
  query?: RunQueryBody | null;
  names?: (string)[];
  x?: "index" | "step" | "time";
  from?: number | null;
  to?: number | null;
  last?: number | null;
  points_max?: number;
}

export interface CurvesAnswer {
  curves: (CurveAnswer)[];
}

export interface DeclareLost {
  type: "run.declare_lost";
  run_id: string;
  first: number;
  last: number;
  reason: string;
  values?: number;
}

export interface EnsureExperiment {
  type: "experiment.ensure";
  experiment: string;
  description?: string | null;
  tags?: Record<string, string | null>;
}

export interface EnsureExperimentBody {
  experiment: string;
  description?: string | null;
  tags?: Record<string, string | null>;
}

export interface Entry {
  name: string;
  kind: "lost" | "unreadable";
  partition: number;
  recorded_at: number;
  event_id: string;
  code: string;
  message: string;
  facts?: Record<string, unknown>;
  offset?: number | null;
  timestamp_ms?: number | null;
  type?: string | null;
  key?: string | null;
  value_bytes?: number;
  is_cut?: boolean;
  redriven?: (Redriven)[];
}

export interface EntryPage {
  entries: (Entry)[];
  next?: string | null;
}

export interface EntryRecord {
  entry: Entry;
  key?: string | null;
  value?: string | null;
  headers?: ([string, string])[];
}

export interface EraseRun {
  type: "run.erase";
  run_id: string;
  reason?: string | null;
}

export interface ErrorInfo {
  message?: string | null;
  code?: string;
  details_uri?: string | null;
  error_type?: string | null;
  traceback?: string | null;
}

export interface EventOut {
  id: string;
  type: string;
  stream: string;
  stream_seq: number;
  partition: number;
  pos: number;
  slice: number;
  epoch: string;
  occurred_at: number;
  recorded_at: number;
  actor: string;
  actor_source: string;
  door: string;
  writer_id: string;
  writer_seq: number;
  causation_id: string | null;
  correlation_id: string | null;
  traceparent: string | null;
  data_version: number;
  content_type: string;
  subject: string | null;
  key_id: string | null;
  salt: string | null;
  digest: string;
  chain: string;
  body: unknown;
}

export interface EventRef {
  id: string;
  type: string;
  stream: string;
  stream_seq: number;
  partition: number;
  pos: number;
}

export interface EventsPage {
  partition: number;
  next: number;
  end: number;
  events: (EventOut)[];
}

export interface ExperimentView {
  workspace: string;
  experiment: string;
  experiment_id: string;
  description: string | null;
  tags: Record<string, string | null>;
  archived: boolean;
  archived_at: string | null;
  created_at: string;
  created_by: string;
  last_activity_at: string;
  runs: Record<string, number>;
}

export interface FailBody {
  error?: ErrorInfo;
}

export interface FailRun {
  type: "run.fail";
  run_id: string;
  error?: ErrorInfo;
  unless_adopted?: boolean;
}

export interface Fate {
  outcome?: Accepted | Refused | null;
  passed?: boolean;
}

export interface FileAnswer {
  token: string;
  path: string;
  sha256: string;
  size_bytes: number;
  content_type: string;
  events?: (EventRef)[];
}

export interface FileInfo {
  path: string;
  sha256: string;
  size_bytes: number;
  content_type: string;
  recorded_at: string;
}

export interface FinishLogBody {
  path: string;
  content_type?: string;
}

export interface HealthAnswer {
  status: string;
}

export interface HeartbeatAnswer {
  cancel_requested: (string)[];
  lease_s: number;
}

export interface HeartbeatBody {
  last_numbers?: Record<string, number>;
}

export interface HistoryEntry {
  event_id: string;
  stream_seq: number;
  type: string;
  recorded_at: string;
  occurred_at: string;
  actor: string;
  actor_source: string;
  door: string;
  words: string;
  late?: boolean;
  erased?: boolean;
  body?: Record<string, unknown> | null;
}

export interface HoldBody {
  hold?: boolean;
}

export interface LogEnd {
  end: number;
}

export interface LogInfo {
  path: string;
  size_bytes: number;
}

export interface LogMetrics {
  type: "run.log_metrics";
  run_id: string;
  batch: MetricBatch;
}

export interface LogParams {
  type: "run.log_params";
  run_id: string;
  params: Record<string, boolean | number | string | null>;
}

export interface Meter {
  name: "commands" | "file_bytes" | "points";
  per_s: number | null;
  burst: number | null;
  available: number | null;
  taken: number;
  refused: number;
}

export interface MetricBatch {
  series: (Series)[];
}

export interface MetricSummary {
  latest: boolean | number | string | null;
  count: number;
  step?: number | null;
  time?: string | null;
  min?: number | null | "NaN" | "Infinity" | "-Infinity";
  max?: number | null | "NaN" | "Infinity" | "-Infinity";
  nan_count?: number;
  kind?: string;
}

export interface NothingBody {
}

export interface OutcomeQuery {
  writer: string;
  commands: (Asked)[];
}

export interface OutcomesAnswer {
  fates: (Fate)[];
}

export interface PackedCurvesAnswer {
  curves: (Curve)[];
}

export interface Page {
  rows: (RunView)[];
  next: string | null;
}

export interface ParamsBody {
  params: Record<string, boolean | number | string | null>;
}

export interface Problem {
  type: string;
  title: string;
  status: number;
  code: string;
  detail: string;
  facts: Record<string, unknown>;
  event?: EventRef | null;
  token?: string | null;
  repeated?: boolean;
}

export interface ProjectionState {
  projection: string;
  version: number;
  partition: number;
  position: number;
  end: number;
  error?: string | null;
  rebuilt_version?: number | null;
  rebuilt_position?: number | null;
}

export interface PropertiesBody {
  properties: Record<string, string | null>;
}

export interface ReasonBody {
  reason?: string | null;
}

export interface RecordArtifact {
  type: "run.record_artifact";
  run_id: string;
  path: string;
  sha256: string;
  size_bytes: number;
  content_type?: string;
}

export interface Redriven {
  at: number;
  partition: number;
  offset: number;
  handled: boolean;
}

export interface Refused {
  outcome: "refused";
  code: string;
  message: string;
  facts?: Record<string, unknown>;
  token?: string | null;
  event?: EventRef | null;
  repeated?: boolean;
}

export interface RemoveTags {
  type: "run.remove_tags";
  run_id: string;
  keys: (string)[];
}

export interface RequestCancel {
  type: "run.request_cancel";
  run_id: string;
  reason?: string | null;
}

export interface RestoreRun {
  type: "run.restore";
  run_id: string;
}

export interface RunEvents {
  next: number | null;
  events: (EventOut)[];
}

export interface RunGroup {
  value: string | null;
  count: number;
  runs: Record<string, number>;
}

export interface RunGroups {
  groups: (RunGroup)[];
  complete: boolean;
}

export interface RunGroupsBody {
  experiment?: string | null;
  filter?: string | null;
  order_by?: string;
  fields?: (string)[];
  limit?: number;
  page?: string | null;
  tags?: Record<string, string | null>;
  tag_keys?: (string)[];
  properties?: Record<string, string | null>;
  property_keys?: (string)[];
  status?: (Status)[];
  run_type?: string | null;
  include_children?: boolean;
  parent_run_id?: string | null;
  ancestor_run_id?: string | null;
  include_archived?: boolean;
  search?: string | null;
  by: string;
}

export interface RunQueryBody {
  experiment?: string | null;
  filter?: string | null;
  order_by?: string;
  fields?: (string)[];
  limit?: number;
  page?: string | null;
  tags?: Record<string, string | null>;
  tag_keys?: (string)[];
  properties?: Record<string, string | null>;
  property_keys?: (string)[];
  status?: (Status)[];
  run_type?: string | null;
  include_children?: boolean;
  parent_run_id?: string | null;
  ancestor_run_id?: string | null;
  include_archived?: boolean;
  search?: string | null;
}

export interface RunTokenAnswer {
  token: string | null;
}

export interface RunView {
  workspace: string;
  run_id: string;
  experiment: string;
  experiment_id: string;
  number: number;
  status: Status;
  status_details: string | null;
  parent_run_id: string | null;
  root_run_id: string;
  path: (string)[];
  name: string | null;
  display_name: string | null;
  description: string | null;
  run_type: string | null;
  target: string;
  created_at: string;
  started_at: string | null;
  ended_at: string | null;
  created_by: string;
  archived: boolean;
  erased: boolean;
  error: ErrorInfo | null;
  cancel_reason: string | null;
  tags: Record<string, string | null>;
  properties: Record<string, string | null>;
  params: Record<string, boolean | number | string | null>;
  metrics: Record<string, MetricSummary>;
  rejections: number;
  lost_commands: number;
  lost_values: number;
  updated_at: string;
}

export interface Series {
  name: string;
  times: Column;
  columns: Record<string, Column>;
  steps?: Column | null;
  kind?: "chart" | "image" | "list" | "row" | "scalar" | "table";
  description?: string;
}

export interface SeriesData {
  run_id: string;
  name: string;
  kind: string;
  count: number;
  steps: (number | null)[];
  times_ms: (number)[];
  columns: Record<string, (unknown)[]>;
}

export interface SeriesInfo {
  run_id: string;
  name: string;
  kind: string;
  count: number;
  columns?: (string)[];
}

export interface SetTags {
  type: "run.set_tags";
  run_id: string;
  tags: Record<string, string | null>;
}

export interface StartRun {
  type: "run.start";
  run_id: string;
}

export type Status = "CancelRequested" | "Canceled" | "Completed" | "Failed" | "Finalizing" | "NotResponding" | "NotStarted" | "Paused" | "Pausing" | "Preparing" | "Provisioning" | "Queued" | "Running" | "Starting" | "Unapproved";

export interface StoredAnswer {
  stored: boolean;
}

export interface SystemAnswer {
  version: string;
  started_at: string;
  epoch: string;
  ends: (number)[];
  leases: number;
  queued_commands: number;
  followers: number;
  actor: string;
  admin: boolean;
}

export interface TagsBody {
  set?: Record<string, string | null>;
  remove?: (string)[];
}

export interface UpdateExperiment {
  type: "experiment.update";
  experiment: string;
  set_tags?: Record<string, string | null>;
  remove_tags?: (string)[];
  description?: string | null;
  archived?: boolean;
}

export interface UpdateExperimentBody {
  set_tags?: Record<string, string | null>;
  remove_tags?: (string)[];
  description?: string | null;
  archived?: boolean;
}

export interface UpdateRun {
  type: "run.update";
  run_id: string;
  display_name?: string | null;
  description?: string | null;
}

export interface UpdateRunBody {
  display_name?: string | null;
  description?: string | null;
  archived?: boolean;
}

export interface Usage {
  workspace: string;
  runs: number;
  meters?: (Meter)[];
}

export interface WriteAnswer {
  token: string;
  run_id?: string | null;
  events?: (EventRef)[];
  repeated?: boolean;
}

export interface WriterMark {
  stream: string;
  writer_id: string;
  highest: number;
  digest: string | null;
  gaps?: ([number, number])[];
  lost?: ([number, number])[];
  refused_creation?: boolean;
  announced?: number;
}
