-- One row per metric name of a run. series_key derives from the position of its first batch.
CREATE TABLE {p}series (
    series_key bigint PRIMARY KEY,
    stream text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    columns text COLLATE "C" NOT NULL,
    count bigint NOT NULL
) WITH (fillfactor = 70);
CREATE UNIQUE INDEX {p}series_by_name ON {p}series (stream, name);

-- Points after the last sealed chunk, as the folds brought them: a row holds what one fold had of a series, in parts of
-- one batch each. first counts the series' points from 0.
CREATE TABLE {p}tail (
    series_key bigint NOT NULL,
    first bigint NOT NULL,
    count bigint NOT NULL,
    body bytea NOT NULL,
    PRIMARY KEY (series_key, first)
);
-- Compressing what is compressed costs three times the work and saves nothing; a tail is read and gone soon, so what
-- fits a page stays in the row.
ALTER TABLE {p}tail ALTER COLUMN body SET STORAGE EXTERNAL;
ALTER TABLE {p}tail SET (toast_tuple_target = 8160);

-- Exactly 4,096 points each, in the order of their positions: what all columns share.
CREATE TABLE {p}chunk (
    series_key bigint NOT NULL,
    chunk bigint NOT NULL,
    count bigint NOT NULL,
    time_min bigint NOT NULL,
    time_max bigint NOT NULL,
    step_min bigint,
    step_max bigint,
    without_step bigint NOT NULL,
    times bytea NOT NULL,
    steps bytea,
    sources bytea NOT NULL,
    PRIMARY KEY (series_key, chunk)
);
ALTER TABLE {p}chunk ALTER COLUMN times SET STORAGE EXTERNAL;
ALTER TABLE {p}chunk ALTER COLUMN steps SET STORAGE EXTERNAL;
ALTER TABLE {p}chunk ALTER COLUMN sources SET STORAGE EXTERNAL;

-- One column of a chunk. numbers counts those that are not NaN; min, max and mean are theirs. first and last are null
-- where they are no number or NaN, mean where infinities have none. body and rest are one text of bytes, cut where it
-- fills whole pieces of what Postgres keeps outside of rows.
CREATE TABLE {p}column (
    series_key bigint NOT NULL,
    chunk bigint NOT NULL,
    name text COLLATE "C" NOT NULL,
    count bigint NOT NULL,
    numbers bigint NOT NULL,
    nan_count bigint NOT NULL,
    min numeric,
    max numeric,
    mean double precision,
    first numeric,
    last numeric,
    body bytea NOT NULL,
    rest bytea NOT NULL,
    PRIMARY KEY (series_key, chunk, name)
);
ALTER TABLE {p}column ALTER COLUMN body SET STORAGE EXTERNAL;
ALTER TABLE {p}column ALTER COLUMN rest SET STORAGE PLAIN;
