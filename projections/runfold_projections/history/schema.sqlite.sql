-- The events of each stream that are no metric batches, as they were recorded. Times are UTC µs.
CREATE TABLE {p}entry (
    stream TEXT NOT NULL,
    stream_seq INTEGER NOT NULL,
    event_id BLOB NOT NULL,
    type TEXT NOT NULL,
    recorded_at INTEGER NOT NULL,
    occurred_at INTEGER NOT NULL,
    actor TEXT NOT NULL,
    actor_source TEXT NOT NULL,
    door TEXT NOT NULL,
    data_version INTEGER NOT NULL,
    content_type TEXT NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (stream, stream_seq)
) WITHOUT ROWID;
