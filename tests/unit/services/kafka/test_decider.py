"""What a decider does when its log, its store or its group behaves badly."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

import pytest
from msgspec.structs import replace

from runfold_events.buses.memory import MemoryCommandSource
from runfold_events.contract.codec import decode_event
from runfold_events.contract.errors import Unavailable
from runfold_events.contract.events import LogLost
from runfold_events.log_door import CursorAhead, Handled, LogRecord
from runfold_events.log_ports import Committed, LogMismatch
from runfold_services.decider import Decider, PartitionStatus
from tests.unit.services.kafka.parts import QUICK, Parts, until, with_parts

CREATED: Final = ["experiment.created", "run.created", "run.started"]


@with_parts
async def test_commands_are_handled_as_they_come(parts: Parts) -> None:
    decider = parts.decider()
    await decider.start()
    await parts.create_run()
    await parts.handled()
    await parts.tag("1", "2")
    await parts.send_garbage()
    await parts.handled()
    status = decider.status.of(0)
    await decider.stop()
    assert await parts.types() == [*CREATED, "run.tags_set", "run.tags_set", "command.unreadable"]
    assert (status.records, status.events, status.unreadable, status.lag) == (5, 6, 1, 0)
    noted = parts.group.committed.get(0)  # now and then, so it may be behind
    assert noted is None or (noted.offset <= 5 and noted.note == str(parts.store.epoch))


@with_parts
async def test_while_the_store_is_away_the_same_records_are_kept_and_asked_again(parts: Parts) -> None:
    decider, real = parts.decider(), parts.door.handle
    seen: list[tuple[int, int]] = []

    async def handle(records: Sequence[LogRecord], from_offset: int) -> Handled:
        seen.append((records[0].offset, from_offset))
        if len(seen) < 5:
            raise Unavailable("away")
        return await real(records, from_offset)

    parts.door.handle = handle  # type: ignore[method-assign]
    await parts.create_run()
    await decider.start()
    await parts.handled()
    await decider.stop()
    assert seen[:5] == [(0, 0)] * 5
    assert (decider.status.of(0).retries, decider.status.alarms) == (4, {})
    assert await parts.types() == CREATED


@with_parts
async def test_what_a_rival_did_is_passed_over(parts: Parts) -> None:
    decider, real = parts.decider(replace(QUICK, records_max=2)), parts.door.handle

    async def after_a_rival(records: Sequence[LogRecord], from_offset: int) -> Handled:
        if from_offset == 2:
            everything = [parts.commands.records[0][offset] for offset in range(from_offset, 6)]
            await real(everything, from_offset)
        return await real(records, from_offset)

    parts.door.handle = after_a_rival  # type: ignore[method-assign]
    await parts.create_run()
    await parts.tag("1", "2", "3", "4", "5", "6")
    await decider.start()
    await parts.handled()
    await decider.stop()
    assert (await parts.types()).count("run.tags_set") == 6
    assert decider.status.of(0).overtaken == 1


@with_parts
async def test_a_cursor_that_went_back_is_followed(parts: Parts) -> None:
    decider, real = parts.decider(), parts.door.handle
    calls: list[int] = []

    async def handle(records: Sequence[LogRecord], from_offset: int) -> Handled:
        calls.append(from_offset)
        if len(calls) == 1:
            raise CursorAhead("behind")
        return await real(records, from_offset)

    parts.door.handle = handle  # type: ignore[method-assign]
    await parts.create_run()
    await decider.start()
    await parts.handled()
    await decider.stop()
    assert calls[:2] == [0, 0]
    assert await parts.types() == CREATED


@with_parts
async def test_records_deleted_under_a_running_decider_are_recorded_as_lost(parts: Parts) -> None:
    decider, real = parts.decider(), parts.door.handle
    may_go_on = asyncio.Event()

    async def handle(records: Sequence[LogRecord], from_offset: int) -> Handled:
        await may_go_on.wait()
        return await real(records, from_offset)

    parts.door.handle = handle  # type: ignore[method-assign]
    await parts.create_run()
    await decider.start()
    await asyncio.sleep(0.05)
    await parts.tag("1", "2", "3", "4")
    parts.commands.drop_before(0, 5)
    may_go_on.set()
    await parts.handled()
    await decider.stop()
    (lost,) = [b for e in await parts.store.read(0, 0, 99) if isinstance(b := decode_event(e), LogLost)]
    assert (lost.first, lost.last) == (2, 4)
    assert await parts.types() == [*CREATED, "commands.lost", "run.tags_set"]
    assert (decider.status.of(0).alarms, decider.status.alarms) == (1, {})


@with_parts
async def test_a_log_replaced_under_a_running_decider_is_an_alarm_until_it_is_adopted(parts: Parts) -> None:
    decider = parts.decider()
    await parts.create_run()
    await decider.start()
    await parts.handled()
    parts.commands.recreate()

    async def has_alarm() -> bool:
        return decider.status.alarms == {0: "log_replaced"}

    await until(has_alarm)
    await parts.tag("1")
    await asyncio.sleep(0.1)
    assert await parts.types() == CREATED, "nothing is handled before somebody decided"
    await decider.stop()
    with pytest.raises(LogMismatch):
        await parts.decider().start()
    adopting = parts.decider(replace(QUICK, adopts_log=True))
    await adopting.start()
    await parts.handled(1)
    await adopting.stop()
    assert await parts.types() == [*CREATED, "commands.lost", "run.tags_set"]


@with_parts
async def test_an_error_that_nobody_foresaw_is_an_alarm_and_tried_again(parts: Parts) -> None:
    decider, real = parts.decider(), parts.door.handle
    calls: list[int] = []

    async def handle(records: Sequence[LogRecord], from_offset: int) -> Handled:
        calls.append(from_offset)
        if len(calls) < 3:
            raise RuntimeError("a bug")
        return await real(records, from_offset)

    parts.door.handle = handle  # type: ignore[method-assign]
    await parts.create_run()
    await decider.start()
    await parts.handled()
    await decider.stop()
    assert (decider.status.of(0).alarms, decider.status.alarms) == (2, {})


@with_parts
async def test_a_revoked_partition_may_finish_its_transaction_but_not_for_ever(parts: Parts) -> None:
    decider, real = parts.decider(), parts.door.handle
    waits_s = [0.05, 60.0]

    async def slowly(records: Sequence[LogRecord], from_offset: int) -> Handled:
        if waits_s:
            await asyncio.sleep(waits_s.pop(0))
        return await real(records, from_offset)

    parts.door.handle = slowly  # type: ignore[method-assign]
    loop = asyncio.get_running_loop()
    await parts.create_run()
    await decider.start()
    await asyncio.sleep(0.02)
    await decider.revoked()
    assert await parts.types() == CREATED, "it was let finish"
    await parts.tag("1")
    await parts.group.rebalance()
    await asyncio.sleep(0.02)
    began = loop.time()
    await decider.revoked()
    assert loop.time() - began < 1
    assert await parts.types() == CREATED, "it was cut off"
    await decider.stop()


@with_parts
async def test_members_take_over_from_each_other(parts: Parts) -> None:
    one, two = parts.decider(), parts.decider()
    await parts.create_run()
    await one.start()
    await two.start()
    await parts.tag("1")
    await parts.handled()
    await one.stop()
    await parts.tag("2")
    await parts.handled()
    await two.stop()
    assert (await parts.types()).count("run.tags_set") == 2


@with_parts
async def test_a_store_that_was_set_back_is_refused(parts: Parts) -> None:
    await parts.create_run()
    parts.group.committed[0] = Committed(2, str(parts.store.epoch))
    with pytest.raises(LogMismatch, match="ledger restored"):
        await parts.decider().start()
    parts.group.committed[0] = Committed(2, "an epoch before")
    decider = parts.decider()
    await decider.start()
    await parts.handled()
    await decider.stop()


@with_parts
async def test_a_note_that_cannot_be_made_disturbs_nobody(parts: Parts) -> None:
    class Mute(MemoryCommandSource):
        async def note_handled(self, offsets: object, note: str) -> None:
            raise Unavailable("no coordinator")

    decider = Decider(Mute(parts.group), parts.store, parts.door, parts.replies, QUICK)
    await decider.start()
    await parts.create_run()
    await parts.handled()
    await asyncio.sleep(0.05)
    await parts.tag("1")
    await parts.handled()
    await decider.stop()
    assert decider.status.alarms == {}


def test_a_lag_is_known_when_both_ends_are() -> None:
    assert PartitionStatus().lag is None
    assert PartitionStatus(next_offset=3, end=10).lag == 7
    assert PartitionStatus(next_offset=11, end=10).lag == 0
