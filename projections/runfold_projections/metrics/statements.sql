-- Writing: used by the fold

-- name: series_to_fold
SELECT stream, name, series_key, kind, columns, count FROM {p}series WHERE stream = $1 AND name = $2;

-- name: write_series
INSERT INTO {p}series (series_key, stream, name, kind, columns, count) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (series_key) DO UPDATE SET columns = excluded.columns, count = excluded.count;

-- name: write_tail
INSERT INTO {p}tail (series_key, first, count, body) VALUES ($1, $2, $3, $4);

-- name: remove_tail
DELETE FROM {p}tail WHERE series_key = $1;

-- name: write_chunk
INSERT INTO {p}chunk
    (series_key, chunk, count, time_min, time_max, step_min, step_max, without_step, times, steps, sources)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11);

-- name: write_column
INSERT INTO {p}column (series_key, chunk, name, count, numbers, nan_count, min, max, mean, first, last, body, rest)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13);

-- Erasing

-- name: series_of_stream
SELECT series_key FROM {p}series WHERE stream = $1;

-- name: remove_series
DELETE FROM {p}series WHERE series_key = $1;

-- name: remove_chunks
DELETE FROM {p}chunk WHERE series_key = $1;

-- name: remove_columns
DELETE FROM {p}column WHERE series_key = $1;

-- Reading: used by fold and queries

-- name: tail
SELECT series_key, body FROM {p}tail WHERE series_key = $1 ORDER BY first;

-- name: all_series
SELECT stream, series_key, name, kind, columns, count FROM {p}series WHERE stream = $1 ORDER BY series_key;

-- name: one_series
SELECT stream, series_key, name, kind, columns, count FROM {p}series WHERE stream = $1 AND name = $2;

-- name: chunk_bounds
SELECT chunk, time_min, time_max FROM {p}chunk WHERE series_key = $1 ORDER BY chunk;

-- name: chunks
SELECT chunk, times, steps, sources FROM {p}chunk WHERE series_key = $1 AND chunk >= $2 ORDER BY chunk;

-- name: columns
SELECT chunk, name, body, rest FROM {p}column WHERE series_key = $1 AND chunk >= $2 ORDER BY chunk, name;

-- Reading curves

-- name: series_with_steps
SELECT series_key FROM {p}chunk WHERE series_key = $1 AND step_min IS NOT NULL ORDER BY chunk LIMIT 1;

-- The first and the last chunk that reach into $3 to $4, both included, by $2: step or time.
-- name: chunks_between
SELECT series_key, MIN(chunk) AS first_chunk, MAX(chunk) AS last_chunk
FROM (
    SELECT series_key, chunk,
           CASE $2 WHEN 'time' THEN time_min ELSE step_min END AS least,
           CASE $2 WHEN 'time' THEN time_max ELSE step_max END AS greatest
    FROM {p}chunk WHERE series_key = $1
) AS ranges
WHERE greatest >= $3 AND least <= $4
GROUP BY series_key;

-- Of each column the greatest x from which on chunks that end by $3 have at least $4 points, or a little less far back.
-- By $2: step, time, or index, where x is the number of the chunk.
-- name: latest_chunks
SELECT series_key, name, MAX(least) AS least
FROM (
    SELECT series_key, name, least, SUM(points) OVER (PARTITION BY name ORDER BY least DESC, chunk DESC) AS points
    FROM (
        SELECT c.series_key, c.chunk, v.name,
               CASE $2 WHEN 'time' THEN c.time_min WHEN 'index' THEN c.chunk ELSE c.step_min END AS least,
               CASE $2 WHEN 'time' THEN c.time_max WHEN 'index' THEN c.chunk ELSE c.step_max END AS greatest,
               v.numbers + v.nan_count - CASE $2 WHEN 'step' THEN c.without_step ELSE 0 END AS points
        FROM {p}chunk AS c JOIN {p}column AS v ON v.series_key = c.series_key AND v.chunk = c.chunk
        WHERE c.series_key = $1
    ) AS pieces
    WHERE least IS NOT NULL AND greatest <= $3
) AS counted
WHERE points >= $4
GROUP BY series_key, name;

-- name: chunk_ranges
SELECT series_key, chunk, count, time_min, time_max, step_min, step_max, without_step
FROM {p}chunk WHERE series_key = $1 AND chunk BETWEEN $2 AND $3 ORDER BY chunk;

-- As floats at once: thousands of exact numbers would be read one by one, to become floats after all.
-- name: column_summaries
SELECT series_key, chunk, name, numbers, nan_count, CAST(min AS double precision) AS min,
       CAST(max AS double precision) AS max, mean,
       CAST(first AS double precision) AS first, CAST(last AS double precision) AS last
FROM {p}column WHERE series_key = $1 AND chunk BETWEEN $2 AND $3 ORDER BY chunk, name;

-- name: chunk_axes
SELECT series_key, chunk, times, steps FROM {p}chunk WHERE series_key = $1 AND chunk = $2;

-- name: chunk_column
SELECT body, rest FROM {p}column WHERE series_key = $1 AND chunk = $2 AND name = $3;
