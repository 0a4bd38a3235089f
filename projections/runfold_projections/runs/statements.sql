-- Writing: used by the fold

-- name: run_by_id
SELECT run_key, workspace, run_id, experiment, experiment_id, number, status, status_details, parent_run_id,
       root_run_id, path, name, display_name, description, run_type, target, created_at, started_at, ended_at,
       created_by, archived, erased, error, cancel_reason, tags, properties, params, rejections, lost_commands,
       lost_values, updated_at
FROM {p}run WHERE workspace = $1 AND run_id = $2;

-- name: run_key
SELECT run_key, workspace, run_id FROM {p}run WHERE workspace = $1 AND run_id = $2;

-- name: write_run
INSERT INTO {p}run
    (run_key, workspace, run_id, experiment, experiment_id, number, status, status_details, parent_run_id,
     root_run_id, path, name, display_name, description, run_type, target, created_at, started_at, ended_at,
     created_by, archived, erased, error, cancel_reason, tags, properties, params, rejections, lost_commands,
     lost_values, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23,
        $24, $25, $26, $27, $28, $29, $30, $31)
ON CONFLICT (run_key) DO UPDATE SET
    status = excluded.status, status_details = excluded.status_details, display_name = excluded.display_name,
    description = excluded.description, started_at = excluded.started_at, ended_at = excluded.ended_at,
    archived = excluded.archived, error = excluded.error, cancel_reason = excluded.cancel_reason,
    tags = excluded.tags, properties = excluded.properties, params = excluded.params,
    rejections = excluded.rejections, lost_commands = excluded.lost_commands, lost_values = excluded.lost_values,
    updated_at = excluded.updated_at;

-- name: write_ancestor
INSERT INTO {p}ancestor (workspace, ancestor_run_id, created_at, run_key) VALUES ($1, $2, $3, $4);

-- name: write_label
INSERT INTO {p}label (run_key, kind, key, workspace, text, number) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (run_key, kind, key) DO UPDATE SET text = excluded.text, number = excluded.number;

-- name: remove_label
DELETE FROM {p}label WHERE run_key = $1 AND kind = $2 AND key = $3;

-- name: metric_to_fold
SELECT run_key, name, kind, count, nan_count, min, max, latest, step, time_ms, writer_id, writer_seq, point
FROM {p}metric WHERE run_key = $1 AND {is name $2};

-- name: write_metric
INSERT INTO {p}metric
    (run_key, name, workspace, kind, count, nan_count, min, max, latest, number, text, step, time_ms, writer_id,
     writer_seq, point, answer)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
ON CONFLICT (run_key, {key name}) DO UPDATE SET
    count = excluded.count, nan_count = excluded.nan_count, min = excluded.min, max = excluded.max,
    latest = excluded.latest, number = excluded.number, text = excluded.text, step = excluded.step,
    time_ms = excluded.time_ms, writer_id = excluded.writer_id, writer_seq = excluded.writer_seq,
    point = excluded.point, answer = excluded.answer;

-- Erasing

-- name: remove_run
DELETE FROM {p}run WHERE run_key = $1;

-- name: remove_ancestors
DELETE FROM {p}ancestor
WHERE workspace = $1 AND ancestor_run_id = $2 AND created_at = $3 AND run_key = $4;

-- name: remove_labels
DELETE FROM {p}label WHERE run_key = $1;

-- name: remove_metrics
DELETE FROM {p}metric WHERE run_key = $1;

-- Reading: used by the queries

-- name: answers_of_run
SELECT run_key, count(*) - count(answer), {joined answer name} FROM {p}metric WHERE run_key = $1 GROUP BY run_key;

-- name: metrics_of_run
SELECT run_key, name, kind, count, nan_count, min, max, latest, step, time_ms
FROM {p}metric WHERE run_key = $1 ORDER BY name;

-- name: metric_of_run
SELECT run_key, name, kind, count, nan_count, min, max, latest, step, time_ms
FROM {p}metric WHERE run_key = $1 AND {is name $2};

-- name: run_and_descendants
SELECT run_id FROM {p}run WHERE workspace = $1 AND run_id = $2
UNION ALL
SELECT run_id FROM (
    SELECT r.run_id, r.run_key FROM {p}ancestor a JOIN {p}run r ON r.run_key = a.run_key
    WHERE a.workspace = $1 AND a.ancestor_run_id = $2 ORDER BY r.run_key) below;

-- name: workspaces
SELECT DISTINCT workspace FROM {p}run ORDER BY workspace;
