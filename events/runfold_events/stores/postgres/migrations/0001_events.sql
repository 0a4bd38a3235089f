-- The first schema: an append-only event store whose positions are allocated by the row of their partition.
--
-- Roles: the owner (who runs this) may change the schema; the service role may read, and write only through the
-- functions of functions.sql.

CREATE TABLE meta (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    schema_version integer NOT NULL,
    epoch uuid NOT NULL,
    partitions integer NOT NULL
);

-- One row per partition: the lock, the Kafka cursor, the position allocator and the chain's head, all in one.
CREATE TABLE partitions (
    partition integer PRIMARY KEY,
    next_offset bigint NOT NULL DEFAULT 0,
    next_pos bigint NOT NULL DEFAULT 0,
    chain_head bytea NOT NULL,
    -- The last Kafka record handled, to notice a topic that was recreated.
    last_offset bigint,
    last_timestamp_ms bigint,
    last_key bytea,
    last_writer_seq bigint
) WITH (fillfactor = 20);

CREATE TABLE events (
    partition integer NOT NULL,
    pos bigint NOT NULL,
    stream_seq bigint NOT NULL,
    occurred_at bigint NOT NULL,
    recorded_at bigint NOT NULL,
    writer_seq bigint NOT NULL,
    slice integer NOT NULL,
    data_version integer NOT NULL,
    id uuid NOT NULL,
    epoch uuid NOT NULL,
    writer_id uuid NOT NULL,
    causation_id uuid,
    correlation_id uuid,
    type text NOT NULL,
    stream text NOT NULL,
    actor text NOT NULL,
    actor_source text NOT NULL,
    door text NOT NULL,
    traceparent text,
    content_type text NOT NULL,
    subject text,
    key_id text,
    salt bytea,
    digest bytea NOT NULL,
    chain bytea NOT NULL,
    body bytea,
    PRIMARY KEY (partition, pos)
);
-- Metric batches are compressed already. What fits a page stays in the row: who reads an event reads its body.
ALTER TABLE events ALTER COLUMN body SET STORAGE EXTERNAL;
ALTER TABLE events SET (toast_tuple_target = 8160);
CREATE UNIQUE INDEX events_by_id ON events (id); -- UUIDv7: new ones go to the index's right edge
CREATE UNIQUE INDEX events_by_stream ON events (stream, stream_seq);
CREATE INDEX events_by_command ON events (stream, writer_id, writer_seq) WHERE type <> 'run.metrics_logged';

CREATE TABLE heads (
    stream text PRIMARY KEY,
    stream_seq bigint NOT NULL,
    state bytea NOT NULL
) WITH (fillfactor = 70);

CREATE TABLE writer_marks (
    stream text NOT NULL,
    writer_id uuid NOT NULL,
    highest bigint NOT NULL,
    refused_creation boolean NOT NULL DEFAULT false,
    digest bytea,
    gaps bigint[] NOT NULL DEFAULT '{}', -- first, last, first, last, …
    lost bigint[] NOT NULL DEFAULT '{}',
    PRIMARY KEY (stream, writer_id)
) WITH (fillfactor = 70);

-- The last number each writer says it has used. A table of its own, since it is written outside of the partition's lock.
CREATE TABLE announcements (
    stream text NOT NULL,
    writer_id uuid NOT NULL,
    number bigint NOT NULL,
    PRIMARY KEY (stream, writer_id)
) WITH (fillfactor = 70);

CREATE TABLE leases (
    process_id uuid PRIMARY KEY,
    ends_at bigint NOT NULL
) WITH (fillfactor = 50);

CREATE INDEX leases_by_end ON leases (ends_at);

CREATE TABLE holders (
    stream text NOT NULL,
    process_id uuid NOT NULL,
    PRIMARY KEY (stream, process_id)
);
CREATE INDEX holders_by_process ON holders (process_id);

-- Runs that somebody has held and that have not ended; is_lost: recorded as NotResponding.
CREATE TABLE held (
    stream text PRIMARY KEY,
    is_lost boolean NOT NULL DEFAULT false
) WITH (fillfactor = 70);
CREATE INDEX held_by_lost ON held (is_lost, stream);

CREATE TABLE run_numbers (
    experiment_stream text PRIMARY KEY,
    next_number bigint NOT NULL
) WITH (fillfactor = 50);

-- How far the relay has published. It counts only where the topic is empty: otherwise the topic's last record says it.
CREATE TABLE published (
    partition integer PRIMARY KEY,
    pos bigint NOT NULL
) WITH (fillfactor = 20);

-- Processes of roles that divide the partitions among themselves, and who serves which.
CREATE TABLE role_members (
    role text NOT NULL,
    member uuid NOT NULL,
    ends_at bigint NOT NULL,
    PRIMARY KEY (role, member)
) WITH (fillfactor = 50);

CREATE TABLE role_partitions (
    role text NOT NULL,
    partition integer NOT NULL,
    member uuid NOT NULL,
    PRIMARY KEY (role, partition)
);
