"""What a relay does when its topic or its store behaves badly."""

from __future__ import annotations

import asyncio
from uuid import UUID, uuid4

import pytest

from runfold_events.buses.memory import MemoryEventSink
from runfold_events.contract.cloudevents import event_record
from runfold_events.contract.envelope import PublicEvent, RecordedEvent
from runfold_events.contract.errors import Unavailable
from runfold_events.contract.events import StoreRestored
from runfold_events.ids_source import SystemIds
from runfold_events.log_ports import LogMismatch, Published
from runfold_events.work import Work
from runfold_services.log_checks import resume_position
from runfold_services.relay import Relay, RelaySettings
from tests.unit.services.kafka.parts import QUICK_RELAY, Parts, until, with_parts


async def fill(parts: Parts, count: int) -> list[RecordedEvent]:
    """Events in the store."""
    decider = parts.decider()
    await decider.start()
    await parts.create_run()
    await parts.tag(*(str(number) for number in range(count)))
    await parts.handled()
    await decider.stop()
    return await parts.store.read(0, 0, 1_000)


async def published(parts: Parts) -> None:
    async def is_all() -> bool:
        return (parts.store.noted,) == await parts.store.ends()

    await until(is_all)


def positions(parts: Parts) -> list[int]:
    """What the topic holds."""
    return [int(dict(record.headers)["ce_sequence"]) for record in parts.events.records[0].values()]


@with_parts
async def test_everything_is_published_once_and_in_order(parts: Parts) -> None:
    events = await fill(parts, 20)
    relay = Relay(parts.store, parts.sink(), QUICK_RELAY)
    await relay.start()
    await published(parts)
    more = await fill(parts, 4)
    relay.wake()
    await published(parts)
    await relay.stop()
    assert positions(parts) == list(range(len(more)))
    assert len(more) > len(events)
    assert parts.store.members == 0, "others may have the partitions at once"
    assert (relay.status.of(0).lag, relay.status.of(0).events) == (0, len(more))


@with_parts
async def test_the_store_is_read_only_where_it_has_news(parts: Parts) -> None:
    events, reads, looks = await fill(parts, 20), 0, 0
    whole, ends = parts.store.read_within, parts.store.ends

    async def counted(partition: int, from_pos: int, events_max: int, bytes_max: int) -> list[RecordedEvent]:
        nonlocal reads
        reads += 1
        return await whole(partition, from_pos, events_max, bytes_max)

    async def looked() -> tuple[int, ...]:
        nonlocal looks
        looks += 1
        return await ends()

    parts.store.read_within, parts.store.ends = counted, looked  # type: ignore[method-assign]
    relay = Relay(parts.store, parts.sink(), QUICK_RELAY)
    await relay.start()

    async def has_looked_again() -> bool:
        return parts.store.noted == len(events) and looks > 10

    await until(has_looked_again)
    await relay.stop()
    assert reads == -(-len(events) // QUICK_RELAY.events_max)


def test_looks_are_the_farther_apart_the_more_they_find() -> None:
    settings = RelaySettings(poll_s=0.01, poll_s_max=0.05)
    assert [settings.pause_s(found, 0.05) for found in (1, 3, 5, 1_000)] == [0.01, 0.03, 0.05, 0.05]
    paused = [0.01]
    while paused[-1] < 0.05:
        paused.append(settings.pause_s(0, paused[-1]))
    assert (len(paused), paused) == (18, sorted(paused))


@with_parts
async def test_a_record_that_fails_is_never_passed(parts: Parts) -> None:
    events = await fill(parts, 20)
    failures = [Unavailable("gone"), RuntimeError("a bug"), Unavailable("gone again")]

    def fail(event: PublicEvent) -> None:
        if event.pos == 7 and failures:
            raise failures.pop(0)

    relay = Relay(parts.store, MemoryEventSink(parts.events, fail), QUICK_RELAY)
    await relay.start()
    await published(parts)
    await relay.stop()
    assert positions(parts) == list(range(len(events)))
    status = relay.status.of(0)
    assert (status.retries, status.alarms, status.alarm) == (2, 1, None)


@with_parts
async def test_a_hole_in_the_store_is_an_alarm_and_nothing_beyond_it_is_published(parts: Parts) -> None:
    events = await fill(parts, 20)
    whole = parts.store.read_within

    async def holed(partition: int, from_pos: int, events_max: int, bytes_max: int) -> list[RecordedEvent]:
        found = await whole(partition, from_pos, events_max, bytes_max)
        return [event for event in found if event.pos != 10]

    parts.store.read_within = holed  # type: ignore[method-assign]
    relay = Relay(parts.store, parts.sink(), QUICK_RELAY)
    await relay.start()

    async def has_alarm() -> bool:
        return relay.status.alarms == {0: "ledger_damaged"}

    await until(has_alarm)
    await relay.stop()
    assert positions(parts) == list(range(10))
    assert len(events) > 11


@with_parts
async def test_while_the_store_is_away_the_relay_waits(parts: Parts) -> None:
    relay, real = Relay(parts.store, parts.sink(), QUICK_RELAY), parts.store.ends
    await relay.start()
    calls: list[int] = []

    async def ends() -> tuple[int, ...]:
        calls.append(1)
        if len(calls) < 4:
            raise Unavailable("away")
        return await real()

    await fill(parts, 3)
    parts.store.ends = ends  # type: ignore[method-assign]

    async def is_published() -> bool:
        return len(calls) > 3 and parts.store.noted == (await real())[0]

    await until(is_published)
    await relay.stop()
    assert relay.status.alarms == {}


# Where to go on


async def resume(parts: Parts, last: Published | None, *, noted: int = 3) -> int:
    return await resume_position(parts.store, 0, last, noted=noted)


@with_parts
async def test_the_topics_last_event_says_where_to_go_on(parts: Parts) -> None:
    events = await fill(parts, 10)
    epoch = parts.store.epoch
    assert await resume(parts, None) == 3
    assert await resume(parts, Published(5, epoch, events[5].id)) == 6
    assert await resume(parts, Published(len(events) - 1, epoch, events[-1].id)) == len(events)


@pytest.mark.parametrize("pos", [5, 99])
def test_a_topic_that_says_what_the_store_does_not_is_refused(pos: int) -> None:
    async def body() -> None:
        parts = Parts()
        await fill(parts, 10)
        with pytest.raises(LogMismatch) as caught:
            await resume(parts, Published(pos, parts.store.epoch, uuid4()))
        assert caught.value.code == "store_restored"
        with pytest.raises(LogMismatch) as caught:
            await resume(parts, Published(pos, uuid4(), uuid4()))
        assert caught.value.code == "log_replaced"
        await parts.store.close()

    asyncio.run(body())


@with_parts
async def test_after_a_restore_it_goes_on_where_the_store_was_restored(parts: Parts) -> None:
    """The topic's last event is void, and of the epoch that ended there; several may have ended since."""
    await fill(parts, 10)
    first, second = UUID(int=1), UUID(int=2)
    ended: dict[UUID, int] = {}
    for epoch in (first, second):
        async with parts.store.transaction(0) as transaction:
            loaded = await transaction.load({"_system/0"}, ())
            work = Work(parts.store.epoch, transaction.row, loaded, SystemIds(), {})
            ended[epoch] = transaction.row.next_pos
            work.append_system("_system/0", StoreRestored(previous_epoch=epoch), uuid4(), None)
            await transaction.write(work.write())
        await fill(parts, 3)
    assert await resume(parts, Published(50, first, uuid4())) == ended[first]
    assert await resume(parts, Published(50, second, uuid4())) == ended[second]
    events = await parts.store.read(0, 0, 99)
    known = Published(2, first, events[2].id)  # an event of that epoch which the backup had
    assert await resume(parts, known) == 3


def test_a_system_event_belongs_to_no_workspace() -> None:
    async def body() -> None:
        parts = Parts()
        decider = parts.decider()
        await decider.start()
        await parts.send_garbage()
        await parts.handled()
        await decider.stop()
        (event,) = await parts.store.read(0, 0, 9)
        headers = dict(event_record(event).headers)
        assert (headers["ce_source"], headers["ce_subject"]) == (b"/system", b"0")
        assert headers["ce_type"] == b"dev.runfold.command.unreadable.v1"
        await parts.store.close()

    asyncio.run(body())
