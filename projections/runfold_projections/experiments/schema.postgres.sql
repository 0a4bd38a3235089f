-- One row per experiment, written by the experiment's own partition. Times are UTC µs by the store's clock.
CREATE TABLE {p}experiment (
    experiment_id bytea PRIMARY KEY,
    workspace text COLLATE "C" NOT NULL,
    experiment text COLLATE "C" NOT NULL,
    description text COLLATE "C",
    tags text COLLATE "C" NOT NULL,
    archived_at bigint,
    created_at bigint NOT NULL,
    created_by text COLLATE "C" NOT NULL,
    updated_at bigint NOT NULL
);
CREATE UNIQUE INDEX {p}experiment_by_name ON {p}experiment (workspace, experiment);

-- What each run contributes, written by the run's partition: its status and the time of its last event.
CREATE TABLE {p}run (
    stream text COLLATE "C" PRIMARY KEY,
    experiment_id bytea NOT NULL,
    status text COLLATE "C" NOT NULL,
    updated_at bigint NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX {p}run_activity ON {p}run (experiment_id, updated_at);

-- How many runs of an experiment have a status; one row per partition, no row for none.
CREATE TABLE {p}count (
    experiment_id bytea NOT NULL,
    partition bigint NOT NULL,
    status text COLLATE "C" NOT NULL,
    runs bigint NOT NULL,
    PRIMARY KEY (experiment_id, partition, status)
) WITH (fillfactor = 50);
