-- Which generations of which projections there are. state: active, building or retired. A retired generation keeps its
-- tables until nobody can be reading them any more.
CREATE TABLE IF NOT EXISTS view_generations (
    projection text COLLATE "C" NOT NULL,
    version integer NOT NULL,
    generation integer NOT NULL,
    state text NOT NULL,
    retired_at timestamptz,
    PRIMARY KEY (projection, version, generation)
);

-- How far each generation has folded each partition: pos is the next position. stopped: why the event there cannot be.
CREATE TABLE IF NOT EXISTS view_checkpoints (
    projection text COLLATE "C" NOT NULL,
    version integer NOT NULL,
    generation integer NOT NULL,
    partition integer NOT NULL,
    epoch bytea NOT NULL,
    pos bigint NOT NULL,
    stopped text,
    PRIMARY KEY (projection, version, generation, partition)
) WITH (fillfactor = 20);
