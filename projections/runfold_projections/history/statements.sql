-- name: write_entry
INSERT INTO {p}entry
    (stream, stream_seq, event_id, type, recorded_at, occurred_at, actor, actor_source, door, data_version,
     content_type, body)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12);

-- name: remove_entries
DELETE FROM {p}entry WHERE stream = $1;

-- name: entries
SELECT stream_seq, event_id, type, recorded_at, occurred_at, actor, actor_source, door, data_version, content_type, body
FROM {p}entry WHERE stream = $1 AND stream_seq >= $2 ORDER BY stream_seq LIMIT $3;
