-- The events of each stream that are no metric batches, as they were recorded. Times are UTC µs.
CREATE TABLE {p}entry (
    stream text COLLATE "C" NOT NULL,
    stream_seq bigint NOT NULL,
    event_id bytea NOT NULL,
    type text COLLATE "C" NOT NULL,
    recorded_at bigint NOT NULL,
    occurred_at bigint NOT NULL,
    actor text COLLATE "C" NOT NULL,
    actor_source text COLLATE "C" NOT NULL,
    door text COLLATE "C" NOT NULL,
    data_version bigint NOT NULL,
    content_type text COLLATE "C" NOT NULL,
    body bytea NOT NULL,
    PRIMARY KEY (stream, stream_seq)
);
