-- One row per metric name of a run. series_key derives from the position of its first batch.
CREATE TABLE {p}series (
    series_key INTEGER PRIMARY KEY,
    stream TEXT NOT NULL,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    columns TEXT NOT NULL,
    count INTEGER NOT NULL
);
CREATE UNIQUE INDEX {p}series_by_name ON {p}series (stream, name);

-- Points after the last sealed chunk, as the folds brought them: a row holds what one fold had of a series, in parts of
-- one batch each. first counts the series' points from 0.
CREATE TABLE {p}tail (
    series_key INTEGER NOT NULL,
    first INTEGER NOT NULL,
    count INTEGER NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (series_key, first)
) WITHOUT ROWID;

-- Exactly 4,096 points each, in the order of their positions: what all columns share. With a rowid: a row of the other
-- kind may have a quarter of its page, so most of these would begin a page of overflow and leave it almost empty.
CREATE TABLE {p}chunk (
    series_key INTEGER NOT NULL,
    chunk INTEGER NOT NULL,
    count INTEGER NOT NULL,
    time_min INTEGER NOT NULL,
    time_max INTEGER NOT NULL,
    step_min INTEGER,
    step_max INTEGER,
    without_step INTEGER NOT NULL,
    times BLOB NOT NULL,
    steps BLOB,
    sources BLOB NOT NULL,
    PRIMARY KEY (series_key, chunk)
);

-- One column of a chunk. numbers counts those that are not NaN; min, max and mean are theirs. first and last are null
-- where they are no number or NaN, mean where infinities have none. body and rest are one text of bytes, cut where it
-- fills whole pieces of what Postgres keeps outside of rows.
CREATE TABLE {p}column (
    series_key INTEGER NOT NULL,
    chunk INTEGER NOT NULL,
    name TEXT NOT NULL,
    count INTEGER NOT NULL,
    numbers INTEGER NOT NULL,
    nan_count INTEGER NOT NULL,
    min NUMERIC,
    max NUMERIC,
    mean REAL,
    first NUMERIC,
    last NUMERIC,
    body BLOB NOT NULL,
    rest BLOB NOT NULL,
    PRIMARY KEY (series_key, chunk, name)
) WITHOUT ROWID;

-- What curves read of every chunk, without the bodies beside it: a row of those fills much of a page.
CREATE INDEX {p}chunk_ranges ON {p}chunk (series_key, chunk, count, time_min, time_max, step_min, step_max, without_step);
CREATE INDEX {p}column_summaries ON {p}column
    (series_key, chunk, name, numbers, nan_count, min, max, mean, first, last);
