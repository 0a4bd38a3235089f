"""Make the tables of projections, and make them again from position 0 beside the ones in use.

A rebuild fills a generation of its own, batch by batch, and can be killed at any moment: the next one goes on where it
stood. When it has caught up with the generation in use, one transaction makes it the active one and drops the old.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from runfold_events.contract.errors import Unavailable
from runfold_projections.projection import (
    Catalogue,
    Checkpoint,
    EventSource,
    Generation,
    Projection,
    ViewSession,
    ViewStore,
)
from runfold_projections.runner import Broken, Folder

SWITCH_EVENTS_MAX: Final = 2_000  # folded, counted once per projection, while live folds wait
Progress = Callable[
    [int, int], None
]  # events folded so far, events to fold; each counted once per projection


async def prepare(
    source: EventSource, store: ViewStore, projections: Sequence[Projection]
) -> list[Projection]:
    """Make empty tables for projections that have none. Returns those whose tables are of an older version.

    Raises:
        Unavailable: the tables are of a newer version than this program.
    """
    async with store.snapshot() as session:
        missing, outdated = _sort_out(await session.catalogue(), projections)
    if missing:
        async with store.transaction(alone=True) as session:
            catalogue = await session.catalogue()
            missing, outdated = _sort_out(catalogue, projections)
            for projection in missing:
                generation = Generation(projection.name, projection.version, 1)
                await _drop_building(session, catalogue, projection)
                await session.create(generation, "active", source.partitions, source.epoch)
    return outdated


def _sort_out(
    catalogue: Catalogue, projections: Sequence[Projection]
) -> tuple[list[Projection], list[Projection]]:
    missing: list[Projection] = []
    outdated: list[Projection] = []
    for projection in projections:
        active = catalogue.active.get(projection.name)
        if active is None:
            missing.append(projection)
        elif active.version < projection.version:
            outdated.append(projection)
        elif active.version > projection.version:
            raise Unavailable(
                f"view {projection.name} was made by a newer runfold (version {active.version}; this program knows "
                f"{projection.version}); upgrade",
                facts={"projection": projection.name, "version": active.version},
            )
    return missing, outdated


async def _drop_building(session: ViewSession, catalogue: Catalogue, projection: Projection) -> None:
    building = catalogue.building.get(projection.name)
    if building is not None:
        await session.drop(building)


class Rebuild:
    """Builds new generations of some projections."""

    def __init__(
        self, source: EventSource, store: ViewStore, folder: Folder, projections: Sequence[Projection]
    ) -> None:
        self._source = source
        self._store = store
        self._folder = folder
        self._projections = tuple(projections)
        self._generations: list[Generation] = []

    async def run(self, progress: Progress | None = None) -> int:
        """Build, switch, drop the old. Returns the number of events folded by this call.

        Raises:
            Unavailable: an event cannot be folded; the generation in use stays.
        """
        async with self._store.transaction(alone=True) as session:
            catalogue = await session.catalogue()
            self._generations = [await self._begin(session, catalogue, p) for p in self._projections]
        folded = 0
        while True:
            ends = await self._source.ends()
            folded += await self._folder.fold(self._behind, ends, await self._reporter(ends, progress))
            try:
                if await self._switch(ends):
                    return folded
            except Broken:
                continue  # folded the ordinary way, the event to blame is found and named

    async def _begin(self, session: ViewSession, catalogue: Catalogue, projection: Projection) -> Generation:
        """The generation to fill: one that an earlier rebuild left unfinished, or a new one."""
        active, building = catalogue.active.get(projection.name), catalogue.building.get(projection.name)
        if building is not None:
            if building.version == projection.version and self._is_ours(catalogue, building):
                for partition in range(self._source.partitions):  # what stopped it may be mended by now
                    await session.stop(catalogue.checkpoints[building, partition], None)
                return building
            await session.drop(building)
        number = max((found.number for found in (active, building) if found is not None), default=0) + 1
        generation = Generation(projection.name, projection.version, number)
        await session.create(generation, "building", self._source.partitions, self._source.epoch)
        return generation

    def _is_ours(self, catalogue: Catalogue, generation: Generation) -> bool:
        found = [c for (g, _), c in catalogue.checkpoints.items() if g == generation]
        return len(found) == self._source.partitions and all(c.epoch == self._source.epoch for c in found)

    def _behind(self, catalogue: Catalogue, partition: int) -> list[Checkpoint]:
        checkpoints = [catalogue.checkpoints.get((g, partition)) for g in self._generations]
        found = [checkpoint for checkpoint in checkpoints if checkpoint is not None]
        for checkpoint in found:
            if checkpoint.stopped is not None:
                raise Unavailable(
                    f"view {checkpoint.generation.projection} cannot be rebuilt: it stops at position "
                    f"{checkpoint.pos} of partition {partition}: {checkpoint.stopped}",
                    facts={
                        "projection": checkpoint.generation.projection,
                        "partition": partition,
                        "pos": checkpoint.pos,
                    },
                )
        return found

    async def _reporter(self, ends: Sequence[int], progress: Progress | None) -> Callable[[int], None] | None:
        if progress is None:
            return None
        catalogue = await self._folder.catalogue()
        standing = [catalogue.checkpoints.get((g, p)) for g in self._generations for p in range(len(ends))]
        done = sum(checkpoint.pos for checkpoint in standing if checkpoint is not None)
        total = sum(ends) * len(self._generations)
        progress(done, total)

        def advance(count: int) -> None:
            nonlocal done
            done += count
            progress(done, total)

        return advance

    async def _switch(self, ends: Sequence[int]) -> bool:
        """Put the new generations to use; False when the ones in use have gone too far in the meantime.

        Where events come all the time the ones in use are always a little ahead. What is missing is folded while they
        stand still, so that no view ever goes back.
        """
        async with self._store.transaction(alone=True) as session:
            catalogue = await session.catalogue()
            ends_now = await self._source.ends()  # after the checkpoints
            # Others are switched already, by somebody else.
            generations = [generation for generation in self._generations if _exists(catalogue, generation)]
            missing: list[tuple[Checkpoint, int]] = []
            for generation in generations:
                missing.extend(self._missing(catalogue, generation, ends, ends_now))
            if sum(end - checkpoint.pos for checkpoint, end in missing) > SWITCH_EVENTS_MAX:
                return False
            for checkpoint, end in missing:
                await self._folder.fold_within(session, checkpoint, end)
            for generation in generations:
                await session.activate(generation)
        return True

    def _missing(
        self, catalogue: Catalogue, generation: Generation, ends: Sequence[int], ends_now: Sequence[int]
    ) -> Iterator[tuple[Checkpoint, int]]:
        """Where the generation is behind the one in use, or behind ``ends``: from where, and up to where."""
        active = catalogue.active.get(generation.projection)
        for partition, end in enumerate(ends):
            target = end
            if active is not None and active != generation:
                current = catalogue.checkpoints.get((active, partition))
                if current is not None and current.epoch == self._source.epoch:
                    # A checkpoint beyond the store's end is damage that a rebuild mends; it is no place to wait for.
                    target = max(end, min(current.pos, ends_now[partition]))
            built = catalogue.checkpoints[generation, partition]
            if built.pos < target:
                yield built, target


def _exists(catalogue: Catalogue, generation: Generation) -> bool:
    return generation in (
        catalogue.active.get(generation.projection),
        catalogue.building.get(generation.projection),
    )
