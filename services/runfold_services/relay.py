"""The relay: events from the store onto the event log, in order, at least once.

The store's positions are the outbox. One relay at a time serves a partition, by a lease; one that does not know yet
that its lease ended only repeats what consumers drop by position. It resumes after the topic's last event, since what
the topic holds is the truth about what was published.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final
from uuid import UUID, uuid4

import structlog
from msgspec import Struct, field

from runfold_events.contract.errors import LimitExceeded, RunfoldError, Unavailable
from runfold_events.log_ports import EventSink, LogMismatch, LogStore
from runfold_services.log_checks import resume_position
from runfold_services.tally import ITEMS, Distribution
from runfold_services.tasks import end_tasks

ROLE: Final = "relay"
STUCK: Final = "stuck"

_log = structlog.stdlib.get_logger(__name__)


class RelaySettings(Struct, frozen=True, kw_only=True):
    """Bounds of one relay. It holds at most partitions times ``bytes_max``."""

    events_max: int = 1_000  # of one batch
    bytes_max: int = 4 * 1024 * 1024
    lease_s: float = 10.0  # a partition of a relay that is gone waits so long
    poll_s: float = 0.01  # the store is asked so often for news of all partitions together …
    poll_s_max: float = 0.05  # … and only so often where it has none for a while, or many
    retry_s_min: float = 0.1
    retry_s_max: float = 5.0
    check_again_s: float = 5.0

    def pause_s(self, found: int, paused_s: float) -> float:
        """How long to wait after a look that found ``found`` new events and came ``paused_s`` after the one before.

        The faster events come, the more of them a look finds, and the more of them are read and sent together.
        """
        return min(found * self.poll_s if found else 1.1 * paused_s, self.poll_s_max)


class Publication(Struct, kw_only=True):
    """What a relay knows of a partition that it serves, for metrics and health."""

    next_pos: int | None = None
    end: int | None = None  # of the store
    events: int = 0
    retries: int = 0
    last_recorded_at: int | None = None  # µs, of the last event that was published here
    alarm: str | None = None
    alarms: int = 0

    @property
    def lag(self) -> int | None:
        """Positions that are not published yet."""
        return None if self.next_pos is None or self.end is None else max(0, self.end - self.next_pos)

    def lag_s(self, now_s: float) -> float | None:
        """How long ago the last published event was recorded while others wait behind it; 0 when none does."""
        if not self.lag:
            return None if self.lag is None else 0.0
        return None if self.last_recorded_at is None else max(0.0, now_s - self.last_recorded_at / 1_000_000)


class RelayStatus(Struct):
    """By partition; a partition stays once it was served, so that counts never go back."""

    partitions: dict[int, Publication] = field(default_factory=dict)
    served: frozenset[int] = frozenset()
    batches: Distribution = field(default_factory=lambda: Distribution(ITEMS))  # events of one publication

    def of(self, partition: int) -> Publication:
        """The status of ``partition``."""
        return self.partitions.setdefault(partition, Publication())

    @property
    def alarms(self) -> dict[int, str]:
        """Partitions of which something is wrong, and what."""
        return {number: p.alarm for number, p in sorted(self.partitions.items()) if p.alarm is not None}


class Relay:
    """Publishes the partitions that it has a lease on."""

    def __init__(
        self,
        store: LogStore,
        sink: EventSink,
        settings: RelaySettings | None = None,
        member: UUID | None = None,
    ) -> None:
        self.status = RelayStatus()
        self._store = store
        self._sink = sink
        self._settings = settings or RelaySettings()
        self._member = member or uuid4()
        self._workers: dict[int, asyncio.Task[None]] = {}
        self._news: dict[int, asyncio.Event] = {}
        self._woken = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Check all partitions, then take a share of them.

        Raises:
            LogMismatch: store and topic do not belong together; nothing was published.
            Unavailable: one of them does not answer.
        """
        for partition in range(self._store.partitions):
            await self._resume(partition)
        await self._share()
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._share_forever()), loop.create_task(self._watch())]

    async def stop(self) -> None:
        """End, and let others have the partitions at once."""
        tasks, self._tasks = self._tasks, []
        await end_tasks(tasks)
        await self._serve_only(frozenset())
        try:
            with contextlib.suppress(RunfoldError):
                await self._store.leave_role(ROLE, self._member)
        finally:
            await self._sink.stop()

    def wake(self) -> None:
        """A hint that the store has news."""
        self._woken.set()

    # Leases

    async def _share_forever(self) -> None:
        while True:
            await asyncio.sleep(self._settings.lease_s / 3)
            try:
                await self._share()
            except RunfoldError as error:
                _log.warning("lease not renewed", why=error.message)

    async def _share(self) -> None:
        lease_us = round(self._settings.lease_s * 1_000_000)
        await self._serve_only(await self._store.share_partitions(ROLE, self._member, lease_us))

    async def _serve_only(self, partitions: frozenset[int]) -> None:
        """Start and end the tasks of partitions, so that those of ``partitions`` run."""
        await end_tasks([self._workers.pop(number) for number in set(self._workers) - partitions])
        for number in partitions - set(self._workers):
            self._news[number] = asyncio.Event()
            self._workers[number] = asyncio.get_running_loop().create_task(self._serve(number))
        self.status.served = partitions

    # News

    async def _watch(self) -> None:
        """Ask the store for all partitions' ends at once, and wake those that have news."""
        settings = self._settings
        wait_s, known = settings.poll_s, 0
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._woken.wait()
            self._woken.clear()
            try:
                ends = await self._store.ends()
            except RunfoldError as error:
                _log.warning("the store does not answer", why=error.message)
                wait_s = settings.retry_s_min
                continue
            for number in self._workers:
                status = self.status.of(number)
                status.end = ends[number]
                if status.lag:
                    self._news[number].set()
            found, known = sum(ends) - known, sum(ends)
            wait_s = settings.pause_s(found, wait_s)

    # One partition

    async def _resume(self, partition: int) -> int:
        """Where the partition's publication goes on."""
        last = await self._sink.last(partition)
        noted = (await self._store.published())[partition]
        return await resume_position(self._store, partition, last, noted=noted)

    async def _serve(self, partition: int) -> None:
        """Publish a partition until its lease is another's, whatever goes wrong meanwhile."""
        settings = self._settings
        status = self.status.of(partition)
        wait_s = settings.retry_s_min
        while True:
            try:
                status.next_pos = await self._resume(partition)
                status.alarm = None
                while True:
                    if status.lag:
                        await self._publish(partition, status)
                        wait_s = settings.retry_s_min
                    else:
                        await self._news[partition].wait()
                        self._news[partition].clear()
            except Unavailable as error:
                status.retries += 1
                _log.warning("waiting", partition=partition, why=error.message)
            except LogMismatch as error:
                self._alarm(partition, error.code, error.message)
                wait_s = settings.check_again_s
            except LimitExceeded as error:
                self._alarm(
                    partition, STUCK, f"position {status.next_pos} cannot be published: {error.message}"
                )
                wait_s = settings.check_again_s
            except Exception as error:
                self._alarm(partition, STUCK, f"{type(error).__name__}: {error}")
                wait_s = settings.check_again_s
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, settings.retry_s_max)

    async def _publish(self, partition: int, status: Publication) -> None:
        """Publish what the store has from the next position on, which is before its end."""
        settings = self._settings
        next_pos = status.next_pos or 0
        events = await self._store.read_within(partition, next_pos, settings.events_max, settings.bytes_max)
        if not events or events[0].pos != next_pos or events[-1].pos != next_pos + len(events) - 1:
            raise LogMismatch(
                f"partition {partition} of the store has no position {next_pos}, but later ones: it is damaged",
                code="ledger_damaged",
                facts={"partition": partition, "pos": next_pos},
            )
        await self._sink.publish(partition, events)
        status.next_pos = events[-1].pos + 1
        status.events += len(events)
        status.last_recorded_at = events[-1].recorded_at
        self.status.batches.add(len(events))
        await self._store.note_published(partition, status.next_pos)

    def _alarm(self, partition: int, code: str, message: str) -> None:
        status = self.status.of(partition)
        status.alarm = code
        status.alarms += 1
        _log.error("partition alarm", partition=partition, code=code, message=message)
