"""T12: whoever changes the file is refused by it, or, with its triggers gone, is found out and the place is named."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import pytest

from runfold_events.check import Report, check_ledger
from runfold_events.contract.errors import RunfoldError
from runfold_events.ports import Head, Write, WriterMark
from runfold_events.stores.sqlite.store import SqliteStore
from runfold_events.sync import run_sync
from runfold_events.testing.builders import WRITER, EventBuilder, stream_in

PARTITIONS: Final = 2
EVENTS: Final = 12  # in each partition
TARGET: Final = 5  # the position in partition 1 that is tampered with
TRIGGERS: Final = ("events_insert", "events_update", "events_delete")
RECORD_HEAD_BYTES: Final = 30  # before an event's id: the cell's size and key, and the record's header


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound ledger with every column filled; the last event of partition 0 erases its stream's earlier ones."""
    path = tmp_path_factory.mktemp("sound") / "ledger.db"
    store = SqliteStore.open(path, partitions=PARTITIONS)
    build = EventBuilder(store.epoch)
    fields: dict[str, Any] = {
        "causation_id": UUID(int=0xCA),
        "correlation_id": UUID(int=0xC0),
        "traceparent": "00-trace",
        "subject": "subject",
        "key_id": "key",
    }

    async def fill(partition: int) -> None:
        streams = [stream_in(partition, PARTITIONS, name) for name in ("a", "b")]
        erased = [build.event(streams[0], "run.erased")] if partition == 0 else []
        async with store.transaction(partition) as transaction:
            events = [
                build.event(streams[number % 2], body=b"body of %d in %d" % (number, partition), **fields)
                for number in range(EVENTS - len(erased))
            ]
            placed = build.place(transaction.row, events + erased)
            heads = {event.stream: Head(event.stream, event.stream_seq, b"") for event in placed}
            marks = [WriterMark(stream, WRITER, 1, b"d" * 32) for stream in streams]
            await transaction.write(
                Write(
                    events=placed,
                    heads=list(heads.values()),
                    marks=marks,
                    erase=[event.stream for event in erased],
                )
            )

    for partition in range(PARTITIONS):
        run_sync(fill(partition))
    run_sync(store.close())
    assert check(path).is_sound
    return path


@pytest.fixture
def path(sound: Path, tmp_path: Path) -> Path:
    """A copy of the sound ledger, to be spoilt."""
    return Path(shutil.copy(sound, tmp_path / "ledger.db"))


def check(path: Path) -> Report:
    """What a check finds."""
    store = SqliteStore.open(path)
    try:
        return run_sync(check_ledger(store))
    finally:
        run_sync(store.close())


def places(report: Report) -> set[tuple[int, int]]:
    """The places that a report names."""
    return {(damage.partition, damage.pos) for damage in report.damage}


@pytest.fixture
def intruder(path: Path) -> Iterator[sqlite3.Connection]:
    """Somebody with the file and SQLite, as the triggers let them."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


@pytest.fixture
def burglar(intruder: sqlite3.Connection) -> sqlite3.Connection:
    """Somebody who has taken the triggers away."""
    for trigger in TRIGGERS:
        intruder.execute(f"DROP TRIGGER {trigger}")
    intruder.execute("PRAGMA ignore_check_constraints = ON")
    return intruder


# ── with the triggers in place ────────────────────────────────────────────────────────────────────────────

COLUMNS: Final = (
    *("position", "id", "type", "stream", "stream_seq", "partition", "pos", "slice", "epoch", "occurred_at"),
    *("recorded_at", "actor", "actor_source", "door", "writer_id", "writer_seq", "causation_id"),
    *("correlation_id", "traceparent", "data_version", "content_type", "subject", "key_id", "salt", "digest"),
    *("chain", "body"),
)
COPY: Final = ", ".join(COLUMNS)
HOSTILE: Final = {
    "update a body": "UPDATE events SET body = x'00' WHERE pos = 5",
    "update to the same": "UPDATE events SET body = body",
    "update two columns": "UPDATE events SET actor = 'x', body = NULL, salt = NULL",
    "update or replace": "UPDATE OR REPLACE events SET position = position - 1, pos = pos - 1 WHERE pos = 5",
    "erase what was not erased": "UPDATE events SET body = NULL, salt = NULL WHERE partition = 1",
    "erase the erasure": "UPDATE events SET body = NULL, salt = NULL WHERE type = 'run.erased'",
    "erase only the salt": "UPDATE events SET salt = NULL WHERE pos = 5",
    "delete one": "DELETE FROM events WHERE pos = 5",
    "delete all": "DELETE FROM events",
    "insert or replace": f"INSERT OR REPLACE INTO events ({COPY}) SELECT {COPY} FROM events WHERE pos = 5",
    "replace into": f"REPLACE INTO events ({COPY}) SELECT {COPY} FROM events WHERE pos = 11",
    "replace by id": (
        f"INSERT OR REPLACE INTO events ({COPY}) SELECT position + 1, {COPY.partition('position, ')[2]} "
        "FROM events WHERE partition = 1 AND pos = 11"
    ),
    "replace by number": (
        f"INSERT OR REPLACE INTO events ({COPY}) SELECT position + 1, randomblob(16), type, stream, stream_seq, "
        "partition, pos + 1, slice, epoch, occurred_at, recorded_at, actor, actor_source, door, writer_id, "
        "writer_seq, causation_id, correlation_id, traceparent, data_version, content_type, subject, key_id, salt, "
        "digest, chain, body FROM events WHERE partition = 1 AND pos = 11"
    ),
    "upsert": (
        f"INSERT INTO events ({COPY}) SELECT {COPY} FROM events WHERE pos = 5 "
        "ON CONFLICT (position) DO UPDATE SET body = x'00'"
    ),
    "upsert nothing": f"INSERT INTO events ({COPY}) SELECT {COPY} FROM events WHERE pos = 5 ON CONFLICT DO NOTHING",
    "insert with a hole": (
        f"INSERT INTO events ({COPY}) SELECT position + 5, randomblob(16), type, stream, stream_seq + 5, partition, "
        "pos + 5, slice, epoch, occurred_at, recorded_at, actor, actor_source, door, writer_id, writer_seq, "
        "causation_id, correlation_id, traceparent, data_version, content_type, subject, key_id, salt, digest, "
        "chain, body FROM events WHERE partition = 1 AND pos = 11"
    ),
    "move a partition back": "UPDATE partitions SET next_pos = 3 WHERE partition = 1",
    "another chain head": "UPDATE partitions SET chain_head = zeroblob(32)",
    "rename a partition": "UPDATE partitions SET partition = 7 WHERE partition = 1",
    "delete a partition": "DELETE FROM partitions",
    "add a partition": "INSERT INTO partitions (partition, chain_head) VALUES (2, zeroblob(32))",
    "another epoch": "UPDATE meta SET epoch = zeroblob(16)",
    "more partitions": "UPDATE meta SET partitions = 4",
    "an older schema": "UPDATE meta SET schema_version = 0",
    "no identity": "DELETE FROM meta",
    "another identity": "INSERT OR REPLACE INTO meta VALUES (1, zeroblob(16), 1, 1)",
}


@pytest.mark.parametrize("statement", HOSTILE.values(), ids=HOSTILE.keys())
def test_the_file_refuses_every_change(path: Path, intruder: sqlite3.Connection, statement: str) -> None:
    before = dump(intruder)
    with pytest.raises(sqlite3.IntegrityError, match="runfold: "):
        intruder.execute(statement)
    assert dump(intruder) == before
    assert check(path).is_sound


def test_erasing_twice_is_harmless(path: Path, intruder: sqlite3.Connection) -> None:
    """The one shape that is permitted, where it has happened already."""
    before = dump(intruder)
    intruder.execute("UPDATE events SET body = NULL, salt = NULL WHERE partition = 0 AND body IS NULL")
    assert dump(intruder) == before


def dump(connection: sqlite3.Connection) -> list[str]:
    """Everything in the file."""
    return list(connection.iterdump())


# ── with the triggers gone ────────────────────────────────────────────────────────────────────────────────


def flip(value: int | str | bytes) -> int | str | bytes:
    """The value with one bit changed, of the same type."""
    if isinstance(value, int):
        return value ^ 64  # beyond all small numbers, which are taken
    data = bytearray(value.encode() if isinstance(value, str) else value)
    data[len(data) // 2] ^= 1
    return data.decode() if isinstance(value, str) else bytes(data)


@pytest.mark.parametrize("column", [column for column in COLUMNS if column != "position"])
def test_a_flipped_bit_in_any_column_is_named(path: Path, burglar: sqlite3.Connection, column: str) -> None:
    where = "WHERE partition = 1 AND pos = ?"
    (value,) = burglar.execute(f"SELECT {column} FROM events {where}", (TARGET,)).fetchone()
    burglar.execute(f"UPDATE events SET {column} = ? {where}", (flip(value), TARGET))

    assert (1, TARGET) in places(check(path))


def test_a_moved_event_is_named(path: Path, burglar: sqlite3.Connection) -> None:
    burglar.execute("UPDATE events SET position = position + 1000 WHERE partition = 1 AND pos = ?", (TARGET,))

    assert {(1, TARGET), (1, TARGET + 1000)} <= places(check(path))


def delete(connection: sqlite3.Connection, condition: str) -> None:
    """Delete from partition 1."""
    connection.execute(f"DELETE FROM events WHERE partition = 1 AND ({condition})")


@pytest.mark.parametrize(
    ("condition", "named"),
    [("pos >= 9", 9), ("pos = 11", 11), ("pos BETWEEN 4 AND 6", 4), ("pos = 0", 0), ("pos >= 0", 0)],
    ids=["suffix", "last", "middle", "first", "all"],
)
def test_deleted_events_are_named(
    path: Path, burglar: sqlite3.Connection, condition: str, named: int
) -> None:
    delete(burglar, condition)

    assert (1, named) in places(check(path))


def test_a_deleted_suffix_with_a_moved_row_still_contradicts_the_heads(
    path: Path, burglar: sqlite3.Connection
) -> None:
    delete(burglar, "pos >= 9")
    burglar.execute("DROP TRIGGER partitions_update")
    burglar.execute(
        "UPDATE partitions SET next_pos = 9, chain_head = (SELECT chain FROM events WHERE partition = 1 AND pos = 8) "
        "WHERE partition = 1"
    )
    report = check(path)

    assert report.ends == (EVENTS, 9)
    assert any("head of" in finding for finding in report.findings)


@pytest.mark.parametrize("columns", [("body",), ("id", "stream_seq"), ("position", "pos")])
def test_swapped_rows_are_named(path: Path, burglar: sqlite3.Connection, columns: tuple[str, ...]) -> None:
    rows = [
        burglar.execute(
            f"SELECT {', '.join(columns)} FROM events WHERE partition = 1 AND pos = ?", (pos,)
        ).fetchone()
        for pos in (3, 7)
    ]
    assignments = ", ".join(f"{column} = ?" for column in columns)
    (third, seventh) = (
        burglar.execute("SELECT chain FROM events WHERE partition = 1 AND pos = ?", (pos,)).fetchone()[0]
        for pos in (3, 7)
    )
    aside = {"body": b"-", "id": b"-" * 16, "stream_seq": -1, "position": -1, "pos": -1}
    for chain, values in (
        (third, [aside[column] for column in columns]),
        (seventh, rows[0]),
        (third, rows[1]),
    ):
        burglar.execute(f"UPDATE events SET {assignments} WHERE chain = ?", (*values, chain))

    assert {(1, 3), (1, 7)} <= places(check(path))


def test_an_event_put_in_is_named(path: Path, burglar: sqlite3.Connection) -> None:
    columns = (
        COPY.partition("position, id, ")[2]
        .replace("pos,", "pos + 1,")
        .replace("stream_seq", "stream_seq + 1")
    )
    burglar.execute(
        f"INSERT INTO events ({COPY}) SELECT position + 1, randomblob(16), {columns} "
        "FROM events WHERE partition = 1 AND pos = 11"
    )

    assert (1, EVENTS) in places(check(path))


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("UPDATE events SET body = NULL, salt = NULL WHERE partition = 1 AND pos = 5", (1, 5)),
        ("UPDATE events SET body = x'00', salt = x'00' WHERE partition = 0 AND pos = 4", (0, 4)),
        ("UPDATE events SET type = 'run.tags_set' WHERE type = 'run.erased'", (0, 2)),
    ],
    ids=["erased without run.erased", "filled again", "run.erased hidden"],
)
def test_false_erasures_are_named(
    path: Path, burglar: sqlite3.Connection, statement: str, named: tuple[int, int]
) -> None:
    burglar.execute(statement)

    assert named in places(check(path))


@pytest.mark.parametrize("trigger", TRIGGERS)
def test_a_missing_trigger_is_found(path: Path, intruder: sqlite3.Connection, trigger: str) -> None:
    intruder.execute(f"DROP TRIGGER {trigger}")

    assert f"trigger {trigger} is missing from the schema" in check(path).findings


def test_a_weakened_or_additional_trigger_is_found(path: Path, burglar: sqlite3.Connection) -> None:
    burglar.execute("CREATE TRIGGER events_update BEFORE UPDATE ON events BEGIN SELECT 1; END")
    burglar.execute("CREATE TRIGGER mine AFTER INSERT ON events BEGIN SELECT 1; END")
    findings = check(path).findings

    assert "trigger events_update differs from the schema" in findings
    assert "trigger mine is not part of the schema" in findings


# ── with a hex editor ─────────────────────────────────────────────────────────────────────────────────────


def each_byte_of(path: Path, step: int) -> Iterator[int]:
    """Offsets in the file that belong to the target's record."""
    with closing(sqlite3.connect(path)) as connection:
        event_id, body = connection.execute(
            "SELECT id, body FROM events WHERE partition = 1 AND pos = ?", (TARGET,)
        ).fetchone()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    data = path.read_bytes()
    end = data.index(body) + len(body)
    start = data.rindex(event_id, 0, end) - RECORD_HEAD_BYTES
    assert 200 < end - start < 600
    yield from range(start, end, step)


def test_a_flipped_bit_of_the_stored_record_is_found(path: Path) -> None:
    offsets = list(each_byte_of(path, step=9))
    whole = path.read_bytes()
    unseen = [offset for offset in offsets if not is_found(path, whole, offset)]

    assert unseen == []


def is_found(path: Path, whole: bytes, offset: int) -> bool:
    """True when the check finds something after one bit at ``offset`` was flipped."""
    damaged = bytearray(whole)
    damaged[offset] ^= 0x10
    path.write_bytes(damaged)
    try:
        return not check(path).is_sound
    except RunfoldError:
        return True
    finally:
        path.write_bytes(whole)


# ── in use ────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_check_beside_a_writer_finds_nothing(path: Path) -> None:
    """The check sees one snapshot, so what is appended meanwhile is no damage."""
    store = SqliteStore.open(path)
    build = EventBuilder(store.epoch)
    stream = stream_in(1, PARTITIONS, "later")

    async def append() -> None:
        async with store.transaction(1) as transaction:
            event = build.event(stream, id=UUID(int=1 << 100 | transaction.row.next_pos))
            await transaction.write(Write(events=build.place(transaction.row, [event])))

    report = run_sync(check_ledger(store, lambda done, total: run_sync(append())))
    assert report.is_sound
    assert report.ends == (EVENTS, EVENTS)
    assert run_sync(store.ends()) == (EVENTS, EVENTS + 2)
    run_sync(store.close())
