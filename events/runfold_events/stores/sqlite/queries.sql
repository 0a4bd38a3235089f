-- Every statement the store executes, by name. Columns of events always come in the order of the envelope.

-- name: begin
BEGIN IMMEDIATE

-- name: commit
COMMIT

-- name: rollback
ROLLBACK

-- name: epoch
SELECT epoch FROM meta

-- name: partition_row
SELECT next_offset, next_pos, chain_head FROM partitions WHERE partition = ?

-- name: head
SELECT stream, stream_seq, state FROM heads WHERE stream = ?

-- name: heads
SELECT stream, stream_seq, state FROM heads WHERE stream IN (SELECT value FROM json_each(?))

-- name: mark
SELECT stream, writer_id, highest, digest, gaps, lost, refused_creation, announced
FROM writer_marks WHERE stream = ? AND writer_id = ?

-- name: marks
-- Of pairs: streams as a JSON array, the writers' 16 bytes behind one another.
SELECT stream, writer_id, highest, digest, gaps, lost, refused_creation, announced
FROM json_each(?) AS wanted
CROSS JOIN writer_marks ON stream = wanted.value AND writer_id = substr(?, wanted.key * 16 + 1, 16)

-- name: marks_of_stream
SELECT stream, writer_id, highest, digest, gaps, lost, refused_creation, announced
FROM writer_marks WHERE stream = ? ORDER BY writer_id

-- name: holders
SELECT holders.process_id, coalesce(leases.ends_at > ?, 0)
FROM holders LEFT JOIN leases ON leases.process_id = holders.process_id WHERE holders.stream = ?

-- name: holders_of_many
SELECT holders.process_id, coalesce(leases.ends_at > ?, 0), holders.stream
FROM holders LEFT JOIN leases ON leases.process_id = holders.process_id
WHERE holders.stream IN (SELECT value FROM json_each(?))

-- name: append_event
INSERT INTO events (
    position, id, type, stream, stream_seq, partition, pos, slice, epoch, occurred_at, recorded_at, actor,
    actor_source, door, writer_id, writer_seq, causation_id, correlation_id, traceparent, data_version, content_type,
    subject, key_id, salt, digest, chain, body
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)

-- name: move_partition
UPDATE partitions SET next_offset = ?, next_pos = ?, chain_head = ? WHERE partition = ?

-- name: erase_bodies
UPDATE events SET body = NULL, salt = NULL WHERE stream = ? AND stream_seq < ? AND body IS NOT NULL

-- name: erase_mark_digests
UPDATE writer_marks SET digest = NULL WHERE stream = ?

-- name: put_head
INSERT INTO heads (stream, stream_seq, state) VALUES (?, ?, ?)
ON CONFLICT (stream) DO UPDATE SET stream_seq = excluded.stream_seq, state = excluded.state

-- name: put_mark
INSERT INTO writer_marks (stream, writer_id, highest, digest, gaps, lost, refused_creation, announced)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (stream, writer_id) DO UPDATE SET
    highest = excluded.highest, digest = excluded.digest, gaps = excluded.gaps, lost = excluded.lost,
    refused_creation = excluded.refused_creation, announced = excluded.announced

-- name: put_held
INSERT INTO held (stream) VALUES (?) ON CONFLICT (stream) DO NOTHING

-- name: put_holder
INSERT INTO holders (stream, process_id) VALUES (?, ?) ON CONFLICT (stream, process_id) DO NOTHING

-- name: drop_holder
DELETE FROM holders WHERE stream = ? AND process_id = ?

-- name: put_lost
INSERT INTO held (stream, is_lost) VALUES (?, 1) ON CONFLICT (stream) DO UPDATE SET is_lost = 1

-- name: put_found
UPDATE held SET is_lost = 0 WHERE stream = ?

-- name: end_holders
DELETE FROM holders WHERE stream = ?

-- name: end_held
DELETE FROM held WHERE stream = ?

-- name: read_end
SELECT next_pos FROM partitions WHERE partition = ?

-- name: read
SELECT id, type, stream, stream_seq, partition, pos, slice, epoch, occurred_at, recorded_at, actor, actor_source,
    door, writer_id, writer_seq, causation_id, correlation_id, traceparent, data_version, content_type, subject,
    key_id, salt, digest, chain, body
FROM events WHERE position BETWEEN ? AND ? ORDER BY position

-- name: read_stream
SELECT id, type, stream, stream_seq, partition, pos, slice, epoch, occurred_at, recorded_at, actor, actor_source,
    door, writer_id, writer_seq, causation_id, correlation_id, traceparent, data_version, content_type, subject,
    key_id, salt, digest, chain, body
FROM events WHERE stream = ? AND stream_seq >= ? ORDER BY stream_seq LIMIT ?

-- name: outcome
SELECT id, type, stream, stream_seq, partition, pos, slice, epoch, occurred_at, recorded_at, actor, actor_source,
    door, writer_id, writer_seq, causation_id, correlation_id, traceparent, data_version, content_type, subject,
    key_id, salt, digest, chain, body
FROM events INDEXED BY events_outcome
WHERE stream = ? AND writer_id = ? AND writer_seq = ? AND type <> 'run.metrics_logged' ORDER BY position

-- name: ends
SELECT next_pos FROM partitions ORDER BY partition

-- name: announced
SELECT announced FROM writer_marks WHERE stream = ? AND writer_id = ?

-- name: announce
INSERT INTO writer_marks (stream, writer_id, highest, announced) VALUES (?, ?, 0, ?)
ON CONFLICT (stream, writer_id) DO UPDATE SET announced = max(announced, excluded.announced)

-- name: reserve_run_numbers
INSERT INTO run_numbers (experiment_stream, next_number) VALUES (?, 1 + ?)
ON CONFLICT (experiment_stream) DO UPDATE SET next_number = next_number + excluded.next_number - 1
RETURNING next_number

-- name: renew_lease
INSERT INTO leases (process_id, ends_at) VALUES (?, ?)
ON CONFLICT (process_id) DO UPDATE SET ends_at = excluded.ends_at

-- name: forget_ended_leases
DELETE FROM leases WHERE ends_at <= ?

-- name: end_lease
DELETE FROM leases WHERE process_id = ?

-- name: live_leases
SELECT count(*) FROM leases WHERE ends_at > ?

-- name: held_by
SELECT stream FROM holders WHERE process_id = ? ORDER BY stream

-- name: without_live_holder
SELECT stream FROM held
WHERE is_lost = 0 AND EXISTS (SELECT 1 FROM holders WHERE holders.stream = held.stream) AND NOT EXISTS (
    SELECT 1 FROM holders JOIN leases ON leases.process_id = holders.process_id
    WHERE holders.stream = held.stream AND leases.ends_at > ?)
ORDER BY stream LIMIT ?

-- name: lost_with_live_holder
SELECT DISTINCT held.stream FROM leases
JOIN holders ON holders.process_id = leases.process_id
JOIN held ON held.stream = holders.stream
WHERE leases.ends_at > ? AND held.is_lost = 1
ORDER BY held.stream LIMIT ?

-- name: audit_events
SELECT position, id, type, stream, stream_seq, partition, pos, slice, epoch, occurred_at, recorded_at, actor,
    actor_source, door, writer_id, writer_seq, causation_id, correlation_id, traceparent, data_version, content_type,
    subject, key_id, salt, digest, chain, body
FROM events WHERE position >= ? AND position < ? ORDER BY position LIMIT ?

-- name: audit_stream_numbers
SELECT stream, stream_seq, position FROM events WHERE (stream, stream_seq) > (?, ?)
ORDER BY stream, stream_seq LIMIT ?

-- name: audit_erasures
SELECT stream, max(pos) FROM events WHERE type = 'run.erased' GROUP BY stream

-- name: audit_integrity
PRAGMA integrity_check

-- name: audit_schema
SELECT type, name, tbl_name, sql FROM sqlite_schema

-- name: audit_strays
SELECT count(*) FROM events WHERE position < 0 OR position >= ?

-- name: audit_heads
SELECT stream, stream_seq, (SELECT max(stream_seq) FROM events WHERE events.stream = heads.stream) AS last
FROM heads WHERE last IS NOT heads.stream_seq LIMIT ?

-- name: export_ends
SELECT next_pos, chain_head FROM partitions ORDER BY partition

-- name: export_totals
SELECT
    coalesce(sum(stream_seq) FILTER (
        WHERE stream >= ? AND stream < ? AND NOT (stream >= '_system/' AND stream < '_system0')
    ), 0),
    coalesce(sum(stream_seq), 0)
FROM heads

-- name: export_streams
SELECT stream, max(events) FROM (
    SELECT stream, stream_seq AS events FROM heads WHERE stream >= ? AND stream < ?
    UNION ALL SELECT stream, 0 FROM writer_marks WHERE stream >= ? AND stream < ?
    UNION ALL SELECT experiment_stream, 0 FROM run_numbers WHERE experiment_stream >= ? AND experiment_stream < ?
)
WHERE NOT (stream >= '_system/' AND stream < '_system0')
GROUP BY stream ORDER BY stream

-- name: export_events
SELECT id, type, stream, stream_seq, partition, pos, slice, epoch, occurred_at, recorded_at, actor, actor_source,
    door, writer_id, writer_seq, causation_id, correlation_id, traceparent, data_version, content_type, subject,
    key_id, salt, digest, chain, body
FROM events WHERE stream = ? ORDER BY stream_seq

-- name: export_marks
SELECT stream, writer_id, highest, digest, gaps, lost, refused_creation, announced
FROM writer_marks WHERE stream IN (SELECT value FROM json_each(?)) ORDER BY stream, writer_id

-- name: export_run_numbers
SELECT experiment_stream, next_number FROM run_numbers WHERE experiment_stream IN (SELECT value FROM json_each(?))
