-- Files that runs have recorded. recorded_at is UTC µs; the contents lie in the file store, by workspace and sha256.
CREATE TABLE {p}file (
    stream TEXT NOT NULL,
    stream_seq INTEGER NOT NULL,
    path TEXT NOT NULL,
    workspace TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    content_type TEXT NOT NULL,
    recorded_at INTEGER NOT NULL,
    PRIMARY KEY (stream, stream_seq)
) WITHOUT ROWID;

CREATE INDEX {p}file_path ON {p}file (stream, path);

-- Whether anybody else has recorded a content, before it is removed with a run.
CREATE INDEX {p}file_content ON {p}file (workspace, sha256);
