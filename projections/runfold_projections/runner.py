"""Bring views up to the store: read events, move the checkpoints, fold, one transaction per batch.

The first statement of a batch compares and sets the checkpoints, so that of two runners that fold the same events one
finds nothing to change and goes on from what the other left. All projections that stand at the same position are folded
together, each event decoded once. One that raises on an event is recorded as stopped there; the others go on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final
from uuid import UUID

from msgspec.structs import replace

from runfold_events.contract.envelope import LedgerDamaged, PublicEvent
from runfold_events.contract.errors import Unavailable
from runfold_events.contract.tokens import Token
from runfold_projections.projection import (
    Catalogue,
    Checkpoint,
    EventSource,
    FoldError,
    FoldEvents,
    Generation,
    Move,
    Projection,
    SharedEventSource,
    ViewSession,
    ViewStore,
)

BATCH_EVENTS_MAX: Final = 2_048
BATCH_BODY_BYTES_MAX: Final = 16 * 1024 * 1024
_READ_EVENTS_FIRST: Final = 64  # doubled while bodies are small: no read brings more than memory bears
_STOP_WORDS_CHARS_MAX: Final = 300
_RIVALS_MAX: Final = (
    10_000  # batches that others folded first, in one call: more than that is a fault, not a race
)

Select = Callable[[Catalogue, int], list[Checkpoint]]


class Rival(Exception):
    """Somebody else moved the checkpoint: reload and go on."""


class Broken(Exception):
    """A projection raised on these events."""

    def __init__(self, checkpoint: Checkpoint, error: Exception) -> None:
        super().__init__(checkpoint.generation.projection)
        self.checkpoint = checkpoint
        self.error = error


class Folder:
    """Folds batches of one partition into any generations that stand at the same position."""

    def __init__(
        self,
        source: EventSource,
        store: ViewStore,
        projections: Sequence[Projection],
        *,
        batch_events_max: int = BATCH_EVENTS_MAX,
        batch_body_bytes_max: int = BATCH_BODY_BYTES_MAX,
    ) -> None:
        self._source = source
        self._store = store
        self._projections = {projection.name: projection for projection in projections}
        self._batch_events_max = batch_events_max
        self._batch_body_bytes_max = batch_body_bytes_max
        self._read_events = min(_READ_EVENTS_FIRST, batch_events_max)

    async def fold(
        self,
        select: Select,
        ends: Sequence[int],
        progress: Callable[[int], None] | None = None,
        standing: Catalogue | None = None,
    ) -> int:
        """Fold what ``select`` picks of each partition up to ``ends``; returns the number of events folded.

        ``select`` gives the checkpoints of one partition that are to move; it is asked before every batch.
        ``standing``: where they are, if that was read just now.
        """
        folded = rivals = 0
        for partition, end in enumerate(ends):
            while True:
                behind = select(standing or await self.catalogue(), partition)
                standing = None
                try:
                    count, generations = await self.fold_batch(behind, end)
                except Rival:
                    rivals += 1
                    if rivals > _RIVALS_MAX:
                        raise Unavailable(
                            "others fold the same views all the time; nothing was left to do here", facts={}
                        ) from None
                    continue
                if not count:
                    break
                folded += count
                if progress is not None:
                    progress(count * generations)
        return folded

    async def fold_batch(self, checkpoints: Sequence[Checkpoint], end: int) -> tuple[int, int]:
        """Fold the next batch, at most up to ``end``, into those that stand furthest back of one partition.

        Returns how many events were folded, into how many generations; (0, 0) when nothing is left to do.

        Raises:
            Rival: somebody else has moved one of the checkpoints; nothing was folded.
        """
        group, until = _furthest_behind(checkpoints, end)
        return (await self._step(group, until), len(group)) if group else (0, 0)

    async def fold_together(
        self, source: SharedEventSource, wanted: Mapping[int, Sequence[Checkpoint]], ends: Sequence[int]
    ) -> dict[int, int]:
        """Fold what is new on several partitions in one transaction; for little of each, which costs as much as a lot.

        Args:
            source: the folder's own.
            wanted: by partition, the checkpoints of one position to be moved.
            ends: by partition, how far at least; what has come since is folded, too.

        Returns:
            How many events were folded, by partition. A partition with too much to be folded so is left as it is.

        Raises:
            Rival: somebody else has moved one of the checkpoints; nothing was folded.
        """
        places = {partition: checkpoints[0].pos for partition, checkpoints in wanted.items()}
        bytes_max = self._batch_body_bytes_max // len(places)
        found: dict[int, list[PublicEvent]] = {partition: [] for partition in places}
        for event in await source.read_several(places, self._batch_events_max, bytes_max):
            found[event.partition].append(event)
        parts = {
            partition: events
            for partition, events in found.items()
            if places[partition] + len(events) >= ends[partition] and _are_dense(events, places[partition])
        }
        events = FoldEvents([event for part in parts.values() for event in part])
        events.unpack()
        moves = [Move(one, one.pos + len(part)) for p, part in parts.items() for one in wanted[p]]
        if not moves:
            return {}
        try:
            async with self._store.transaction() as session:
                await self._apply(session, moves, events)
        except Broken:
            for partition, part in parts.items():
                await self._fold(wanted[partition], FoldEvents(part))
        return {partition: len(part) for partition, part in parts.items()}

    async def catalogue(self) -> Catalogue:
        """All generations and checkpoints, as they are now."""
        return await self._store.catalogue()

    async def _step(self, checkpoints: Sequence[Checkpoint], until: int) -> int:
        """Fold the next batch of one partition into generations that all stand at the same position."""
        first = checkpoints[0]
        events = await self._read(first.partition, first.pos, until)
        folded = FoldEvents(events)
        folded.unpack()
        await self._fold(checkpoints, folded)
        return len(events)

    async def _read(self, partition: int, pos: int, end: int) -> Sequence[PublicEvent]:
        wanted = min(self._read_events, end - pos)
        events = await self._source.read_public(partition, pos, wanted)
        if len(events) < wanted or any(event.pos != pos + i for i, event in enumerate(events)):
            raise LedgerDamaged(
                f"partition {partition}: positions {pos} to {pos + wanted - 1} are not all there",
                facts={"partition": partition, "pos": pos, "events": wanted, "found": len(events)},
            )
        size = 0
        for count, event in enumerate(events):
            size += len(event.body or b"")
            if size > self._batch_body_bytes_max and count:
                self._read_events = max(1, count)
                return events[:count]
        if size * 4 < self._batch_body_bytes_max:
            self._read_events = min(self._read_events * 2, self._batch_events_max)
        return events

    async def fold_within(self, session: ViewSession, checkpoint: Checkpoint, end: int) -> None:
        """Fold up to ``end`` in a transaction that is open; few events, since others may be waiting.

        Raises:
            Broken: an event cannot be folded; the transaction is of no use any more.
        """
        while checkpoint.pos < end:
            events = await self._read(checkpoint.partition, checkpoint.pos, end)
            pos = checkpoint.pos + len(events)
            await self._apply(session, [Move(checkpoint, pos)], FoldEvents(events))
            checkpoint = replace(checkpoint, pos=pos)

    async def _fold(self, checkpoints: Sequence[Checkpoint], events: FoldEvents) -> None:
        try:
            async with self._store.transaction() as session:
                pos = checkpoints[0].pos + len(events)
                await self._apply(session, [Move(checkpoint, pos) for checkpoint in checkpoints], events)
        except Broken as broken:
            if len(checkpoints) > 1:
                await self._fold_apart(checkpoints, events)
            elif len(events) > 1:
                await self._fold_halves(checkpoints[0], events)
            else:
                await self._stop(broken, events.recorded[0])

    async def _apply(self, session: ViewSession, moves: Sequence[Move], events: FoldEvents) -> None:
        if not await session.advance(moves):
            raise Rival
        for generation, checkpoint in {m.checkpoint.generation: m.checkpoint for m in moves}.items():
            projection = self._projections[generation.projection]
            try:
                await projection.apply(events, session.of(generation))
            except Exception as error:
                if self._store.is_engine_failure(error):
                    raise
                raise Broken(checkpoint, error) from error

    async def _fold_apart(self, checkpoints: Sequence[Checkpoint], events: FoldEvents) -> None:
        """One of several projections cannot go on: each in a transaction of its own."""
        for checkpoint in checkpoints:
            await self._fold([checkpoint], events)

    async def _fold_halves(self, checkpoint: Checkpoint, events: FoldEvents) -> None:
        """Find the event that one projection cannot fold; what stands before it is folded."""
        half = len(events) // 2
        await self._fold([checkpoint], events.part(0, half))
        moved = await self._standing(checkpoint)
        if moved.stopped is None and moved.pos == checkpoint.pos + half:
            await self._fold([moved], events.part(half, len(events)))

    async def _standing(self, checkpoint: Checkpoint) -> Checkpoint:
        found = (await self.catalogue()).checkpoints.get((checkpoint.generation, checkpoint.partition))
        if found is None:
            raise Rival
        return found

    async def _stop(self, broken: Broken, event: PublicEvent) -> None:
        async with self._store.transaction() as session:
            await session.stop(broken.checkpoint, f"{event.type} {event.id}: {_words(broken.error)}")


def _are_dense(events: Sequence[PublicEvent], first: int) -> bool:
    return all(event.pos == pos for pos, event in enumerate(events, first))


def _words(error: Exception) -> str:
    """What is kept of an error. Its text may quote the event's body, which an erasure must be able to remove."""
    if isinstance(error, FoldError):
        return str(error)[:_STOP_WORDS_CHARS_MAX]
    return type(error).__name__


def _furthest_behind(checkpoints: Sequence[Checkpoint], end: int) -> tuple[list[Checkpoint], int]:
    """Those that stand furthest back, and up to where: the next checkpoint, so that all go on together from there."""
    places = sorted({checkpoint.pos for checkpoint in checkpoints if checkpoint.pos < end})
    if not places:
        return [], end
    group = [checkpoint for checkpoint in checkpoints if checkpoint.pos == places[0]]
    return group, places[1] if len(places) > 1 else end


class Runner:
    """Keeps the active generation of every projection up to date."""

    def __init__(self, source: EventSource, folder: Folder, projections: Sequence[Projection]) -> None:
        self._source = source
        self._folder = folder
        self._projections = tuple(projections)
        self._retried: set[tuple[Generation, int]] = set()

    async def catch_up(self, until: Token | None = None) -> int:
        """Fold up to ``until``, or to the store's present end. Returns the number of events folded, once each.

        A projection that stopped is tried again once by every runner: this program may know what another did not.

        Raises:
            LedgerDamaged: a checkpoint lies beyond the store's end, or events are missing.
            Unavailable: the views belong to another epoch or another version; or the engine cannot answer.
        """
        standing = await self._folder.catalogue()
        # Read after the checkpoints: other processes append and fold meanwhile, and what they folded is no damage.
        ends = await self._source.ends()
        for partition, end in enumerate(ends):
            for projection in self._projections:
                check_checkpoint(active_checkpoint(standing, projection, partition), self._source.epoch, end)

        if until is not None:
            ends = tuple(min(end, until.ends.get(partition, 0)) for partition, end in enumerate(ends))

        def behind(catalogue: Catalogue, partition: int) -> list[Checkpoint]:
            return self.behind(catalogue, partition, ends[partition])

        return await self._folder.fold(behind, ends, standing=standing)

    def behind(self, catalogue: Catalogue, partition: int, end: int) -> list[Checkpoint]:
        """Where the active generations stand that are to be folded up to ``end``."""
        checkpoints = [active_checkpoint(catalogue, p, partition) for p in self._projections]
        return [c for c in checkpoints if c.pos < end and self._may_try(c)]

    def _may_try(self, checkpoint: Checkpoint) -> bool:
        if checkpoint.stopped is None:
            return True
        key = (checkpoint.generation, checkpoint.partition)
        if key in self._retried:
            return False
        self._retried.add(key)
        return True


def active_checkpoint(catalogue: Catalogue, projection: Projection, partition: int) -> Checkpoint:
    """Where the active generation of a projection stands on a partition."""
    generation = catalogue.active.get(projection.name)
    if generation is None or generation.version != projection.version:
        found = "none" if generation is None else f"version {generation.version}"
        raise Unavailable(
            f"view {projection.name}: this program reads version {projection.version}, the store has {found}; "
            "run `runfold rebuild`, or upgrade runfold if the store's is newer",
            facts={"projection": projection.name, "version": projection.version},
        )
    checkpoint = catalogue.checkpoints.get((generation, partition))
    if checkpoint is None:
        raise LedgerDamaged(
            f"view {projection.name} knows no partition {partition}; run `runfold rebuild`",
            facts={"projection": projection.name, "partition": partition},
        )
    return checkpoint


def check_checkpoint(checkpoint: Checkpoint, epoch: UUID, end: int) -> None:
    """Raise unless the store can be what the checkpoint's view was folded from."""
    check_checkpoint_epoch(checkpoint, epoch)
    name, partition = checkpoint.generation.projection, checkpoint.partition
    if checkpoint.pos > end:
        raise LedgerDamaged(
            f"view {name} has folded partition {partition} up to position {checkpoint.pos}, but the store ends at "
            f"{end}: events are missing from the store",
            facts={"projection": name, "partition": partition, "pos": checkpoint.pos, "end": end},
        )


def check_checkpoint_epoch(checkpoint: Checkpoint, epoch: UUID) -> None:
    """Raise unless the checkpoint's view was folded from the store's present epoch."""
    if checkpoint.epoch != epoch:
        name, partition = checkpoint.generation.projection, checkpoint.partition
        raise Unavailable(
            f"view {name} was folded from store epoch {checkpoint.epoch}, the store's is {epoch}: it was restored "
            "since; run `runfold rebuild`",
            facts={"projection": name, "partition": partition, "epoch": str(checkpoint.epoch)},
        )
