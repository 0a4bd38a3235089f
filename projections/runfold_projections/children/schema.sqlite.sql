-- Runs that have a parent: what they count as now. path is JSON, from the root to the run.
CREATE TABLE {p}child (
    stream TEXT PRIMARY KEY,
    path TEXT NOT NULL,
    status TEXT NOT NULL
) WITHOUT ROWID;

-- What the runs of one partition add to each run above them; no row for none. Summed over partitions when read.
CREATE TABLE {p}count (
    workspace TEXT NOT NULL,
    ancestor_run_id TEXT NOT NULL,
    partition INTEGER NOT NULL,
    status TEXT NOT NULL,
    direct INTEGER NOT NULL,
    descendants INTEGER NOT NULL,
    PRIMARY KEY (workspace, ancestor_run_id, partition, status)
) WITHOUT ROWID;
