"""The decider: commands from the log into the ledger, exactly once, by the store's own cursor.

A group divides the partitions; each has one task here, which reads on from the cursor, hands what has come to the log's
door, and only then reads more. Whatever the group believes, the cursor decides: a decider that was late, or stopped
while another took over, finds it moved and goes on from there. What Kafka keeps as committed offset is a gauge.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, Final

import structlog
from msgspec import Struct, field

from runfold_events.contract.errors import RunfoldError, Unavailable
from runfold_events.log_door import CursorAhead, Handled, LogDoor, LogRecord
from runfold_events.log_ports import CommandSource, LogMismatch, LogStore, NotAssigned, OffsetGone, ReplySink
from runfold_events.ports import PartitionRow
from runfold_services.log_checks import REPLACED, CommandLog, check_commands, marked_offset
from runfold_services.tally import ITEMS, Distribution
from runfold_services.tasks import end_tasks

OVERTAKEN: Final = "log_overtaken"
STUCK: Final = "stuck"

_log = structlog.stdlib.get_logger(__name__)


class DeciderSettings(Struct, frozen=True, kw_only=True):
    """Bounds of one decider. It holds about partitions times (``bytes_max`` + what its source fetches ahead)."""

    records_max: int = 1_000  # of one transaction
    bytes_max: int = 4 * 1024 * 1024
    # While one partition's transaction waits for the store, others compute. If all of them did, a transaction would
    # stand idle until all had had their turn, which the store takes for a stopped owner.
    batches_at_once: int = 4
    fetch_wait_s: float = 1.0
    drain_s: float = 2.0  # how long a revoked partition's transaction may take to end by itself
    retry_s_min: float = 0.05
    retry_s_max: float = 2.0
    check_again_s: float = 5.0  # a partition that cannot be served is looked at again
    note_interval_s: float = 2.0  # of the gauge in Kafka
    adopts_log: bool = False  # see KafkaSettings


class PartitionStatus(Struct, kw_only=True):
    """What a decider knows of a partition that it serves, for metrics and health."""

    next_offset: int | None = None
    end: int | None = None
    records: int = 0
    events: int = 0
    unreadable: int = 0
    overtaken: int = 0  # how often another decider had moved the cursor
    retries: int = 0
    gaps: int = 0  # jumps in writers' numbers
    last_timestamp_ms: int | None = None  # of the last record that was handled here
    alarm: str | None = None  # the code of what is wrong
    alarms: int = 0

    @property
    def lag(self) -> int | None:
        """Offsets between the cursor and the log's end, as last heard."""
        return None if self.next_offset is None or self.end is None else max(0, self.end - self.next_offset)

    def lag_s(self, now_ms: float) -> float | None:
        """How old the last handled record is while others wait behind it; 0 when none does."""
        if not self.lag:
            return None if self.lag is None else 0.0
        return None if self.last_timestamp_ms is None else max(0.0, (now_ms - self.last_timestamp_ms) / 1_000)


class DeciderStatus(Struct):
    """By partition; a partition stays once it was served, so that counts never go back."""

    partitions: dict[int, PartitionStatus] = field(default_factory=dict)
    assigned: frozenset[int] = frozenset()
    outcomes: Counter[str] = field(default_factory=Counter)  # commands: "accepted", or a refusal's code
    batches: Distribution = field(default_factory=lambda: Distribution(ITEMS))  # records of one transaction

    def of(self, partition: int) -> PartitionStatus:
        """The status of ``partition``."""
        return self.partitions.setdefault(partition, PartitionStatus())

    @property
    def alarms(self) -> dict[int, str]:
        """Partitions of which something is wrong, and what."""
        return {number: p.alarm for number, p in sorted(self.partitions.items()) if p.alarm is not None}


class Decider:
    """Serves the partitions that its source is assigned."""

    def __init__(
        self,
        source: CommandSource,
        store: LogStore,
        door: LogDoor,
        replies: ReplySink,
        settings: DeciderSettings | None = None,
    ) -> None:
        self.status = DeciderStatus()
        self._source = source
        self._store = store
        self._door = door
        self._replies = replies
        self._settings = settings or DeciderSettings()
        self._at_once = asyncio.Semaphore(self._settings.batches_at_once)
        self._workers: dict[int, _Worker] = {}
        self._noting: asyncio.Task[None] | None = None
        self._noted: dict[int, int] = {}

    async def start(self) -> None:
        """Check all partitions, then join the group.

        Raises:
            LogMismatch: store and log do not belong together; nothing was handled.
            Unavailable: one of them does not answer.
        """
        for partition in range(self._store.partitions):
            await self._check(*await self._look(partition))
        await self._replies.start()
        await self._source.start(self)
        self._noting = asyncio.get_running_loop().create_task(self._note_forever())

    async def stop(self) -> None:
        """Finish the transactions that are under way, within the bound; leave the group."""
        noting, self._noting = self._noting, None
        await self.revoked()
        if noting is not None:
            await end_tasks([noting])
        try:
            await self._source.stop()
        finally:
            await self._replies.stop()

    # What the source tells

    async def assigned(self, partitions: frozenset[int]) -> None:
        """See :class:`~runfold_events.log_ports.Owner`."""
        await self.revoked()
        self.status.assigned = partitions
        _log.info("partitions assigned", partitions=sorted(partitions))
        for partition in partitions:
            self._workers[partition] = _Worker(partition, self._serve)

    async def revoked(self) -> None:
        """See :class:`~runfold_events.log_ports.Owner`."""
        workers, self._workers = list(self._workers.values()), {}
        self.status.assigned = frozenset()
        if workers:
            await asyncio.gather(*(worker.end(self._settings.drain_s) for worker in workers))

    # One partition

    async def _serve(self, worker: _Worker) -> None:
        """Serve a partition until it is revoked, whatever goes wrong meanwhile."""
        wait_s = self._settings.retry_s_min
        while True:
            try:
                offset = await self._begin(worker.partition)
                wait_s = self._settings.retry_s_min
                while not worker.is_ending:
                    offset = await self._step(worker, offset)
                return
            except (CursorAhead, OffsetGone) as error:
                _log.warning("reading again from the cursor", partition=worker.partition, why=error.message)
            except NotAssigned:
                return
            except Unavailable as error:
                _log.warning("waiting", partition=worker.partition, why=error.message)
            except LogMismatch as error:
                self._alarm(worker.partition, error.code, error.message)
                wait_s = self._settings.check_again_s
            except Exception as error:
                self._alarm(worker.partition, STUCK, f"{type(error).__name__}: {error}")
                wait_s = self._settings.check_again_s
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, self._settings.retry_s_max)

    async def _begin(self, partition: int) -> int:
        """Check the partition and go to its cursor."""
        row, log = await self._look(partition)
        offset = await self._check(row, log)
        status = self.status.of(partition)
        status.alarm, status.next_offset = None, offset
        self._source.seek(partition, offset)
        if log.committed is not None and log.committed.offset > offset:
            # The cursor went back, as was decided. A note from before must not look like a store that was set back.
            await self._note({partition: offset})
        return offset

    async def _step(self, worker: _Worker, offset: int) -> int:
        """Fetch what has come and have it handled; returns where to go on."""
        settings = self._settings
        status = self.status.of(worker.partition)
        records = await self._source.fetch(
            worker.partition,
            records_max=settings.records_max,
            bytes_max=settings.bytes_max,
            wait_s=settings.fetch_wait_s,
        )
        status.end = self._source.end_hint(worker.partition)
        if not records:
            return offset
        with worker.busy:
            handled = await self._handle(worker.partition, records, offset)
        self._replies.offer(handled.replies)
        status.next_offset = handled.next_offset
        status.records += handled.records
        status.events += handled.events
        status.unreadable += handled.unreadable
        status.gaps += handled.gaps
        status.last_timestamp_ms = records[-1].timestamp_ms
        self.status.outcomes.update(handled.outcomes)
        self.status.batches.add(len(records))
        if not handled.records:
            status.overtaken += 1
        if handled.next_offset != records[-1].offset + 1:
            self._source.seek(worker.partition, handled.next_offset)
        return handled.next_offset

    async def _handle(self, partition: int, records: list[LogRecord], offset: int) -> Handled:
        """Have records handled, however often the store has to be asked."""
        wait_s = self._settings.retry_s_min
        while True:
            try:
                async with self._at_once:
                    return await self._door.handle(records, offset)
            except Unavailable as error:
                self.status.of(partition).retries += 1
                _log.warning("the store does not answer", partition=partition, why=error.message)
            # Rivals that were refused together should not come back together.
            await asyncio.sleep(wait_s * random.uniform(0.5, 1.0))
            wait_s = min(2 * wait_s, self._settings.retry_s_max)

    # Checks

    async def _look(self, partition: int) -> tuple[PartitionRow, CommandLog]:
        """What a check compares.

        What the group noted is read before the cursor, and the cursor before the log's end: so a cursor that moves
        meanwhile seems neither behind the one nor beyond the other.
        """
        committed = (await self._source.committed()).get(partition)
        row = (await self._store.rows())[partition]
        bounds = (await self._source.bounds())[partition]
        offset = marked_offset(row, bounds)
        record = None if offset is None else await self._source.record_at(partition, offset)
        return row, CommandLog(bounds, record, committed)

    async def _check(self, row: PartitionRow, log: CommandLog) -> int:
        """Compare cursor and log, and record what is lost; returns where to go on."""
        try:
            overtaken = check_commands(row, log, self._store.epoch)
        except LogMismatch as error:
            if error.code != REPLACED or not self._settings.adopts_log:
                raise
            return await self._adopt(row, log, error)
        if overtaken is None:
            return row.next_offset
        message = f"offsets {overtaken.first} to {overtaken.last} were deleted before they were handled"
        self._alarm(row.partition, OVERTAKEN, message)
        return await self._lose(row, overtaken.first, overtaken.last, message, log.bounds.begin)

    async def _adopt(self, row: PartitionRow, log: CommandLog, error: LogMismatch) -> int:
        """Go on with a log that is not the one the store knows, from its first record."""
        message = (
            f"{error.message.partition('.')[0]}. Whatever that log held from offset {row.next_offset} on is lost; "
            f"the present one is handled from offset {log.bounds.begin}"
        )
        self._alarm(row.partition, REPLACED, message)
        return await self._lose(row, row.next_offset, row.next_offset - 1, message, log.bounds.begin)

    async def _lose(self, row: PartitionRow, first: int, last: int, reason: str, next_offset: int) -> int:
        recorded = await self._door.record_loss(
            row.partition,
            first=first,
            last=last,
            reason=reason,
            from_offset=row.next_offset,
            next_offset=next_offset,
        )
        if not recorded:
            raise CursorAhead(f"partition {row.partition}: another decider has moved the cursor")
        return next_offset

    def _alarm(self, partition: int, code: str, message: str) -> None:
        status = self.status.of(partition)
        status.alarm = code
        status.alarms += 1
        _log.error("partition alarm", partition=partition, code=code, message=message)

    # The gauge

    async def _note_forever(self) -> None:
        while True:
            await asyncio.sleep(self._settings.note_interval_s)
            await self._note(
                {
                    number: status.next_offset
                    for number, status in self.status.partitions.items()
                    if number in self.status.assigned and status.next_offset is not None
                }
            )

    async def _note(self, offsets: dict[int, int]) -> None:
        """Tell Kafka how far the partitions are handled. Nobody depends on it, so no error matters."""
        news = {number: offset for number, offset in offsets.items() if self._noted.get(number) != offset}
        try:
            if news:
                await self._source.note_handled(news, str(self._store.epoch))
                self._noted |= news
        except RunfoldError as error:
            _log.debug("lag not noted", why=error.message)


class _Worker:
    """The task of one partition. While it waits for records it may be ended at once; a transaction may finish."""

    def __init__(self, partition: int, serve: Callable[[_Worker], Coroutine[Any, Any, None]]) -> None:
        self.partition = partition
        self.is_ending = False
        self.busy = _Busy()
        self._task = asyncio.get_running_loop().create_task(serve(self))

    async def end(self, drain_s: float) -> None:
        """End the task; wait for what it is busy with, ``drain_s`` at most."""
        self.is_ending = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(drain_s):
                await self.busy.over.wait()
        await end_tasks([self._task])


class _Busy:
    """What must not be cut short, if that can be."""

    def __init__(self) -> None:
        self.over = asyncio.Event()
        self.over.set()

    def __enter__(self) -> None:
        self.over.clear()

    def __exit__(self, *_: object) -> None:
        self.over.set()
