-- One row per run. Times are UTC µs by the store's clock; tags, properties, params, path and error are JSON.
CREATE TABLE {p}run (
    run_key bigint PRIMARY KEY,
    workspace text COLLATE "C" NOT NULL,
    run_id text COLLATE "C" NOT NULL,
    experiment text COLLATE "C" NOT NULL,
    experiment_id bytea NOT NULL,
    number bigint NOT NULL,
    status text COLLATE "C" NOT NULL,
    status_details text COLLATE "C",
    parent_run_id text COLLATE "C",
    root_run_id text COLLATE "C" NOT NULL,
    path text COLLATE "C" NOT NULL,
    name text COLLATE "C",
    display_name text COLLATE "C",
    description text COLLATE "C",
    run_type text COLLATE "C",
    target text COLLATE "C" NOT NULL,
    created_at bigint NOT NULL,
    started_at bigint,
    ended_at bigint,
    created_by text COLLATE "C" NOT NULL,
    archived smallint NOT NULL,
    erased smallint NOT NULL,
    error text COLLATE "C",
    cancel_reason text COLLATE "C",
    tags text COLLATE "C" NOT NULL,
    properties text COLLATE "C" NOT NULL,
    params text COLLATE "C" NOT NULL,
    rejections bigint NOT NULL,
    lost_commands bigint NOT NULL,
    lost_values bigint NOT NULL,
    updated_at bigint NOT NULL
) WITH (fillfactor = 80);
CREATE UNIQUE INDEX {p}run_by_id ON {p}run (workspace, run_id);
CREATE INDEX {p}run_by_creation ON {p}run (workspace, created_at, run_key);
CREATE INDEX {p}run_roots ON {p}run (workspace, created_at, run_key) WHERE parent_run_id IS NULL;
CREATE INDEX {p}run_by_experiment ON {p}run (workspace, experiment, created_at, run_key);
CREATE INDEX {p}run_by_parent ON {p}run (workspace, parent_run_id, created_at, run_key)
    WHERE parent_run_id IS NOT NULL;
CREATE INDEX {p}run_by_status ON {p}run (workspace, status, created_at, run_key);

-- Which runs stand below which: one row per run and ancestor, itself left out; in the order in which lists show them.
CREATE TABLE {p}ancestor (
    workspace text COLLATE "C" NOT NULL,
    ancestor_run_id text COLLATE "C" NOT NULL,
    created_at bigint NOT NULL,
    run_key bigint NOT NULL,
    PRIMARY KEY (workspace, ancestor_run_id, created_at, run_key)
);

-- Tags, properties and params to filter by. Every value but null has a text; what reads as a number has that too.
CREATE TABLE {p}label (
    run_key bigint NOT NULL,
    kind text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    workspace text COLLATE "C" NOT NULL,
    text text COLLATE "C",
    number numeric,
    PRIMARY KEY (run_key, kind, key)
);
-- By hash: a text may be longer than an entry of an index.
CREATE INDEX {p}label_text ON {p}label (workspace, kind, key, hashtextextended(text, 0));
CREATE INDEX {p}label_number ON {p}label (workspace, kind, key, number, run_key) WHERE number IS NOT NULL;

-- Summary of each metric of each run. (step, time_ms, writer_id, writer_seq, point) orders values; the greatest is latest.
-- answer: the summary as questions are answered, "name":{…} in JSON; null where JSON cannot say it exactly.
CREATE TABLE {p}metric (
    run_key bigint NOT NULL,
    name text COLLATE "C" NOT NULL,
    workspace text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    count bigint NOT NULL,
    nan_count bigint NOT NULL,
    min numeric,
    max numeric,
    latest bytea NOT NULL,
    number numeric,
    text text COLLATE "C",
    step bigint,
    time_ms bigint NOT NULL,
    writer_id bytea NOT NULL,
    writer_seq bigint NOT NULL,
    point bigint NOT NULL,
    answer text COLLATE "C"
) WITH (fillfactor = 70);
-- By hash: a name may be longer than an entry of an index. Two hashes of 64 bits name a metric of a run.
CREATE UNIQUE INDEX {p}metric_key ON {p}metric (run_key, hashtextextended(name, 0), hashtextextended(name, 1));
CREATE INDEX {p}metric_number ON {p}metric (workspace, hashtextextended(name, 0), number, run_key)
    WHERE number IS NOT NULL;
