-- name: generations
SELECT projection, version, generation, state FROM view_generations;

-- name: checkpoints
SELECT projection, version, generation, partition, epoch, pos, stopped FROM view_checkpoints;

-- name: advance
UPDATE view_checkpoints SET pos = $7, stopped = NULL
WHERE projection = $1 AND version = $2 AND generation = $3 AND partition = $4 AND epoch = $5 AND pos = $6;

-- name: stop
UPDATE view_checkpoints SET stopped = $7
WHERE projection = $1 AND version = $2 AND generation = $3 AND partition = $4 AND epoch = $5 AND pos = $6;

-- name: add_generation
INSERT INTO view_generations (projection, version, generation, state) VALUES ($1, $2, $3, $4);

-- name: add_checkpoint
INSERT INTO view_checkpoints (projection, version, generation, partition, epoch, pos) VALUES ($1, $2, $3, $4, $5, 0);

-- name: activate
UPDATE view_generations SET state = 'active' WHERE projection = $1 AND version = $2 AND generation = $3;

-- name: remove_generation
DELETE FROM view_generations WHERE projection = $1 AND version = $2 AND generation = $3;

-- name: remove_checkpoints
DELETE FROM view_checkpoints WHERE projection = $1 AND version = $2 AND generation = $3;

-- name: tables_of
SELECT name FROM sqlite_master WHERE type = 'table' AND substr(name, 1, length($1)) = $1;
