-- What the service may do, and what nobody may. Replaced as a whole with every schema version.

-- The store's clock: UTC µs since the epoch.
CREATE OR REPLACE FUNCTION now_us() RETURNS bigint LANGUAGE sql VOLATILE AS $$
    SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
$$;

-- Append only. Erasure is the one update: body and salt become NULL, once run.erased stands later in the stream.
CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'runfold: % on % is refused; the store is append-only', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END $$;

CREATE OR REPLACE FUNCTION refuse_update() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    kept events;
BEGIN
    kept := NEW;
    kept.body := OLD.body;
    kept.salt := OLD.salt;
    IF NEW.body IS NULL AND NEW.salt IS NULL AND kept IS NOT DISTINCT FROM OLD AND EXISTS (
        SELECT FROM events AS later
        WHERE later.stream = OLD.stream AND later.stream_seq > OLD.stream_seq AND later.type = 'run.erased'
    ) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'runfold: events never change; only a run that was erased loses its bodies'
        USING ERRCODE = 'insufficient_privilege';
END $$;

CREATE OR REPLACE FUNCTION refuse_meta_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.partitions = OLD.partitions AND NEW.schema_version >= OLD.schema_version
        AND (NEW.epoch = OLD.epoch OR current_setting('runfold.restoring', true) = 'yes') THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'runfold: epoch and partitions are fixed, the schema version only grows'
        USING ERRCODE = 'insufficient_privilege';
END $$;

CREATE OR REPLACE TRIGGER events_update BEFORE UPDATE ON events FOR EACH ROW EXECUTE FUNCTION refuse_update();
CREATE OR REPLACE TRIGGER events_delete BEFORE DELETE ON events FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE OR REPLACE TRIGGER events_truncate BEFORE TRUNCATE ON events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE OR REPLACE TRIGGER meta_update BEFORE UPDATE ON meta FOR EACH ROW EXECUTE FUNCTION refuse_meta_update();
CREATE OR REPLACE TRIGGER meta_delete BEFORE DELETE ON meta FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE OR REPLACE TRIGGER meta_truncate BEFORE TRUNCATE ON meta FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE OR REPLACE TRIGGER partitions_delete BEFORE DELETE ON partitions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE OR REPLACE TRIGGER partitions_truncate BEFORE TRUNCATE ON partitions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE events ENABLE ALWAYS TRIGGER events_update;
ALTER TABLE events ENABLE ALWAYS TRIGGER events_delete;
ALTER TABLE events ENABLE ALWAYS TRIGGER events_truncate;
ALTER TABLE meta ENABLE ALWAYS TRIGGER meta_update;
ALTER TABLE meta ENABLE ALWAYS TRIGGER meta_delete;
ALTER TABLE meta ENABLE ALWAYS TRIGGER meta_truncate;
ALTER TABLE partitions ENABLE ALWAYS TRIGGER partitions_delete;
ALTER TABLE partitions ENABLE ALWAYS TRIGGER partitions_truncate;

-- First statement of every transaction: the lock, the cursor, the allocator, the chain's head and the clock.
CREATE OR REPLACE FUNCTION lock_partition(
    _partition integer, OUT next_offset bigint, OUT next_pos bigint, OUT chain_head bytea, OUT now bigint,
    OUT last_offset bigint, OUT last_timestamp_ms bigint, OUT last_key bytea, OUT last_writer_seq bigint
) LANGUAGE plpgsql SECURITY DEFINER SET search_path = runfold, pg_temp AS $$
BEGIN
    SELECT
        p.next_offset, p.next_pos, p.chain_head, p.last_offset, p.last_timestamp_ms, p.last_key, p.last_writer_seq
    INTO next_offset, next_pos, chain_head, last_offset, last_timestamp_ms, last_key, last_writer_seq
    FROM partitions AS p WHERE p.partition = _partition FOR UPDATE;
    now := now_us(); -- after the lock, so that no transaction is dated before the one it waited for
END $$;

-- The same for those of several partitions that nobody holds. It waits for none, so that no two such transactions can
-- wait for each other; each row is dated after its own lock.
CREATE OR REPLACE FUNCTION lock_free_partitions(_partitions integer[])
RETURNS TABLE (
    partition integer, next_offset bigint, next_pos bigint, chain_head bytea, now bigint, last_offset bigint,
    last_timestamp_ms bigint, last_key bytea, last_writer_seq bigint
) LANGUAGE sql SECURITY DEFINER SET search_path = runfold, pg_temp AS $$
    WITH free AS MATERIALIZED (
        SELECT * FROM partitions AS p WHERE p.partition = ANY (_partitions) ORDER BY p.partition FOR UPDATE SKIP LOCKED
    )
    SELECT
        f.partition, f.next_offset, f.next_pos, f.chain_head, now_us(), f.last_offset, f.last_timestamp_ms, f.last_key,
        f.last_writer_seq
    FROM free AS f
$$;

-- Heads, marks and holders in one round trip: the first column says which, the others are used as each needs them.
CREATE OR REPLACE FUNCTION load_decision(_streams text[], _mark_streams text[], _mark_writers uuid[])
RETURNS TABLE (
    kind text, stream text, id uuid, number bigint, bytes bytea, gaps bigint[], lost bigint[], flag boolean,
    announced bigint
) LANGUAGE sql STABLE SECURITY DEFINER SET search_path = runfold, pg_temp AS $$
    SELECT 'head', h.stream, NULL::uuid, h.stream_seq, h.state, NULL::bigint[], NULL::bigint[], NULL::boolean, NULL::bigint
    FROM heads AS h WHERE h.stream = ANY (_streams)
    UNION ALL
    SELECT 'mark', m.stream, m.writer_id, m.highest, m.digest, m.gaps, m.lost, m.refused_creation, coalesce(a.number, 0)
    FROM unnest(_mark_streams, _mark_writers) AS wanted (stream, writer_id)
    CROSS JOIN LATERAL ( -- OFFSET keeps it one look-up for each: a plan made for an empty table would read it all later
        SELECT * FROM writer_marks AS w WHERE w.stream = wanted.stream AND w.writer_id = wanted.writer_id OFFSET 0
    ) AS m
    LEFT JOIN LATERAL (
        SELECT * FROM announcements AS n WHERE n.stream = m.stream AND n.writer_id = m.writer_id OFFSET 0
    ) AS a ON true
    UNION ALL
    SELECT 'holder', h.stream, h.process_id, NULL, NULL, NULL, NULL, coalesce(l.ends_at > now_us(), false), NULL
    FROM holders AS h LEFT JOIN leases AS l USING (process_id) WHERE h.stream = ANY (_streams)
$$;

-- All changes of one transaction. The caller holds the partition's row; next_pos is compared all the same, so that a
-- caller whose lock was lost matches nothing.
CREATE OR REPLACE FUNCTION append(
    _partition integer, _next_pos bigint, _chain_head bytea, _next_offset bigint, _events events[], _heads heads[],
    _marks writer_marks[], _announced bigint[], _hold_streams text[], _hold_processes uuid[], _lost text[], _found text[], _ended text[],
    _erase text[], _last_offset bigint, _last_timestamp_ms bigint, _last_key bytea, _last_writer_seq bigint
) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = runfold, pg_temp AS $$
DECLARE
    inserted bigint;
BEGIN
    UPDATE partitions SET
        next_pos = next_pos + cardinality(_events), chain_head = _chain_head,
        next_offset = coalesce(_next_offset, next_offset),
        last_offset = coalesce(_last_offset, last_offset),
        last_timestamp_ms = coalesce(_last_timestamp_ms, last_timestamp_ms),
        last_key = coalesce(_last_key, last_key),
        last_writer_seq = CASE WHEN _last_offset IS NULL THEN last_writer_seq ELSE _last_writer_seq END
    WHERE partition = _partition AND next_pos = _next_pos;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'runfold: partition % is not at position % any more', _partition, _next_pos
            USING ERRCODE = 'serialization_failure';
    END IF;
    INSERT INTO events SELECT * FROM unnest(_events) AS e
    WHERE e.partition = _partition AND e.pos >= _next_pos AND e.pos < _next_pos + cardinality(_events);
    GET DIAGNOSTICS inserted = ROW_COUNT; -- positions are unique: as many as there are within the range are dense
    IF inserted <> cardinality(_events) THEN
        RAISE EXCEPTION 'runfold: positions are not dense from %', _next_pos USING ERRCODE = 'data_exception';
    END IF;
    PERFORM note_streams(_heads, _marks, _announced);
    PERFORM note_holders(_hold_streams, _hold_processes, _lost, _found, _ended);
    PERFORM erase_bodies(_partition, _next_pos, _erase);
END $$;

-- The same for several partitions, whose rows the caller holds; no cursor moves and nothing is erased. _counts: how many
-- of the events belong to each.
CREATE OR REPLACE FUNCTION append_shared(
    _partitions integer[], _next_pos bigint[], _counts bigint[], _chain_heads bytea[], _events events[], _heads heads[],
    _marks writer_marks[], _announced bigint[], _hold_streams text[], _hold_processes uuid[], _lost text[], _found text[],
    _ended text[]
) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = runfold, pg_temp AS $$
DECLARE
    changed bigint;
BEGIN
    UPDATE partitions AS p SET next_pos = p.next_pos + given.count, chain_head = given.chain_head
    FROM unnest(_partitions, _next_pos, _counts, _chain_heads) AS given (partition, next_pos, count, chain_head)
    WHERE p.partition = given.partition AND p.next_pos = given.next_pos;
    GET DIAGNOSTICS changed = ROW_COUNT;
    IF changed <> cardinality(_partitions) THEN
        RAISE EXCEPTION 'runfold: one of the partitions % is not where it was any more', _partitions
            USING ERRCODE = 'serialization_failure';
    END IF;
    INSERT INTO events SELECT e.* FROM unnest(_events) AS e
    JOIN unnest(_partitions, _next_pos, _counts) AS given (partition, next_pos, count)
        ON e.partition = given.partition AND e.pos >= given.next_pos AND e.pos < given.next_pos + given.count;
    GET DIAGNOSTICS changed = ROW_COUNT; -- as many as there are within the ranges: dense, see append
    IF changed <> cardinality(_events) OR changed <> (SELECT coalesce(sum(c), 0) FROM unnest(_counts) AS c) THEN
        RAISE EXCEPTION 'runfold: positions are not dense' USING ERRCODE = 'data_exception';
    END IF;
    PERFORM note_streams(_heads, _marks, _announced);
    PERFORM note_holders(_hold_streams, _hold_processes, _lost, _found, _ended);
END $$;

CREATE OR REPLACE FUNCTION note_streams(_heads heads[], _marks writer_marks[], _announced bigint[])
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO heads SELECT * FROM unnest(_heads)
    ON CONFLICT (stream) DO UPDATE SET stream_seq = excluded.stream_seq, state = excluded.state;
    -- Only announce() moves an announcement: the partition's transaction never waits for another one's.
    INSERT INTO announcements (stream, writer_id, number)
    SELECT m.stream, m.writer_id, m.number
    FROM ROWS FROM (unnest(_marks), unnest(_announced))
        AS m (stream, writer_id, highest, refused_creation, digest, gaps, lost, number)
    WHERE m.number > 0 ON CONFLICT DO NOTHING;
    INSERT INTO writer_marks SELECT * FROM unnest(_marks)
    ON CONFLICT (stream, writer_id) DO UPDATE SET
        highest = excluded.highest, refused_creation = excluded.refused_creation, digest = excluded.digest,
        gaps = excluded.gaps, lost = excluded.lost;
END $$;

-- Before an append that says who holds the runs instead.
CREATE OR REPLACE FUNCTION drop_holders(_streams text[], _processes uuid[])
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = runfold, pg_temp AS $$
BEGIN
    DELETE FROM holders USING unnest(_streams, _processes) AS gone (stream, process_id)
    WHERE holders.stream = gone.stream AND holders.process_id = gone.process_id;
END $$;

CREATE OR REPLACE FUNCTION note_holders(
    _hold_streams text[], _hold_processes uuid[], _lost text[], _found text[], _ended text[]
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF cardinality(_hold_streams) > 0 THEN
        INSERT INTO held (stream) SELECT DISTINCT unnest(_hold_streams) ON CONFLICT DO NOTHING;
        INSERT INTO holders (stream, process_id) SELECT * FROM unnest(_hold_streams, _hold_processes)
        ON CONFLICT DO NOTHING;
    END IF;
    IF cardinality(_lost) > 0 THEN
        INSERT INTO held (stream, is_lost) SELECT unnest(_lost), true
        ON CONFLICT (stream) DO UPDATE SET is_lost = true;
    END IF;
    IF cardinality(_found) > 0 THEN
        UPDATE held SET is_lost = false WHERE stream = ANY (_found);
    END IF;
    IF cardinality(_ended) > 0 THEN
        DELETE FROM holders WHERE stream = ANY (_ended);
        DELETE FROM held WHERE stream = ANY (_ended);
    END IF;
END $$;

CREATE OR REPLACE FUNCTION erase_bodies(_partition integer, _next_pos bigint, _streams text[])
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF cardinality(_streams) > 0 THEN
        UPDATE events SET body = NULL, salt = NULL
        WHERE stream = ANY (_streams) AND partition = _partition AND pos < _next_pos AND body IS NOT NULL;
        UPDATE writer_marks SET digest = NULL WHERE stream = ANY (_streams);
    END IF;
END $$;

CREATE OR REPLACE FUNCTION announce(_streams text[], _writers uuid[], _numbers bigint[])
RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = runfold, pg_temp AS $$
    INSERT INTO announcements (stream, writer_id, number)
    SELECT stream, writer_id, number FROM unnest(_streams, _writers, _numbers) AS n (stream, writer_id, number)
    ORDER BY stream, writer_id -- one order for everybody: no deadlock
    ON CONFLICT (stream, writer_id) DO UPDATE SET number = excluded.number
    WHERE announcements.number < excluded.number
$$;

CREATE OR REPLACE FUNCTION reserve_run_numbers(_experiment_stream text, _count bigint)
RETURNS bigint LANGUAGE sql SECURITY DEFINER SET search_path = runfold, pg_temp AS $$
    INSERT INTO run_numbers (experiment_stream, next_number) VALUES (_experiment_stream, 1 + _count)
    ON CONFLICT (experiment_stream) DO UPDATE SET next_number = run_numbers.next_number + _count
    RETURNING next_number - _count
$$;

-- The same for runs of several experiments, as many as do not exist yet: a repeated creation takes no number. The commit
-- does not wait for the disk: the events that use the numbers are committed later, and what is written stays in order.
CREATE OR REPLACE FUNCTION reserve_numbers_of_new(_runs text[], _experiments text[])
RETURNS TABLE (experiment_stream text, first_number bigint, count bigint)
LANGUAGE sql SECURITY DEFINER SET search_path = runfold, pg_temp AS $$
    SELECT set_config('synchronous_commit', 'off', true);
    WITH wanted AS MATERIALIZED (
        SELECT w.experiment, count(*) AS count FROM unnest(_runs, _experiments) AS w (run, experiment)
        WHERE (SELECT h.stream FROM heads AS h WHERE h.stream = w.run) IS NULL -- a look-up each, whatever the table's size
        GROUP BY w.experiment
    ), reserved AS (
        INSERT INTO run_numbers AS r (experiment_stream, next_number)
        SELECT experiment, 1 + wanted.count FROM wanted ORDER BY experiment -- one order for everybody: no deadlock
        ON CONFLICT (experiment_stream) DO UPDATE SET next_number = r.next_number + excluded.next_number - 1
        RETURNING r.experiment_stream, r.next_number
    )
    SELECT reserved.experiment_stream, reserved.next_number - wanted.count, wanted.count
    FROM reserved JOIN wanted ON wanted.experiment = reserved.experiment_stream
$$;

CREATE OR REPLACE FUNCTION renew_lease(_process_id uuid, _lease_us bigint)
RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = runfold, pg_temp AS $$
    INSERT INTO leases (process_id, ends_at) VALUES (_process_id, now_us() + _lease_us)
    ON CONFLICT (process_id) DO UPDATE SET ends_at = excluded.ends_at;
    -- A lease that has ended and none at all mean the same: a few of the former go with every heartbeat.
    DELETE FROM leases WHERE process_id IN (
        SELECT process_id FROM leases WHERE ends_at <= now_us() ORDER BY ends_at LIMIT 20 FOR UPDATE SKIP LOCKED
    )
$$;

CREATE OR REPLACE FUNCTION end_lease(_process_id uuid)
RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = runfold, pg_temp AS $$
    DELETE FROM leases WHERE process_id = _process_id
$$;

CREATE OR REPLACE FUNCTION note_published(_partition integer, _pos bigint)
RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = runfold, pg_temp AS $$
    INSERT INTO published (partition, pos) VALUES (_partition, _pos)
    ON CONFLICT (partition) DO UPDATE SET pos = excluded.pos WHERE published.pos < excluded.pos
$$;

-- Join a role or stay in it, and take a fair share of the partitions: free ones, or those of members whose lease ended.
-- Who has more than the fair share gives the rest back, so that a new member gets some.
CREATE OR REPLACE FUNCTION share_partitions(_role text, _member uuid, _lease_us bigint)
RETURNS integer[] LANGUAGE plpgsql SECURITY DEFINER SET search_path = runfold, pg_temp AS $$
DECLARE
    fair bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('runfold role ' || _role, 0)); -- one at a time
    DELETE FROM role_members WHERE role = _role AND ends_at <= now_us();
    INSERT INTO role_members (role, member, ends_at) VALUES (_role, _member, now_us() + _lease_us)
    ON CONFLICT (role, member) DO UPDATE SET ends_at = excluded.ends_at;
    DELETE FROM role_partitions AS p WHERE p.role = _role AND NOT EXISTS (
        SELECT FROM role_members AS m WHERE m.role = _role AND m.member = p.member
    );
    SELECT ceil(meta.partitions::numeric / count(*)) INTO fair
    FROM meta, role_members AS m WHERE m.role = _role GROUP BY meta.partitions;
    DELETE FROM role_partitions AS p WHERE p.role = _role AND p.partition IN (
        SELECT mine.partition FROM role_partitions AS mine
        WHERE mine.role = _role AND mine.member = _member ORDER BY mine.partition OFFSET fair
    );
    INSERT INTO role_partitions (role, partition, member)
    SELECT _role, free.partition, _member FROM partitions AS free
    WHERE NOT EXISTS (SELECT FROM role_partitions AS p WHERE p.role = _role AND p.partition = free.partition)
    ORDER BY free.partition
    LIMIT fair - (SELECT count(*) FROM role_partitions AS p WHERE p.role = _role AND p.member = _member);
    RETURN ARRAY(
        SELECT p.partition FROM role_partitions AS p WHERE p.role = _role AND p.member = _member ORDER BY p.partition
    );
END $$;

CREATE OR REPLACE FUNCTION leave_role(_role text, _member uuid)
RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = runfold, pg_temp AS $$
    DELETE FROM role_partitions WHERE role = _role AND member = _member;
    DELETE FROM role_members WHERE role = _role AND member = _member
$$;
