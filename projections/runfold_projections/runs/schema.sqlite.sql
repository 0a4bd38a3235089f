-- One row per run. Times are UTC µs by the store's clock; tags, properties, params, path and error are JSON.
CREATE TABLE {p}run (
    run_key INTEGER PRIMARY KEY,
    workspace TEXT NOT NULL,
    run_id TEXT NOT NULL,
    experiment TEXT NOT NULL,
    experiment_id BLOB NOT NULL,
    number INTEGER NOT NULL,
    status TEXT NOT NULL,
    status_details TEXT,
    parent_run_id TEXT,
    root_run_id TEXT NOT NULL,
    path TEXT NOT NULL,
    name TEXT,
    display_name TEXT,
    description TEXT,
    run_type TEXT,
    target TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    started_at INTEGER,
    ended_at INTEGER,
    created_by TEXT NOT NULL,
    archived INTEGER NOT NULL,
    erased INTEGER NOT NULL,
    error TEXT,
    cancel_reason TEXT,
    tags TEXT NOT NULL,
    properties TEXT NOT NULL,
    params TEXT NOT NULL,
    rejections INTEGER NOT NULL,
    lost_commands INTEGER NOT NULL,
    lost_values INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
);
CREATE UNIQUE INDEX {p}run_by_id ON {p}run (workspace, run_id);
CREATE INDEX {p}run_by_creation ON {p}run (workspace, created_at);
CREATE INDEX {p}run_roots ON {p}run (workspace, created_at) WHERE parent_run_id IS NULL;
CREATE INDEX {p}run_by_experiment ON {p}run (workspace, experiment, created_at);
CREATE INDEX {p}run_by_parent ON {p}run (workspace, parent_run_id, created_at) WHERE parent_run_id IS NOT NULL;
CREATE INDEX {p}run_by_status ON {p}run (workspace, status, created_at);

-- Which runs stand below which: one row per run and ancestor, itself left out; in the order in which lists show them.
CREATE TABLE {p}ancestor (
    workspace TEXT NOT NULL,
    ancestor_run_id TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    run_key INTEGER NOT NULL,
    PRIMARY KEY (workspace, ancestor_run_id, created_at, run_key)
) WITHOUT ROWID;

-- Tags, properties and params to filter by. Every value but null has a text; what reads as a number has that too.
CREATE TABLE {p}label (
    run_key INTEGER NOT NULL,
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    workspace TEXT NOT NULL,
    text TEXT,
    number NUMERIC,
    PRIMARY KEY (run_key, kind, key)
) WITHOUT ROWID;
CREATE INDEX {p}label_text ON {p}label (workspace, kind, key, text);
CREATE INDEX {p}label_number ON {p}label (workspace, kind, key, number) WHERE number IS NOT NULL;

-- Summary of each metric of each run. (step, time_ms, writer_id, writer_seq, point) orders values; the greatest is latest.
-- answer: the summary as questions are answered, "name":{…} in JSON; null where JSON cannot say it exactly.
CREATE TABLE {p}metric (
    run_key INTEGER NOT NULL,
    name TEXT NOT NULL,
    workspace TEXT NOT NULL,
    kind TEXT NOT NULL,
    count INTEGER NOT NULL,
    nan_count INTEGER NOT NULL,
    min NUMERIC,
    max NUMERIC,
    latest BLOB NOT NULL,
    number NUMERIC,
    text TEXT,
    step INTEGER,
    time_ms INTEGER NOT NULL,
    writer_id BLOB NOT NULL,
    writer_seq INTEGER NOT NULL,
    point INTEGER NOT NULL,
    answer TEXT,
    PRIMARY KEY (run_key, name)
) WITHOUT ROWID;
CREATE INDEX {p}metric_number ON {p}metric (workspace, name, number) WHERE number IS NOT NULL;
