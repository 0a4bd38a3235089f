"""T12 on Postgres: whoever gets past the triggers is found out, and the place is named.

Rights and triggers that refuse are shown in test_store_postgres.py. Here a superuser has taken the triggers away.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Sequence
from typing import Any, Final
from uuid import UUID

import asyncpg
import pytest

from runfold_events.check import Report, check_ledger
from runfold_events.contract.envelope import RecordedEvent
from runfold_events.ports import Head, Write, WriterMark
from runfold_events.stores.postgres import PostgresStore
from runfold_events.testing.builders import WRITER, CountingIds, EventBuilder, stream_in
from tests.support.postgres_store import SERVICE_ROLE, as_service, make_store
from tests.support.stack import StackForTest, Template

PARTITIONS: Final = 2
EVENTS: Final = 12  # in each partition
TARGET: Final = 5  # the position in partition 1 that is tampered with
TRIGGERS: Final = ("events_update", "events_delete", "events_truncate")
AT_TARGET: Final = f"WHERE partition = 1 AND pos = {TARGET}"


async def make_sound(dsn: str) -> None:
    """A sound store with every column filled; the last event of partition 0 erases its stream's earlier ones."""
    await make_store(dsn, PARTITIONS)
    store = await PostgresStore.open(as_service(dsn))
    build = EventBuilder(store.epoch)
    fields: dict[str, Any] = {
        "causation_id": UUID(int=0xCA),
        "correlation_id": UUID(int=0xC0),
        "traceparent": "00-trace",
        "subject": "subject",
        "key_id": "key",
    }
    for partition in range(PARTITIONS):
        streams = [stream_in(partition, PARTITIONS, name) for name in ("a", "b")]
        erased = [build.event(streams[0], "run.erased")] if partition == 0 else []
        events = [
            build.event(streams[number % 2], body=b"body of %d in %d" % (number, partition), **fields)
            for number in range(EVENTS - len(erased))
        ]
        await append(store, build, partition, events)
        await append(store, build, partition, erased, erase=[event.stream for event in erased])
    await store.close()


async def append(
    store: PostgresStore,
    build: EventBuilder,
    partition: int,
    events: Sequence[RecordedEvent],
    erase: Sequence[str] = (),
) -> None:
    """One transaction."""
    async with store.transaction(partition) as transaction:
        placed = build.place(transaction.row, events)
        heads = {event.stream: Head(event.stream, event.stream_seq, b"") for event in placed}
        marks = [WriterMark(stream, WRITER, 1, b"d" * 32) for stream in heads]
        await transaction.write(Write(events=placed, heads=list(heads.values()), marks=marks, erase=erase))


def fill(dsn: str) -> None:
    asyncio.run(make_sound(dsn))


SOUND: Final = Template("sound_store", fill)


class Scene:
    """A sound store, a superuser's connection to it, and what the check says as the service role."""

    def __init__(self, dsn: str, runner: asyncio.Runner) -> None:
        self.dsn = dsn
        self._run = runner.run
        connecting = asyncpg.connect(dsn, server_settings={"search_path": "runfold"})
        self._owner: asyncpg.Connection[Any] = self._run(connecting)

    def do(self, *statements: str) -> None:
        for statement in statements:
            self._run(self._owner.execute(statement))

    def tamper(self, *statements: str) -> None:
        """With the triggers of ``events`` and ``partitions`` gone, and back afterwards: only the change shows."""
        tables = ("events", "partitions")
        self.do(*(f"ALTER TABLE {table} DISABLE TRIGGER ALL" for table in tables))
        self.do(*statements)
        self.do(*(f"ALTER TABLE events ENABLE ALWAYS TRIGGER {trigger}" for trigger in TRIGGERS))
        self.do(
            *(
                f"ALTER TABLE partitions ENABLE ALWAYS TRIGGER partitions_{what}"
                for what in ("delete", "truncate")
            )
        )

    def check(self) -> Report:
        return self._run(self._check())

    async def _check(self) -> Report:
        store = await PostgresStore.open(as_service(self.dsn))
        try:
            return await check_ledger(store)
        finally:
            await store.close()

    def places(self) -> set[tuple[int, int]]:
        return {(damage.partition, damage.pos) for damage in self.check().damage}

    def close(self) -> None:
        self._run(self._owner.close())


@pytest.fixture
def scene(stack: StackForTest) -> Generator[Scene]:
    with asyncio.Runner() as runner:
        opened = Scene(stack.database(SOUND), runner)
        yield opened
        opened.close()


def test_control_a_store_that_nobody_touched_is_sound(scene: Scene) -> None:
    """Also with the triggers taken away and brought back, which is how the tests below get in."""
    scene.tamper("SELECT 1")
    report = scene.check()

    assert report.is_sound, report
    assert (report.events, report.ends) == (2 * EVENTS, (EVENTS, EVENTS))


# Values that every column may have, but that are not what was written there.
FLIPPED: Final = {
    **dict.fromkeys(("stream_seq", "occurred_at", "recorded_at", "writer_seq"), "{0} # 64"),
    **dict.fromkeys(("slice", "data_version"), "{0} # 64"),
    **dict.fromkeys(("id", "epoch", "writer_id", "causation_id", "correlation_id"), "gen_random_uuid()"),
    **dict.fromkeys(("type", "stream", "actor", "actor_source", "door", "traceparent"), "{0} || 'x'"),
    **dict.fromkeys(("content_type", "subject", "key_id"), "{0} || 'x'"),
    **dict.fromkeys(("salt", "digest", "chain", "body"), "set_bit({0}, 9, 1 - get_bit({0}, 9))"),
}


def test_a_change_in_any_column_is_named(scene: Scene) -> None:
    """One store for all: each change is undone before the next."""
    unseen: list[str] = []
    for column, other in FLIPPED.items():
        scene.do(f"CREATE TEMP TABLE kept AS SELECT {column} AS value FROM events {AT_TARGET}")
        scene.tamper(f"UPDATE events SET {column} = {other.format(column)} {AT_TARGET}")
        if (1, TARGET) not in scene.places():
            unseen.append(column)
        scene.tamper(f"UPDATE events SET {column} = (SELECT value FROM kept) {AT_TARGET}", "DROP TABLE kept")
    assert unseen == []
    assert scene.check().is_sound
    assert len(FLIPPED) == 24, "all columns but the key"


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("DELETE FROM events WHERE partition = 1 AND pos >= 9", (1, 9)),
        ("DELETE FROM events WHERE partition = 1 AND pos = 11", (1, 11)),
        ("DELETE FROM events WHERE partition = 1 AND pos BETWEEN 4 AND 6", (1, 4)),
        ("DELETE FROM events WHERE partition = 1", (1, 0)),
        (f"UPDATE events SET pos = pos + 1000 {AT_TARGET}", (1, TARGET)),
        (f"UPDATE events SET body = NULL, salt = NULL {AT_TARGET}", (1, TARGET)),
        ("UPDATE events SET body = '\\x00', salt = '\\x00' WHERE partition = 0 AND pos = 4", (0, 4)),
        ("UPDATE events SET type = 'run.tags_set' WHERE type = 'run.erased'", (0, 2)),
        ("UPDATE partitions SET next_pos = 3 WHERE partition = 1", (1, 3)),
        ("UPDATE partitions SET chain_head = '\\x00' WHERE partition = 1", (1, EVENTS - 1)),
        (
            "UPDATE events AS e SET body = o.body FROM events AS o WHERE e.partition = 1 AND o.partition = 1 "
            "AND e.pos IN (3, 7) AND o.pos = 10 - e.pos",
            (1, 7),
        ),
        (
            "INSERT INTO events SELECT partition, pos + 1, stream_seq + 1, occurred_at, recorded_at, writer_seq, "
            "slice, data_version, gen_random_uuid(), epoch, writer_id, causation_id, correlation_id, type, stream, "
            "actor, actor_source, door, traceparent, content_type, subject, key_id, salt, digest, chain, body "
            "FROM events WHERE partition = 1 AND pos = 11",
            (1, EVENTS),
        ),
    ],
    ids=[
        *("suffix", "last", "middle", "all", "moved", "erased without run.erased", "filled again"),
        *("run.erased hidden", "end moved back", "another chain head", "bodies swapped", "put in"),
    ],
)
def test_damage_is_named(scene: Scene, statement: str, named: tuple[int, int]) -> None:
    scene.tamper(statement)

    assert named in scene.places()


@pytest.mark.parametrize(
    ("statement", "finding"),
    [
        (
            "ALTER TABLE events DISABLE TRIGGER events_update",
            "trigger events_update on events differs from the schema",
        ),
        (
            "ALTER TABLE events ENABLE TRIGGER events_delete",
            "trigger events_delete on events differs from the schema",
        ),
        (
            "DROP TRIGGER events_truncate ON events",
            "trigger events_truncate on events is missing from the schema",
        ),
        ("CREATE RULE quiet AS ON DELETE TO events DO INSTEAD NOTHING", "rule quiet on events is not part"),
        (
            "CREATE TRIGGER mine AFTER INSERT ON events FOR EACH ROW EXECUTE FUNCTION refuse_change()",
            "trigger mine on events is not part of the schema",
        ),
        (
            "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END'",
            "function refuse_change differs from the schema",
        ),
        (
            "CREATE FUNCTION forge() RETURNS int LANGUAGE sql AS 'SELECT 1'",
            "function forge is not part of the schema",
        ),
        ("DROP INDEX events_by_id", "index events_by_id is missing from the schema"),
        (
            "ALTER TABLE events ALTER COLUMN actor DROP NOT NULL",
            "column events.actor differs from the schema",
        ),
        ("ALTER TABLE events ADD COLUMN more text", "column events.more is not part of the schema"),
        ("CREATE TABLE aside (a int)", "table aside is not part of the schema"),
        (f"GRANT DELETE ON events TO {SERVICE_ROLE}", f"{SERVICE_ROLE} may DELETE on events"),
        ("GRANT UPDATE ON heads TO PUBLIC", "everybody may UPDATE on heads"),
        (
            "DELETE FROM heads WHERE stream IN (SELECT min(stream) FROM heads)",
            "is at number 0, its last event at",
        ),
        ("UPDATE heads SET stream_seq = 3", "is at number 3, its last event at 6"),
    ],
)
def test_what_has_no_place_is_found(scene: Scene, statement: str, finding: str) -> None:
    assert scene.check().findings == ()
    scene.do(statement)

    assert any(finding in found for found in scene.check().findings), scene.check().findings


def test_events_outside_of_all_partitions_are_found(scene: Scene) -> None:
    scene.tamper("UPDATE events SET partition = 7 WHERE partition = 1 AND pos = 11")

    assert "1 events lie in no partition" in scene.check().findings


def test_a_check_beside_a_writer_finds_nothing(scene: Scene) -> None:
    """The check sees one snapshot, so what is appended meanwhile is no damage."""

    async def check_and_append() -> Report:
        store = await PostgresStore.open(as_service(scene.dsn))
        build = EventBuilder(store.epoch, CountingIds(1_000))
        stream = stream_in(1, PARTITIONS, "later")
        try:
            await append(store, build, 1, [build.event(stream)])
            async with asyncio.TaskGroup() as tasks:
                checking = tasks.create_task(check_ledger(store))
                for _ in range(20):
                    await append(store, build, 1, [build.event(stream)])
            return checking.result()
        finally:
            await store.close()

    report = asyncio.run(check_and_append())
    assert report.is_sound, report
    assert report.events > 2 * EVENTS
