-- Writing: used by the fold

-- name: experiment_to_fold
SELECT experiment_id, workspace, experiment, description, tags, archived_at, created_at, created_by, updated_at
FROM {p}experiment WHERE experiment_id = $1;

-- name: write_experiment
INSERT INTO {p}experiment
    (experiment_id, workspace, experiment, description, tags, archived_at, created_at, created_by, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT (experiment_id) DO UPDATE SET
    description = excluded.description, tags = excluded.tags, archived_at = excluded.archived_at,
    updated_at = excluded.updated_at;

-- name: run_to_fold
SELECT stream, experiment_id, status FROM {p}run WHERE stream = $1;

-- name: write_run
INSERT INTO {p}run (stream, experiment_id, status, updated_at) VALUES ($1, $2, $3, $4)
ON CONFLICT (stream) DO UPDATE SET status = excluded.status, updated_at = excluded.updated_at;

-- name: add_count
INSERT INTO {p}count (experiment_id, partition, status, runs) VALUES ($1, $2, $3, $4)
ON CONFLICT (experiment_id, partition, status) DO UPDATE SET runs = {p}count.runs + excluded.runs;

-- name: remove_zero
DELETE FROM {p}count WHERE experiment_id = $1 AND partition = $2 AND status = $3 AND runs = 0;

-- Reading: used by the queries

-- name: all_experiments
SELECT e.experiment_id, e.workspace, e.experiment, e.description, e.tags, e.archived_at, e.created_at, e.created_by,
       e.updated_at, (SELECT max(r.updated_at) FROM {p}run r WHERE r.experiment_id = e.experiment_id)
FROM {p}experiment e WHERE e.workspace = $1;

-- name: experiment_by_name
SELECT e.experiment_id, e.workspace, e.experiment, e.description, e.tags, e.archived_at, e.created_at, e.created_by,
       e.updated_at, (SELECT max(r.updated_at) FROM {p}run r WHERE r.experiment_id = e.experiment_id)
FROM {p}experiment e WHERE e.workspace = $1 AND e.experiment = $2;

-- name: counts
SELECT status, sum(runs) FROM {p}count WHERE experiment_id = $1 GROUP BY status ORDER BY status;

-- name: workspaces
SELECT DISTINCT workspace FROM {p}experiment ORDER BY workspace;
