-- One row per experiment, written by the experiment's own partition. Times are UTC µs by the store's clock.
CREATE TABLE {p}experiment (
    experiment_id BLOB PRIMARY KEY,
    workspace TEXT NOT NULL,
    experiment TEXT NOT NULL,
    description TEXT,
    tags TEXT NOT NULL,
    archived_at INTEGER,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    updated_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE UNIQUE INDEX {p}experiment_by_name ON {p}experiment (workspace, experiment);

-- What each run contributes, written by the run's partition: its status and the time of its last event.
CREATE TABLE {p}run (
    stream TEXT PRIMARY KEY,
    experiment_id BLOB NOT NULL,
    status TEXT NOT NULL,
    updated_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX {p}run_activity ON {p}run (experiment_id, updated_at);

-- How many runs of an experiment have a status; one row per partition, no row for none.
CREATE TABLE {p}count (
    experiment_id BLOB NOT NULL,
    partition INTEGER NOT NULL,
    status TEXT NOT NULL,
    runs INTEGER NOT NULL,
    PRIMARY KEY (experiment_id, partition, status)
) WITHOUT ROWID;
