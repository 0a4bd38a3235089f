-- Runs that have a parent: what they count as now. path is JSON, from the root to the run.
CREATE TABLE {p}child (
    stream text COLLATE "C" PRIMARY KEY,
    path text COLLATE "C" NOT NULL,
    status text COLLATE "C" NOT NULL
) WITH (fillfactor = 80);

-- What the runs of one partition add to each run above them; no row for none. Summed over partitions when read.
CREATE TABLE {p}count (
    workspace text COLLATE "C" NOT NULL,
    ancestor_run_id text COLLATE "C" NOT NULL,
    partition bigint NOT NULL,
    status text COLLATE "C" NOT NULL,
    direct bigint NOT NULL,
    descendants bigint NOT NULL,
    PRIMARY KEY (workspace, ancestor_run_id, partition, status)
) WITH (fillfactor = 50);
