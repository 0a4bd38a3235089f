-- Files that runs have recorded. recorded_at is UTC µs; the contents lie in the file store, by workspace and sha256.
CREATE TABLE {p}file (
    stream text COLLATE "C" NOT NULL,
    stream_seq bigint NOT NULL,
    path text COLLATE "C" NOT NULL,
    workspace text COLLATE "C" NOT NULL,
    sha256 text COLLATE "C" NOT NULL,
    size_bytes bigint NOT NULL,
    content_type text COLLATE "C" NOT NULL,
    recorded_at bigint NOT NULL,
    PRIMARY KEY (stream, stream_seq)
);

CREATE INDEX {p}file_path ON {p}file (stream, hashtextextended(path, 0));

-- Whether anybody else has recorded a content, before it is removed with a run.
CREATE INDEX {p}file_content ON {p}file (workspace, sha256);
