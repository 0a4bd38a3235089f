"""Slow, rolled-back and idle writers: readers by dense positions miss nothing; a naive poller beside them does.

Every writer also inserts into a table with a serial number and a time, as an outbox usually has. The poller of that
table is the control: it must miss rows, or the test could not see a reader that does.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import Final
from uuid import uuid4

import asyncpg
from msgspec import Struct, field

from runfold_events.contract.errors import Unavailable
from runfold_events.ports import Write
from runfold_events.stores.postgres import PostgresStore
from runfold_events.stores.postgres.store import PostgresTimeouts
from runfold_events.stores.postgres.transactions import PostgresTransaction
from runfold_events.testing.builders import EventBuilder, stream_in
from tests.integration.kafka.scene import Scene, with_scene
from tests.support.postgres_store import SERVICE_ROLE

PARTITIONS: Final = 4
WRITERS: Final = 6
SECONDS: Final = 3.0
TIMEOUTS: Final = PostgresTimeouts(idle_in_transaction_ms=150, lock_ms=2_000)
NAIVE: Final = (
    "CREATE TABLE public.outbox (id bigserial PRIMARY KEY, recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(), "
    "partition integer NOT NULL, pos bigint NOT NULL)"
)


class Deeds(Struct):
    """What writers did, so that the test knows it tested something."""

    committed: set[tuple[int, int]] = field(default_factory=set)
    rolled_back: int = 0
    cut: int = 0  # the session was ended while it stood still
    slow: int = 0


class RolledBack(Exception):
    """A writer changed its mind."""


async def write(scene: Scene, store: PostgresStore, luck: random.Random, deeds: Deeds, end: float) -> None:
    """Append events, some slowly, some in vain."""
    loop = asyncio.get_running_loop()
    build = EventBuilder(store.epoch)
    while loop.time() < end:
        partition = luck.randrange(PARTITIONS)
        try:
            async with store.transaction(partition) as transaction:
                stream = stream_in(partition, PARTITIONS, uuid4().hex[:8])
                placed = build.place(transaction.row, [build.event(stream, id=uuid4())])
                await note_naively(transaction, partition, placed[0].pos)
                await linger(luck, deeds)
                await transaction.write(Write(events=placed))
        except RolledBack:
            deeds.rolled_back += 1
        except Unavailable:
            deeds.cut += 1
        else:
            deeds.committed.add((partition, placed[0].pos))


async def note_naively(transaction: PostgresTransaction, partition: int, pos: int) -> None:
    # The control's table is no part of the store, and must be written in the store's own transaction.
    await transaction._connection.execute(  # pyright: ignore[reportPrivateUsage]
        "INSERT INTO public.outbox (partition, pos) VALUES ($1, $2)", partition, pos
    )


async def linger(luck: random.Random, deeds: Deeds) -> None:
    """Most writers are quick."""
    what = luck.random()
    if what < 0.15:
        deeds.slow += 1
        await asyncio.sleep(luck.uniform(0.01, 0.1))
    elif what < 0.2:
        await asyncio.sleep(0.3)  # longer than a session may stand still in a transaction
    elif what < 0.3:
        raise RolledBack


async def read_by_position(store: PostgresStore, seen: set[tuple[int, int]]) -> None:
    """What projectors and relays do."""
    next_pos = [0] * PARTITIONS
    while True:
        for partition in range(PARTITIONS):
            for event in await store.read(partition, next_pos[partition], 100):
                assert event.pos == next_pos[partition], "a hole"
                next_pos[partition] += 1
                seen.add((partition, event.pos))
        await asyncio.sleep(0.005)


async def poll_naively(dsn: str, column: str, kind: str, seen: set[tuple[int, int]]) -> None:
    """What an outbox poller does that trusts a serial number, or a time."""
    connection = await asyncpg.connect(dsn)
    query = (
        f"SELECT {column}, partition, pos FROM public.outbox "
        f"WHERE $1::{kind} IS NULL OR {column} > $1 ORDER BY {column}"
    )
    last = None
    try:
        while True:
            for row in await connection.fetch(query, last):
                last = row[0]
                seen.add((row["partition"], row["pos"]))
            await asyncio.sleep(0.005)
    finally:
        await connection.close()


@with_scene(PARTITIONS)
async def test_readers_by_position_miss_nothing_and_a_naive_poller_does(scene: Scene) -> None:
    await scene.sql(
        NAIVE,
        f"GRANT INSERT ON public.outbox TO {SERVICE_ROLE}",
        f"GRANT USAGE ON public.outbox_id_seq TO {SERVICE_ROLE}",
        "SELECT 1",
    )
    deeds = Deeds()
    by_position: list[set[tuple[int, int]]] = [set(), set()]
    by_id: set[tuple[int, int]] = set()
    by_time: set[tuple[int, int]] = set()
    loop = asyncio.get_running_loop()
    readers = [loop.create_task(read_by_position(await scene.open_store(), seen)) for seen in by_position]
    readers.append(loop.create_task(poll_naively(scene.dsn, "id", "bigint", by_id)))
    readers.append(loop.create_task(poll_naively(scene.dsn, "recorded_at", "timestamptz", by_time)))
    stores = [await scene.open_store(TIMEOUTS) for _ in range(WRITERS)]
    end = loop.time() + SECONDS
    await asyncio.gather(
        *(write(scene, store, random.Random(n), deeds, end) for n, store in enumerate(stores))
    )
    await asyncio.sleep(0.3)
    for reader in readers:
        reader.cancel()
    for reader in readers:
        with contextlib.suppress(asyncio.CancelledError):
            await reader
    print(
        f"{len(deeds.committed)} committed, {deeds.slow} slow, {deeds.rolled_back} rolled back, {deeds.cut} cut off; "
        f"missed by serial number {len(deeds.committed - by_id)}, by time {len(deeds.committed - by_time)}"
    )
    assert min(deeds.slow, deeds.rolled_back, deeds.cut) > 3
    stored = {(event.partition, event.pos) for event in await scene.all_events()}
    assert deeds.committed <= stored
    assert by_position == [stored, stored]
    assert deeds.committed - by_id, "the control saw everything: the test could not see a reader that misses"
    assert deeds.committed - by_time, "the control saw everything"
