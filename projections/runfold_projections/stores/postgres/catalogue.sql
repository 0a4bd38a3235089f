-- name: catalogue
SELECT g.projection, g.version, g.generation, g.state, c.partition, c.epoch, c.pos, c.stopped
FROM view_generations AS g LEFT JOIN view_checkpoints AS c USING (projection, version, generation)
WHERE g.state <> 'retired';

-- name: be_alone
LOCK TABLE view_generations, view_checkpoints IN SHARE ROW EXCLUSIVE MODE;

-- Rows are locked in one order for everybody: rivals wait for each other, and never in a circle.
-- name: advance
WITH standing AS MATERIALIZED (
    SELECT c.projection, c.version, c.generation, c.partition, wanted.next
    FROM view_checkpoints AS c
    JOIN unnest($1::text[], $2::integer[], $3::integer[], $4::integer[], $5::bytea[], $6::bigint[], $7::bigint[])
        AS wanted (projection, version, generation, partition, epoch, pos, next)
        USING (projection, version, generation, partition)
    WHERE c.epoch = wanted.epoch AND c.pos = wanted.pos
    ORDER BY c.partition, c.projection, c.version, c.generation
    FOR UPDATE OF c
)
UPDATE view_checkpoints AS c SET pos = s.next, stopped = NULL
FROM standing AS s
WHERE
    c.projection = s.projection AND c.version = s.version AND c.generation = s.generation AND c.partition = s.partition;

-- name: stop
UPDATE view_checkpoints SET stopped = $7
WHERE projection = $1 AND version = $2 AND generation = $3 AND partition = $4 AND epoch = $5 AND pos = $6;

-- name: add_generation
INSERT INTO view_generations (projection, version, generation, state) VALUES ($1, $2, $3, $4);

-- name: add_checkpoints
INSERT INTO view_checkpoints (projection, version, generation, partition, epoch, pos)
SELECT $1, $2, $3, partition, $5, 0 FROM generate_series(0, $4 - 1) AS partition;

-- name: activate
UPDATE view_generations SET state = 'active' WHERE projection = $1 AND version = $2 AND generation = $3;

-- name: retire_others
UPDATE view_generations SET state = 'retired', retired_at = now()
WHERE projection = $1 AND state <> 'retired' AND (version, generation) <> ($2, $3);

-- name: retired
SELECT projection, version, generation FROM view_generations
WHERE state = 'retired' AND retired_at <= now() - make_interval(secs => $1);

-- name: remove_generation
DELETE FROM view_generations WHERE projection = $1 AND version = $2 AND generation = $3;

-- name: remove_checkpoints
DELETE FROM view_checkpoints WHERE projection = $1 AND version = $2 AND generation = $3;

-- name: remove_checkpoints_of_retired
DELETE FROM view_checkpoints AS c USING view_generations AS g
WHERE g.state = 'retired' AND g.projection = c.projection AND g.version = c.version AND g.generation = c.generation;

-- name: tables_of
SELECT tablename FROM pg_tables WHERE schemaname = current_schema() AND starts_with(tablename, $1);
