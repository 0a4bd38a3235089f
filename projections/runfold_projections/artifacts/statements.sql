-- Writing: used by the fold

-- name: write_file
INSERT INTO {p}file (stream, stream_seq, path, workspace, sha256, size_bytes, content_type, recorded_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8);

-- name: remove_files
DELETE FROM {p}file WHERE stream = $1;

-- Reading: used by the queries

-- name: files
SELECT path, sha256, size_bytes, content_type, recorded_at FROM {p}file
WHERE stream = $1 AND path >= $2 AND path < $3 ORDER BY path;

-- name: file_at
SELECT path, sha256, size_bytes, content_type, recorded_at FROM {p}file WHERE stream = $1 AND {is path $2};

-- name: users
SELECT sha256 FROM {p}file WHERE workspace = $1 AND sha256 = $2 LIMIT 1;
