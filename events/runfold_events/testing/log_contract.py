"""The contract suite of the log ports: what every source of commands and every sink of events does.

An adapter's test module holds a subclass whose name begins with ``Test`` and that says how to make logs.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Iterable
from contextlib import AbstractAsyncContextManager
from functools import wraps
from typing import Concatenate, Final, ParamSpec, Protocol, TypeVar, cast
from uuid import UUID, uuid4

import pytest

from runfold_events.contract import limits
from runfold_events.contract.cloudevents import Record, event_record
from runfold_events.contract.envelope import CHAIN_START, RecordedEvent
from runfold_events.contract.errors import LimitExceeded
from runfold_events.log_door import LogRecord
from runfold_events.log_ports import (
    Bounds,
    CommandSource,
    Committed,
    EventSink,
    LogMismatch,
    NotAssigned,
    OffsetGone,
    Published,
)
from runfold_events.ports import PartitionRow
from runfold_events.testing.builders import EventBuilder, stream_in

PARTITIONS: Final = 2
RECORDS_MAX: Final = 100
BYTES_MAX: Final = 1_000_000
WAIT_S: Final = 0.2
PATIENCE_S: Final = 20.0

P = ParamSpec("P")
S = TypeVar("S", bound="LogContract")


class Logs(Protocol):
    """A command log and an event log, both empty, with ``PARTITIONS`` partitions."""

    def source(self) -> CommandSource:
        """A new member of the group; the caller stops it."""
        ...

    def sink(self) -> EventSink:
        """A new sink; the caller stops it."""
        ...

    async def append(self, partition: int, records: Iterable[Record]) -> list[int]:
        """Put records into the command log, as any client may; returns their offsets."""
        ...

    async def append_event_record(self, partition: int, record: Record) -> None:
        """Put a record into the event log, as any client may."""
        ...

    async def events(self, partition: int) -> list[LogRecord]:
        """Everything in a partition of the event log."""
        ...


class Listener:
    """An owner that seeks all it gets to the beginning."""

    def __init__(self, source: CommandSource) -> None:
        self.source = source
        self.partitions: frozenset[int] = frozenset()
        self.told: list[frozenset[int] | None] = []  # None: revoked

    async def assigned(self, partitions: frozenset[int]) -> None:
        """See :class:`~runfold_events.log_ports.Owner`."""
        self.partitions = partitions
        self.told.append(partitions)

    async def revoked(self) -> None:
        """See :class:`~runfold_events.log_ports.Owner`."""
        self.partitions = frozenset()
        self.told.append(None)

    async def has(self, *partitions: int) -> None:
        """Wait until exactly these are assigned."""
        async with asyncio.timeout(PATIENCE_S):
            while self.partitions != frozenset(partitions):  # noqa: ASYNC110 - a test may poll
                await asyncio.sleep(0.01)


def record(number: int, size: int = 0) -> Record:
    """A record that can be told from others."""
    return Record(b"key%d" % number, b"value%d" % number + bytes(size), (("number", b"%d" % number),))


def driven(
    test: Callable[Concatenate[S, Logs, P], Coroutine[None, None, None]],
) -> Callable[Concatenate[S, P], None]:
    """Make a test of a coroutine that gets new logs."""

    @wraps(test)
    def run(self: S, /, *args: P.args, **kwargs: P.kwargs) -> None:
        async def body() -> None:
            async with self.logs() as logs:
                await test(self, logs, *args, **kwargs)

        self.drive(body())

    # pytest must not look for a fixture named "logs".
    del vars(run)["__wrapped__"]
    return cast(Callable[Concatenate[S, P], None], run)


class LogContract(ABC):
    """Everything that holds for any log."""

    @abstractmethod
    def logs(self) -> AbstractAsyncContextManager[Logs]:
        """New logs."""

    def drive(self, coroutine: Coroutine[None, None, None]) -> None:
        """Run a test's coroutine to its end."""
        asyncio.run(coroutine)

    # The command log

    @driven
    async def test_bounds_and_single_records(self, logs: Logs) -> None:
        source = logs.source()
        assert await source.bounds() == {0: Bounds(0, 0), 1: Bounds(0, 0)}
        await logs.append(1, [record(0), record(1)])
        found = await source.record_at(1, 1)
        assert await source.bounds() == {0: Bounds(0, 0), 1: Bounds(0, 2)}
        assert found is not None
        assert (found.partition, found.offset, found.key, found.value) == (1, 1, b"key1", b"value1")
        await source.stop()

    @driven
    async def test_records_come_whole_and_in_order_from_where_was_sought(self, logs: Logs) -> None:
        source = await self._member_of_all(logs)
        await logs.append(0, [record(number) for number in range(5)])
        source.seek(0, 2)
        found = await _fetch(source, 0, 3)
        assert [(r.offset, r.key, r.value, r.headers) for r in found] == [
            (n, b"key%d" % n, b"value%d" % n, (("number", b"%d" % n),)) for n in (2, 3, 4)
        ]
        assert await source.fetch(0, records_max=9, bytes_max=BYTES_MAX, wait_s=WAIT_S) == []
        source.seek(0, 0)
        assert [r.offset for r in await _fetch(source, 0, 5)] == [0, 1, 2, 3, 4]
        await source.stop()

    @driven
    async def test_a_fetch_waits_for_what_comes(self, logs: Logs) -> None:
        source = await self._member_of_all(logs)
        source.seek(1, 0)
        fetching = asyncio.ensure_future(
            source.fetch(1, records_max=9, bytes_max=BYTES_MAX, wait_s=PATIENCE_S)
        )
        await asyncio.sleep(WAIT_S)
        await logs.append(1, [record(7)])
        assert [r.value for r in await fetching] == [b"value7"]
        await source.stop()

    @driven
    async def test_records_and_bytes_of_one_fetch_are_bounded(self, logs: Logs) -> None:
        source = await self._member_of_all(logs)
        await logs.append(0, [record(number, 10_000) for number in range(20)])
        source.seek(0, 0)
        assert len(await source.fetch(0, records_max=3, bytes_max=BYTES_MAX, wait_s=PATIENCE_S)) == 3
        # Sizes are known by experience: it may take one fetch to learn them.
        assert len(await source.fetch(0, records_max=9, bytes_max=25_000, wait_s=PATIENCE_S)) <= 3
        assert len(await source.fetch(0, records_max=9, bytes_max=1, wait_s=PATIENCE_S)) == 1
        await source.stop()

    @driven
    async def test_a_null_value_is_a_record_too(self, logs: Logs) -> None:
        source = await self._member_of_all(logs)
        await logs.append(0, [Record(b"key", cast(bytes, None), ())])
        source.seek(0, 0)
        assert [(r.key, r.value) for r in await _fetch(source, 0, 1)] == [(b"key", None)]
        await source.stop()

    @driven
    async def test_an_offset_that_the_log_does_not_hold_is_said_so(self, logs: Logs) -> None:
        source = await self._member_of_all(logs)
        await logs.append(0, [record(0)])
        source.seek(0, 5)
        with pytest.raises(OffsetGone):
            await source.fetch(0, records_max=9, bytes_max=BYTES_MAX, wait_s=PATIENCE_S)
        source.seek(0, 0)
        assert [r.offset for r in await _fetch(source, 0, 1)] == [0]
        await source.stop()

    @driven
    async def test_nothing_is_given_before_it_is_sought(self, logs: Logs) -> None:
        await logs.append(0, [record(0)])
        source = await self._member_of_all(logs)
        with pytest.raises(NotAssigned):
            await source.fetch(0, records_max=9, bytes_max=BYTES_MAX, wait_s=WAIT_S)
        await source.stop()

    @driven
    async def test_members_divide_the_partitions(self, logs: Logs) -> None:
        await logs.append(0, [record(0)])
        await logs.append(1, [record(1)])
        one, two = logs.source(), logs.source()
        first, second = Listener(one), Listener(two)
        await one.start(first)
        await first.has(0, 1)
        one.seek(0, 0)
        one.seek(1, 0)
        await two.start(second)
        async with asyncio.timeout(PATIENCE_S):
            while [len(first.partitions), len(second.partitions)] != [1, 1]:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert first.partitions | second.partitions == {0, 1}
        assert None in first.told, "told of the loss before what came after it"
        (lost,) = second.partitions
        for partition in (0, 1):  # also the one that it has again: its position is not what it was
            with pytest.raises(NotAssigned):
                await one.fetch(partition, records_max=9, bytes_max=BYTES_MAX, wait_s=WAIT_S)
        with pytest.raises(NotAssigned):
            one.seek(lost, 0)
        with pytest.raises(NotAssigned):
            await one.note_handled({lost: 1}, "note")
        await two.stop()
        await first.has(0, 1)
        await one.stop()

    @driven
    async def test_what_was_noted_is_found_by_others(self, logs: Logs) -> None:
        source = await self._member_of_all(logs)
        await logs.append(1, [record(0), record(1)])
        await source.note_handled({1: 2}, "an epoch")
        other = logs.source()
        assert await other.committed() == {1: Committed(2, "an epoch")}
        await other.stop()
        await source.stop()
        await source.stop()

    async def _member_of_all(self, logs: Logs) -> CommandSource:
        source = logs.source()
        owner = Listener(source)
        await source.start(owner)
        await owner.has(*range(PARTITIONS))
        return source

    # The event log

    @driven
    async def test_events_are_published_in_order_and_the_last_is_known(self, logs: Logs) -> None:
        sink, events = logs.sink(), some_events(5)
        assert await sink.last(0) is None
        await sink.publish(0, events[:3])
        await sink.publish(0, events[3:])
        published = [Record(r.key or b"", r.value or b"", r.headers) for r in await logs.events(0)]
        assert published == [event_record(event) for event in events]
        assert await sink.last(0) == Published(4, events[4].epoch, events[4].id)
        assert await sink.last(1) is None
        await sink.stop()
        await sink.stop()

    @driven
    async def test_an_event_that_is_too_large_stops_all_of_its_call(self, logs: Logs) -> None:
        sink = logs.sink()
        events = some_events(2, body=bytes(limits.EVENT_BYTES_MAX))
        with pytest.raises(LimitExceeded):
            await sink.publish(0, [*some_events(1), *events])
        assert await sink.last(0) is None
        await sink.publish(0, some_events(1, body=bytes(limits.EVENT_BYTES_MAX - 4_096)))
        assert await sink.last(0) is not None
        await sink.stop()

    @driven
    async def test_records_of_others_are_passed_over_or_refused(self, logs: Logs) -> None:
        sink, events = logs.sink(), some_events(1)
        await logs.append_event_record(1, record(0))
        with pytest.raises(LogMismatch):
            await sink.last(1)
        await sink.publish(0, events)
        await logs.append_event_record(0, record(0))
        assert await sink.last(0) == Published(0, events[0].epoch, events[0].id)
        await sink.stop()


async def _fetch(source: CommandSource, partition: int, count: int) -> list[LogRecord]:
    found: list[LogRecord] = []
    async with asyncio.timeout(PATIENCE_S):
        while len(found) < count:
            found += await source.fetch(
                partition, records_max=RECORDS_MAX, bytes_max=BYTES_MAX, wait_s=PATIENCE_S
            )
    return found


def some_events(count: int, *, body: bytes = b"{}", epoch: UUID | None = None) -> list[RecordedEvent]:
    """Events of partition 0, from position 0 on."""
    build = EventBuilder(epoch or uuid4())
    stream = stream_in(0, PARTITIONS)
    return build.place(PartitionRow(0, 0, 0, CHAIN_START, 1), build.events(stream, count, body=body))
