"""Proof that a ledger still says what it said: every digest, every link of the chain, every number, every end.

The check reads one snapshot, so it may run while others write. It works with bounded memory (erasures apart, of which
there are few) and reads every event twice: once in commit order, once stream by stream.

What it cannot see by itself is a ledger rewritten as a whole with a new chain. Keep :attr:`Report.ends` and
:attr:`Report.chain_heads` elsewhere and compare: a later check must find the same chain value at the same position.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Final, Protocol

from msgspec import Struct

from runfold_events.contract.envelope import CHAIN_START, Damage, LedgerDamaged, RecordedEvent, check_events

BATCH_EVENTS: Final = 500
DAMAGE_MAX: Final = 1_000  # places that are named; a report is for people

Progress = Callable[[int, int], None]  # events checked so far, events to check


class End(Struct, frozen=True):
    """What a partition's row says about its end."""

    next_pos: int
    chain_head: bytes


class StoredEvent(Struct, frozen=True):
    """What the store keeps at one position, readable or not."""

    pos: int  # by the store's key, whatever the event itself says
    event: RecordedEvent | None  # None: cannot be read
    chain: bytes = b""  # as stored, so that the check can go on after an unreadable event


class StreamNumber(Struct, frozen=True):
    """Where one number of a stream lies."""

    stream: str
    stream_seq: int
    partition: int
    pos: int


class Audit(Protocol):
    """A snapshot of a store, read as it is: holes and damage are returned, not raised."""

    async def end(self, partition: int) -> End | None:
        """The end by the partition's row; None when there is no such row."""
        ...

    async def events(self, partition: int, from_pos: int, events_max: int) -> list[StoredEvent]:
        """What is stored from ``from_pos`` on, in order of position."""
        ...

    async def stream_numbers(self, after: tuple[str, int], rows_max: int) -> list[StreamNumber]:
        """Numbers of all streams after ``(stream, stream_seq)``, in that order."""
        ...

    async def erasures(self) -> Mapping[str, int]:
        """Position of the last ``run.erased`` of each stream that has one."""
        ...

    async def findings(self) -> list[str]:
        """What the engine itself finds wrong, and what is missing of the schema."""
        ...


class Auditable(Protocol):
    """A store that can be checked."""

    @property
    def partitions(self) -> int: ...

    def audit(self) -> AbstractAsyncContextManager[Audit]:
        """One snapshot, held as long as the context lasts."""
        ...


class Report(Struct, frozen=True, kw_only=True):
    """The result of a check."""

    events: int  # that were read
    ends: tuple[int, ...]  # by partition, exclusive
    chain_heads: tuple[bytes, ...]  # chain value of the event before each end
    damage: tuple[Damage, ...]  # at most DAMAGE_MAX places
    findings: tuple[str, ...]  # what has no place: schema, files, heads
    is_cut: bool = False  # there was more damage than is named

    @property
    def is_sound(self) -> bool:
        """True when nothing at all was found."""
        return not self.damage and not self.findings


async def check_ledger(store: Auditable, progress: Progress | None = None) -> Report:
    """Check everything that ``store`` holds; see the module for what that proves.

    Args:
        store: the store, which may be in use.
        progress: called now and then with the number of events checked and to check.
    """
    async with store.audit() as audit:
        check = _Check(audit, store.partitions, progress)
        try:
            await check.run()
        except LedgerDamaged as damaged:
            check.findings.append(damaged.message)
        return check.report()


class _Check:
    def __init__(self, audit: Audit, partitions: int, progress: Progress | None) -> None:
        self._audit = audit
        self._partitions = partitions
        self._progress = progress
        self._done = 0
        self._damage: list[Damage] = []
        self._ends: list[End] = []
        self._erasures: Mapping[str, int] = {}
        self.findings: list[str] = []

    async def run(self) -> None:
        self.findings += await self._audit.findings()
        await self._load_ends()
        self._erasures = await self._audit.erasures()
        for partition in range(self._partitions):
            await self._check_partition(partition)
        await self._check_streams()

    def report(self) -> Report:
        return Report(
            events=self._done,
            ends=tuple(end.next_pos for end in self._ends),
            chain_heads=tuple(end.chain_head for end in self._ends),
            damage=tuple(
                sorted(self._damage[:DAMAGE_MAX], key=lambda damage: (damage.partition, damage.pos))
            ),
            findings=tuple(self.findings),
            is_cut=len(self._damage) > DAMAGE_MAX,
        )

    async def _load_ends(self) -> None:
        for partition in range(self._partitions):
            end = await self._audit.end(partition)
            if end is None:
                self.findings.append(f"partition {partition} has no row")
            self._ends.append(end or End(0, CHAIN_START))

    async def _check_partition(self, partition: int) -> None:
        expected, chain = 0, CHAIN_START
        while batch := await self._audit.events(partition, expected, BATCH_EVENTS):
            for stored in batch:
                self._check_event(partition, expected, chain, stored)
                expected, chain = stored.pos + 1, stored.chain
            self._done += len(batch)
            if self._progress is not None:
                self._progress(self._done, sum(end.next_pos for end in self._ends))
        self._check_end(partition, expected, chain)

    def _check_event(self, partition: int, expected: int, chain: bytes, stored: StoredEvent) -> None:
        event = stored.event
        if event is None:
            self._add(partition, stored.pos, "the event cannot be read")
            if stored.pos != expected:
                self._add(partition, expected, f"positions {expected} to {stored.pos - 1} are missing")
        elif event.pos != stored.pos:
            self._add(partition, stored.pos, f"the event says position {event.pos}")
        else:
            try:
                damage, _ = check_events(
                    [event], partition=partition, from_pos=expected, previous_chain=chain
                )
            except (ValueError, TypeError) as error:
                damage = [Damage(partition, stored.pos, f"the event cannot be read: {error}")]
            for found in damage:
                self._add(found.partition, found.pos, found.what)
            self._check_place_and_erasure(partition, event)

    def _check_place_and_erasure(self, partition: int, event: RecordedEvent) -> None:
        if event.slice % self._partitions != partition:
            self._add(partition, event.pos, f"slice {event.slice} does not belong to partition {partition}")
        was_erased = event.pos < self._erasures.get(event.stream, 0)
        if event.is_erased and not was_erased:
            self._add(partition, event.pos, "the body is gone, but the run was not erased afterwards")
        if was_erased and not event.is_erased:
            self._add(partition, event.pos, "the run was erased afterwards, but the body is there")

    def _check_end(self, partition: int, found: int, chain: bytes) -> None:
        end = self._ends[partition]
        if found < end.next_pos:
            self._add(partition, found, f"positions {found} to {end.next_pos - 1} are missing at the end")
        elif found > end.next_pos:
            self._add(
                partition, end.next_pos, f"the partition's row ends here, but events go on to {found - 1}"
            )
        elif chain != end.chain_head:
            self._add(
                partition, max(0, found - 1), "the partition's row has another chain head than the last event"
            )

    async def _check_streams(self) -> None:
        last = StreamNumber("", 0, 0, -1)
        while batch := await self._audit.stream_numbers((last.stream, last.stream_seq), BATCH_EVENTS):
            for number in batch:
                for what in _contradictions(last, number):
                    self._add(number.partition, number.pos, what)
                last = number

    def _add(self, partition: int, pos: int, what: str) -> None:
        if len(self._damage) <= DAMAGE_MAX:
            self._damage.append(Damage(partition, pos, what))


def _contradictions(before: StreamNumber, number: StreamNumber) -> Iterator[str]:
    same = before.stream == number.stream
    expected = before.stream_seq + 1 if same else 1
    if number.stream_seq != expected:
        yield f"number {expected} of stream {number.stream} is missing: here is {number.stream_seq}"
    if same and (before.partition, before.pos) >= (number.partition, number.pos):
        yield f"number {number.stream_seq} of stream {number.stream} stands before number {before.stream_seq}"
