"""What the logs around the ledger need of a store, on Postgres."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from uuid import UUID, uuid4

from runfold_events.contract.envelope import public_part
from runfold_events.ports import LogMark, Write
from runfold_events.testing.builders import EventBuilder, stream_in
from tests.integration.kafka.scene import Scene, with_scene
from tests.support.postgres_store import shift_clock

ROLE = "some-role"
LEASE_US = 10_000_000
ONE, TWO, THREE = (UUID(int=number) for number in (1, 2, 3))


@with_scene(partitions=4)
async def test_rows_are_what_transactions_left(scene: Scene) -> None:
    build = EventBuilder(scene.store.epoch)
    mark = LogMark(6, 5, b"key", 9)
    async with scene.store.transaction(2) as transaction:
        placed = build.place(transaction.row, build.events(stream_in(2, 4), 3))
        await transaction.write(Write(events=placed, next_offset=7, last_record=mark))
    rows = await scene.store.rows()
    assert [row.partition for row in rows] == [0, 1, 2, 3]
    assert (rows[2].next_offset, rows[2].next_pos, rows[2].chain_head, rows[2].last_record) == (
        7,
        3,
        placed[-1].chain,
        mark,
    )
    assert (rows[0].next_offset, rows[0].last_record) == (0, None)


@with_scene(partitions=1)
async def test_rows_do_not_wait_for_who_holds_them(scene: Scene) -> None:
    async with scene.store.transaction(0), asyncio.timeout(1):
        assert (await scene.store.rows())[0].next_pos == 0


@with_scene(partitions=1)
async def test_what_is_read_is_bounded_by_bytes(scene: Scene) -> None:
    build = EventBuilder(scene.store.epoch)
    async with scene.store.transaction(0) as transaction:
        events = [build.event("w/run/r", body=bytes(size)) for size in (10, 10, 10, 5_000, 10, 10)]
        placed = build.place(transaction.row, events)
        await transaction.write(Write(events=placed))

    async def read(from_pos: int, events_max: int, bytes_max: int) -> list[int]:
        return [event.pos for event in await scene.store.read_within(0, from_pos, events_max, bytes_max)]

    assert await read(0, 100, 1_000_000) == [0, 1, 2, 3, 4, 5]
    assert await read(0, 2, 1_000_000) == [0, 1]
    assert await read(0, 100, 25) == [0, 1]
    assert await read(2, 100, 4_999) == [2]
    assert await read(3, 100, 4_999) == [3], "the first comes whatever its size"
    assert await read(6, 100, 10) == []
    found = await scene.store.read_within(0, 0, 9, 1_000_000)
    assert list(found) == [public_part(event) for event in placed]


@with_scene(partitions=2)
async def test_what_is_published_never_goes_back(scene: Scene) -> None:
    assert await scene.store.published() == (0, 0)
    await scene.store.note_published(1, 5)
    await scene.store.note_published(1, 3)
    assert await scene.store.published() == (0, 5)


@with_scene(partitions=4)
async def test_partitions_are_shared_equally_and_never_twice(scene: Scene) -> None:
    share = scene.store.share_partitions
    assert await share(ROLE, ONE, LEASE_US) == {0, 1, 2, 3}
    assert await share(ROLE, TWO, LEASE_US) == set(), "the first has to give back before"
    assert await share(ROLE, ONE, LEASE_US) == {0, 1}
    assert await share(ROLE, TWO, LEASE_US) == {2, 3}
    assert await share("another-role", THREE, LEASE_US) == {0, 1, 2, 3}
    assert await share(ROLE, THREE, LEASE_US) == set()
    assert await share(ROLE, ONE, LEASE_US) == {0, 1}, "three members: two, two and what is left"
    await scene.store.leave_role(ROLE, ONE)
    assert await share(ROLE, THREE, LEASE_US) == {0, 1}
    await shift_clock(scene.dsn, 60)
    assert await share(ROLE, TWO, LEASE_US) == {0, 1, 2, 3}
    assert await share(ROLE, THREE, LEASE_US) == set(), "its lease had ended; it is a member again"


@with_scene(partitions=4)
async def test_sharing_at_once_gives_no_partition_twice(scene: Scene) -> None:
    stores = [await scene.open_store() for _ in range(5)]
    members = [uuid4() for _ in stores]
    shares: Sequence[frozenset[int]] = ()
    for _ in range(3):
        shares = await asyncio.gather(
            *(
                store.share_partitions(ROLE, member, LEASE_US)
                for store, member in zip(stores, members, strict=True)
            )
        )
    given = [
        await store.share_partitions(ROLE, member, LEASE_US)
        for store, member in zip(stores, members, strict=True)
    ]
    assert sorted(partition for share in given for partition in share) == [0, 1, 2, 3]
    assert max(len(share) for share in given) == 1
    assert len(shares) == len(given)
