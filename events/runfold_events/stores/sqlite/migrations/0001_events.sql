-- The SQLite event store as it is today. Applying migrations/ in order gives exactly this; a test compares them.
--
-- Primary, never lost: meta, partitions, events, writer_marks, leases, holders, held, run_numbers.
-- Derived, rebuildable from events: heads. Tables named view_* belong to the projections.
-- UUIDs are 16-byte blobs, times are UTC microseconds since the epoch.

CREATE TABLE meta (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    epoch BLOB NOT NULL CHECK (length(epoch) = 16),
    partitions INTEGER NOT NULL CHECK (partitions BETWEEN 1 AND 1024),
    schema_version INTEGER NOT NULL
) STRICT;

CREATE TRIGGER meta_insert BEFORE INSERT ON meta WHEN EXISTS (SELECT 1 FROM meta) BEGIN
    SELECT RAISE(ABORT, 'runfold: the store has its identity already');
END;

CREATE TRIGGER meta_update BEFORE UPDATE ON meta
WHEN NEW.one IS NOT OLD.one OR NEW.epoch IS NOT OLD.epoch OR NEW.partitions IS NOT OLD.partitions
    OR NEW.schema_version <= OLD.schema_version
BEGIN
    SELECT RAISE(ABORT, 'runfold: epoch and partitions are fixed, the schema version only grows');
END;

CREATE TRIGGER meta_delete BEFORE DELETE ON meta BEGIN
    SELECT RAISE(ABORT, 'runfold: the identity of a store cannot be deleted');
END;

-- One row per partition: the cursor of the Kafka door, the allocator of dense positions, the head of the chain.
CREATE TABLE partitions (
    partition INTEGER PRIMARY KEY,
    next_offset INTEGER NOT NULL DEFAULT 0,
    next_pos INTEGER NOT NULL DEFAULT 0,
    chain_head BLOB NOT NULL CHECK (length(chain_head) = 32)
) STRICT;

-- position = partition * 2^43 + pos is the rowid, so events lie in commit order and need no second index for it.
CREATE TABLE events (
    position INTEGER PRIMARY KEY CHECK (position = (partition << 43) + pos),
    id BLOB NOT NULL UNIQUE,
    type TEXT NOT NULL,
    stream TEXT NOT NULL,
    stream_seq INTEGER NOT NULL,
    partition INTEGER NOT NULL,
    pos INTEGER NOT NULL,
    slice INTEGER NOT NULL,
    epoch BLOB NOT NULL,
    occurred_at INTEGER NOT NULL,
    recorded_at INTEGER NOT NULL,
    actor TEXT NOT NULL,
    actor_source TEXT NOT NULL,
    door TEXT NOT NULL,
    writer_id BLOB NOT NULL,
    writer_seq INTEGER NOT NULL,
    causation_id BLOB,
    correlation_id BLOB,
    traceparent TEXT,
    data_version INTEGER NOT NULL,
    content_type TEXT NOT NULL,
    subject TEXT,
    key_id TEXT,
    salt BLOB,
    digest BLOB NOT NULL,
    chain BLOB NOT NULL,
    body BLOB,
    UNIQUE (stream, stream_seq)
) STRICT;

-- What a command gave, by its idempotency key. Metric batches are most events and give nothing to answer with.
CREATE INDEX events_outcome ON events (stream, writer_id, writer_seq) WHERE type <> 'run.metrics_logged';

-- The few erasures: looked up for every row that is erased and by the check of the ledger.
CREATE INDEX events_erasure ON events (stream, stream_seq) WHERE type = 'run.erased';

-- INSERT OR REPLACE deletes the row it collides with, past DELETE triggers unless recursive_triggers is on. So every
-- key is checked before: the position and the stream's number must be the next ones, the id must be new.
CREATE TRIGGER events_insert BEFORE INSERT ON events BEGIN
    SELECT RAISE(ABORT, 'runfold: an event must take the next position, the next number of its stream and a new id')
    WHERE NEW.position IS NOT 1 + max((NEW.partition << 43) - 1, coalesce(
            (SELECT position FROM events WHERE position < (NEW.partition + 1) << 43
             ORDER BY position DESC LIMIT 1), -1))
        OR NEW.stream_seq IS NOT coalesce(
            (SELECT stream_seq FROM events WHERE stream = NEW.stream ORDER BY stream_seq DESC LIMIT 1), 0) + 1
        OR EXISTS (SELECT 1 FROM events WHERE id = NEW.id);
END;

-- The one permitted change: body and salt become NULL, nothing else moves, and the stream says later that it was erased.
CREATE TRIGGER events_update BEFORE UPDATE ON events
WHEN NEW.body IS NOT NULL OR NEW.salt IS NOT NULL
    OR NEW.position IS NOT OLD.position OR NEW.id IS NOT OLD.id OR NEW.type IS NOT OLD.type
    OR NEW.stream IS NOT OLD.stream OR NEW.stream_seq IS NOT OLD.stream_seq
    OR NEW.partition IS NOT OLD.partition OR NEW.pos IS NOT OLD.pos OR NEW.slice IS NOT OLD.slice
    OR NEW.epoch IS NOT OLD.epoch OR NEW.occurred_at IS NOT OLD.occurred_at
    OR NEW.recorded_at IS NOT OLD.recorded_at OR NEW.actor IS NOT OLD.actor
    OR NEW.actor_source IS NOT OLD.actor_source OR NEW.door IS NOT OLD.door
    OR NEW.writer_id IS NOT OLD.writer_id OR NEW.writer_seq IS NOT OLD.writer_seq
    OR NEW.causation_id IS NOT OLD.causation_id OR NEW.correlation_id IS NOT OLD.correlation_id
    OR NEW.traceparent IS NOT OLD.traceparent OR NEW.data_version IS NOT OLD.data_version
    OR NEW.content_type IS NOT OLD.content_type OR NEW.subject IS NOT OLD.subject
    OR NEW.key_id IS NOT OLD.key_id OR NEW.digest IS NOT OLD.digest OR NEW.chain IS NOT OLD.chain
    OR NOT EXISTS (SELECT 1 FROM events
                   WHERE stream = OLD.stream AND stream_seq > OLD.stream_seq AND type = 'run.erased')
BEGIN
    SELECT RAISE(ABORT, 'runfold: events never change; only a run that was erased loses its bodies');
END;

CREATE TRIGGER events_delete BEFORE DELETE ON events BEGIN
    SELECT RAISE(ABORT, 'runfold: events are never deleted');
END;

CREATE TRIGGER partitions_insert BEFORE INSERT ON partitions BEGIN
    SELECT RAISE(ABORT, 'runfold: partitions are fixed when a store is created')
    WHERE NEW.partition IS NOT (SELECT count(*) FROM partitions)
        OR NEW.partition >= (SELECT partitions FROM meta) OR NEW.next_pos <> 0;
END;

CREATE TRIGGER partitions_update BEFORE UPDATE ON partitions BEGIN
    SELECT RAISE(ABORT, 'runfold: a partition ends where its events end')
    WHERE NEW.partition IS NOT OLD.partition
        OR (NEW.next_pos IS NOT OLD.next_pos OR NEW.chain_head IS NOT OLD.chain_head)
        AND NOT EXISTS (SELECT 1 FROM (SELECT pos, chain FROM events
                WHERE position BETWEEN NEW.partition << 43 AND ((NEW.partition + 1) << 43) - 1
                ORDER BY position DESC LIMIT 1)
            WHERE pos = NEW.next_pos - 1 AND chain = NEW.chain_head);
END;

CREATE TRIGGER partitions_delete BEFORE DELETE ON partitions BEGIN
    SELECT RAISE(ABORT, 'runfold: partitions are fixed when a store is created');
END;

-- The end of each stream and its decision state.
CREATE TABLE heads (
    stream TEXT PRIMARY KEY,
    stream_seq INTEGER NOT NULL,
    state BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- How far each writer has come on each stream; gaps and lost are JSON arrays of [first, last].
CREATE TABLE writer_marks (
    stream TEXT NOT NULL,
    writer_id BLOB NOT NULL CHECK (length(writer_id) = 16),
    highest INTEGER NOT NULL,
    digest BLOB,
    gaps TEXT NOT NULL DEFAULT '[]',
    lost TEXT NOT NULL DEFAULT '[]',
    refused_creation INTEGER NOT NULL DEFAULT 0,
    announced INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (stream, writer_id)
) STRICT, WITHOUT ROWID;

-- Leases of live processes; no row, or an end that has passed, means dead.
CREATE TABLE leases (
    process_id BLOB PRIMARY KEY CHECK (length(process_id) = 16),
    ends_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX leases_by_end ON leases (ends_at);

-- Who holds which run that has not ended.
CREATE TABLE holders (
    stream TEXT NOT NULL,
    process_id BLOB NOT NULL CHECK (length(process_id) = 16),
    PRIMARY KEY (stream, process_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX holders_by_process ON holders (process_id);

-- Runs that somebody has held and that have not ended; is_lost: recorded as NotResponding.
CREATE TABLE held (
    stream TEXT PRIMARY KEY,
    is_lost INTEGER NOT NULL DEFAULT 0 CHECK (is_lost IN (0, 1))
) STRICT, WITHOUT ROWID;

CREATE INDEX held_by_lost ON held (is_lost, stream);

-- The next run number of each experiment.
CREATE TABLE run_numbers (
    experiment_stream TEXT PRIMARY KEY,
    next_number INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TRIGGER run_numbers_update BEFORE UPDATE ON run_numbers
WHEN NEW.experiment_stream IS NOT OLD.experiment_stream OR NEW.next_number < OLD.next_number
BEGIN
    SELECT RAISE(ABORT, 'runfold: run numbers are unique for ever');
END;

CREATE TRIGGER run_numbers_delete BEFORE DELETE ON run_numbers BEGIN
    SELECT RAISE(ABORT, 'runfold: run numbers are unique for ever');
END;
