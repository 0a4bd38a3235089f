-- Writing: used by the fold

-- name: child_to_fold
SELECT stream, path, status FROM {p}child WHERE stream = $1;

-- name: write_child
INSERT INTO {p}child (stream, path, status) VALUES ($1, $2, $3)
ON CONFLICT (stream) DO UPDATE SET status = excluded.status;

-- name: add_count
INSERT INTO {p}count (workspace, ancestor_run_id, partition, status, direct, descendants)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (workspace, ancestor_run_id, partition, status) DO UPDATE SET
    direct = {p}count.direct + excluded.direct, descendants = {p}count.descendants + excluded.descendants;

-- name: remove_zero
DELETE FROM {p}count
WHERE workspace = $1 AND ancestor_run_id = $2 AND partition = $3 AND status = $4 AND direct = 0 AND descendants = 0;

-- Reading: used by the queries

-- name: counts
SELECT status, sum(direct), sum(descendants) FROM {p}count
WHERE workspace = $1 AND ancestor_run_id = $2 GROUP BY status ORDER BY status;
