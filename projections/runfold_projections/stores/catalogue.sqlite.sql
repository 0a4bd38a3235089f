-- Which generations of which projections there are. state: active or building.
CREATE TABLE IF NOT EXISTS view_generations (
    projection TEXT NOT NULL,
    version INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    state TEXT NOT NULL,
    PRIMARY KEY (projection, version, generation)
) WITHOUT ROWID;

-- How far each generation has folded each partition: pos is the next position. stopped: why the event there cannot be.
CREATE TABLE IF NOT EXISTS view_checkpoints (
    projection TEXT NOT NULL,
    version INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    partition INTEGER NOT NULL,
    epoch BLOB NOT NULL,
    pos INTEGER NOT NULL,
    stopped TEXT,
    PRIMARY KEY (projection, version, generation, partition)
) WITHOUT ROWID;
