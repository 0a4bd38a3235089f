"""Transactions: what is written together is there together, or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from runfold_events.clock import ManualClock
from runfold_events.contract.envelope import CHAIN_START, LedgerDamaged, RecordedEvent, check_events
from runfold_events.contract.errors import Unavailable
from runfold_events.ports import Head, PartitionRow, Write, WriterMark
from runfold_events.testing.contract.base import (
    ANN,
    BOB,
    ELSEWHERE,
    EVENTS_MAX,
    LOCK_TIMEOUT_SHORT_S,
    ONE,
    TWO,
    ContractBase,
    Scene,
    driven,
)


class TransactionContract(ContractBase):
    """Lock, load, write, commit."""

    @driven
    async def test_new_store_is_empty(self, scene: Scene) -> None:
        store = scene.store
        assert isinstance(store.epoch, UUID)
        assert store.partitions == self.PARTITIONS
        assert await store.ends() == (0,) * self.PARTITIONS
        async with store.transaction(2) as transaction:
            row = transaction.row
        assert row == PartitionRow(2, 0, 0, CHAIN_START, row.now)

    @driven
    async def test_events_come_back_as_they_were(self, scene: Scene) -> None:
        full = scene.build.event(
            ONE,
            body=b"\x00\xff body",
            causation_id=UUID(int=7),
            correlation_id=UUID(int=8),
            traceparent="00-11-22-01",
            data_version=3,
            content_type="application/msgpack",
            subject="s",
            key_id="k",
            actor="Zoë 🚀",
            writer_seq=2**63 - 1,
        )
        bare = scene.build.event(ONE, body=b"")
        placed = await scene.append(0, [full, bare])
        assert await scene.store.read(0, 0, 10) == placed
        assert await scene.store.read_stream(ONE, 1, 10) == placed

    @driven
    async def test_row_goes_on_from_the_last_event(self, scene: Scene) -> None:
        placed = await scene.append(0, [scene.build.event(ONE), scene.build.event(TWO)], next_offset=17)
        async with scene.store.transaction(0) as transaction:
            row = transaction.row
        assert row == PartitionRow(0, 17, 2, placed[-1].chain, row.now)
        damage, chain = check_events(
            await scene.store.read(0, 0, 10), partition=0, from_pos=0, previous_chain=CHAIN_START
        )
        assert (damage, chain) == ([], row.chain_head)

    @driven
    async def test_row_tells_the_time_of_the_store(self, scene: Scene) -> None:
        async with scene.store.transaction(0) as transaction:
            before = transaction.row.now
        await self.pass_time(scene, 5.0)
        async with scene.store.transaction(0) as transaction:
            assert transaction.row.now - before >= 5_000_000

    @driven
    async def test_partitions_have_positions_of_their_own(self, scene: Scene) -> None:
        await scene.append(0, scene.build.events(ONE, 2))
        (elsewhere,) = await scene.append(1, [scene.build.event(ELSEWHERE)])
        assert (elsewhere.partition, elsewhere.pos) == (1, 0)
        assert await scene.store.ends() == (2, 1, 0, 0)
        assert await scene.store.read(1, 0, 10) == [elsewhere]

    @driven
    async def test_a_transaction_without_a_write_changes_nothing(self, scene: Scene) -> None:
        async with scene.store.transaction(0) as transaction:
            await transaction.load([ONE], [(ONE, ANN)])
        async with scene.store.transaction(0) as transaction:
            await transaction.write(Write())
        assert await scene.store.ends() == (0,) * self.PARTITIONS

    @driven
    async def test_cursor_moves_without_events(self, scene: Scene) -> None:
        await scene.append(0, next_offset=5)
        async with scene.store.transaction(0) as transaction:
            assert (transaction.row.next_offset, transaction.row.next_pos) == (5, 0)
        await scene.append(0, [scene.build.event(ONE)])
        async with scene.store.transaction(0) as transaction:
            assert (transaction.row.next_offset, transaction.row.next_pos) == (5, 1)

    @driven
    async def test_an_exception_takes_everything_back(self, scene: Scene) -> None:
        await scene.append(0, [scene.build.event(ONE)], next_offset=1)
        placed: list[RecordedEvent] = []

        async def fail() -> None:
            async with scene.store.transaction(0) as transaction:
                placed.extend(scene.build.place(transaction.row, [scene.build.event(ONE)]))
                await transaction.write(everything(ONE, placed))
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await fail()
        scene.build.forget(placed)
        assert await scene.store.ends() == (1, 0, 0, 0)
        loaded = await scene.load([ONE], [(ONE, ANN)])
        assert (loaded.heads, loaded.marks, loaded.holders) == ({}, {}, {})
        assert await scene.store.held_by(ANN) == []
        await scene.append(0, [scene.build.event(ONE)])
        assert [event.pos for event in await scene.store.read(0, 0, 10)] == [0, 1]

    @driven
    async def test_nobody_sees_what_is_not_committed(self, scene: Scene) -> None:
        store = scene.store
        async with store.transaction(0) as transaction:
            placed = scene.build.place(transaction.row, [scene.build.event(ONE, writer_id=ANN)])
            await transaction.write(everything(ONE, placed))
            assert await store.ends() == (0, 0, 0, 0)
            assert await store.read(0, 0, 10) == []
            assert await store.read_stream(ONE, 1, 10) == []
            assert await store.heads([ONE]) == {}
            assert await store.writers(ONE) == []
            assert await store.outcomes([(ONE, ANN, 1)]) == {}
            assert await store.held_by(ANN) == []
        assert await store.read(0, 0, 10) == placed
        assert await store.outcomes([(ONE, ANN, 1)]) == {(ONE, ANN, 1): placed}
        assert list(await store.heads([ONE])) == [ONE]

    @pytest.mark.parametrize(
        "change",
        [{"pos": 2}, {"pos": 0}, {"partition": 1}, {"pos": -1}],
        ids=["hole", "taken", "other partition", "negative"],
    )
    @driven
    async def test_positions_must_be_dense(self, scene: Scene, change: dict[str, Any]) -> None:
        await scene.append(0, [scene.build.event(ONE)])

        async def misplace() -> None:
            async with scene.store.transaction(0) as transaction:
                (event,) = scene.build.place(transaction.row, [scene.build.event(TWO)])
                await transaction.write(Write(events=[replace(event, **change)], heads=[Head(TWO, 1, b"x")]))

        with pytest.raises(LedgerDamaged):
            await misplace()
        assert await scene.store.ends() == (1, 0, 0, 0)
        assert await scene.store.heads([TWO]) == {}

    @driven
    async def test_a_hole_within_a_write_is_refused(self, scene: Scene) -> None:
        async def leave_out_one() -> None:
            async with scene.store.transaction(0) as transaction:
                placed = scene.build.place(transaction.row, scene.build.events(ONE, 3))
                await transaction.write(Write(events=[placed[0], placed[2]]))

        with pytest.raises(LedgerDamaged):
            await leave_out_one()
        assert await scene.store.ends() == (0, 0, 0, 0)

    @driven
    async def test_a_repeated_event_id_is_refused(self, scene: Scene) -> None:
        (first,) = await scene.append(0, [scene.build.event(ONE)])
        with pytest.raises(LedgerDamaged):
            await scene.append(0, [scene.build.event(TWO, id=first.id)])
        assert await scene.store.read(0, 0, 10) == [first]

    @driven
    async def test_a_rival_waits_and_then_gives_up(self, tmp_path: Path) -> None:
        store = await self.open_store(
            tmp_path / "short" / "ledger.db", ManualClock(), lock_timeout_s=LOCK_TIMEOUT_SHORT_S
        )

        async def rival() -> None:
            async with store.transaction(0):
                raise AssertionError("both had the lock")

        async with store.transaction(0):
            (result,) = await self.at_once(rival)
        assert isinstance(result, Unavailable)
        async with store.transaction(0) as transaction:
            assert transaction.row.next_pos == 0
        await store.close()

    @driven
    async def test_concurrent_appends_are_dense_and_chained(self, scene: Scene) -> None:
        async def append(name: int) -> None:
            for _ in range(10):
                await scene.append(0, scene.build.events(ONE, 3, body=b"%d" % name))

        results = await self.at_once(*(lambda name=name: append(name) for name in range(4)))
        assert results == [None] * 4
        events = await scene.store.read(0, 0, EVENTS_MAX)
        damage, _ = check_events(events, partition=0, from_pos=0, previous_chain=CHAIN_START)
        assert (len(events), damage) == (120, [])
        assert {event.body for event in events} == {b"0", b"1", b"2", b"3"}


class StateContract(ContractBase):
    """What is kept beside events: heads and marks."""

    @driven
    async def test_load_knows_only_what_exists(self, scene: Scene) -> None:
        await scene.append(0, [scene.build.event(ONE)], heads=[Head(ONE, 1, b"state")])
        loaded = await scene.load([ONE, TWO, ONE], [(ONE, ANN), (TWO, ANN)])
        assert loaded.heads == {ONE: Head(ONE, 1, b"state")}
        assert (loaded.marks, loaded.holders) == ({}, {})

    @driven
    async def test_heads_of_other_partitions_can_be_loaded(self, scene: Scene) -> None:
        await scene.append(1, [scene.build.event(ELSEWHERE)], heads=[Head(ELSEWHERE, 1, b"far")])
        loaded = await scene.load([ELSEWHERE])
        assert loaded.heads == {ELSEWHERE: Head(ELSEWHERE, 1, b"far")}
        assert await scene.store.heads([ELSEWHERE, ONE]) == loaded.heads

    @driven
    async def test_many_streams_are_loaded_at_once(self, scene: Scene) -> None:
        names = [f"default/run/{number}-'\"ü" for number in range(50)]
        heads = [Head(name, number + 1, b"%d" % number) for number, name in enumerate(names)]
        marks = [WriterMark(name, ANN, number + 1, b"d" * 32) for number, name in enumerate(names)]
        await scene.append(0, heads=heads, marks=marks, hold=[(name, BOB) for name in names])
        loaded = await scene.load(names, [(name, ANN) for name in names])
        assert loaded.heads == {head.stream: head for head in heads}
        assert loaded.marks == {(mark.stream, mark.writer_id): mark for mark in marks}
        assert {name: holders.dead for name, holders in loaded.holders.items()} == {
            name: frozenset({BOB}) for name in names
        }
        assert await scene.store.heads(names) == loaded.heads

    @driven
    async def test_heads_and_marks_are_replaced(self, scene: Scene) -> None:
        await scene.append(0, heads=[Head(ONE, 1, b"a")], marks=[WriterMark(ONE, ANN, 1, b"1" * 32)])
        await scene.append(0, heads=[Head(ONE, 2, b"b")], marks=[WriterMark(ONE, ANN, 2, b"2" * 32)])
        loaded = await scene.load([ONE], [(ONE, ANN)])
        assert loaded.heads == {ONE: Head(ONE, 2, b"b")}
        assert loaded.marks == {(ONE, ANN): WriterMark(ONE, ANN, 2, b"2" * 32)}

    @driven
    async def test_marks_keep_every_field(self, scene: Scene) -> None:
        full = WriterMark(
            ONE,
            ANN,
            2**62,
            b"\x00" * 32,
            ((3, 5), (9, 9)),
            ((1, 2),),
            refused_creation=True,
            announced=2**62 + 1,
        )
        plain = WriterMark(TWO, BOB, 1, None)
        await scene.append(0, marks=[full, plain])
        loaded = await scene.load([], [(ONE, ANN), (TWO, BOB), (TWO, ANN)])
        assert loaded.marks == {(ONE, ANN): full, (TWO, BOB): plain}

    @driven
    async def test_writers_lists_the_marks_of_a_stream(self, scene: Scene) -> None:
        marks = [WriterMark(ONE, UUID(int=number << 100 | 1), number, None) for number in (3, 1, 2)]
        await scene.append(0, marks=[*marks, WriterMark(TWO, ANN, 9, None)])
        assert await scene.store.writers(ONE) == sorted(marks, key=lambda mark: mark.writer_id)
        assert await scene.store.writers(ELSEWHERE) == []

    @driven
    async def test_announce_only_ever_raises(self, scene: Scene) -> None:
        store = scene.store
        await scene.append(0, marks=[WriterMark(ONE, ANN, 4, b"d" * 32, gaps=((2, 2),))])
        await store.announce({(ONE, ANN): 7, (ONE, BOB): 3})
        await store.announce({(ONE, ANN): 5, (ONE, BOB): 4})
        await store.announce({})
        assert await store.writers(ONE) == [
            WriterMark(ONE, ANN, 4, b"d" * 32, gaps=((2, 2),), announced=7),
            WriterMark(ONE, BOB, 0, None, announced=4),
        ]


class ErasureContract(ContractBase):
    """The one change that is permitted."""

    @driven
    async def test_erasure_empties_the_stream_and_nothing_else(self, scene: Scene) -> None:
        metric = scene.build.event(ONE, "run.metrics_logged", body=b"metrics")
        before = await scene.append(
            0,
            [scene.build.event(ONE, body=b"secret"), scene.build.event(TWO, body=b"other"), metric],
            marks=[WriterMark(ONE, ANN, 1, b"1" * 32), WriterMark(TWO, ANN, 1, b"2" * 32)],
        )
        erased = scene.build.event(ONE, "run.erased", body=b"stub")
        (stub,) = await scene.append(
            0, [erased], erase=[ONE], heads=[Head(ONE, 3, b"")], marks=[WriterMark(ONE, BOB, 1, b"3" * 32)]
        )
        empty = [replace(event, body=None, salt=None) for event in before]
        assert await scene.store.read(0, 0, 10) == [empty[0], before[1], empty[2], stub]
        assert await scene.store.writers(ONE) == [
            WriterMark(ONE, ANN, 1, None),
            WriterMark(ONE, BOB, 1, None),
        ]
        assert [mark.digest for mark in await scene.store.writers(TWO)] == [b"2" * 32]

    @driven
    async def test_chain_holds_after_erasure_and_the_stream_goes_on(self, scene: Scene) -> None:
        await scene.append(0, scene.build.events(ONE, 3))
        await scene.append(0, [scene.build.event(ONE, "run.erased")], erase=[ONE])
        await scene.append(0, [scene.build.event(ONE, "run.command_rejected", body=b"kept")])
        events = await scene.store.read(0, 0, 10)
        damage, _ = check_events(events, partition=0, from_pos=0, previous_chain=CHAIN_START)
        assert damage == []
        assert [event.is_erased for event in events] == [True, True, True, False, False]

    @driven
    async def test_erasure_is_rolled_back_with_its_transaction(self, scene: Scene) -> None:
        before = await scene.append(0, [scene.build.event(ONE, body=b"kept")])

        async def fail() -> None:
            async with scene.store.transaction(0) as transaction:
                placed = scene.build.place(transaction.row, [scene.build.event(ONE, "run.erased")])
                await transaction.write(Write(events=placed, erase=[ONE]))
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await fail()
        assert await scene.store.read(0, 0, 10) == before


def everything(stream: str, events: list[RecordedEvent]) -> Write:
    """A write that touches every kind of row."""
    return Write(
        events=events,
        heads=[Head(stream, events[-1].stream_seq, b"head")],
        marks=[WriterMark(stream, ANN, 1, b"d" * 32)],
        hold=[(stream, ANN)],
        lost=[stream],
        next_offset=99,
    )
