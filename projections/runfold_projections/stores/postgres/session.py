"""One transaction or snapshot over all views."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from runfold_events.failpoints import reach
from runfold_projections.projection import Catalogue, Checkpoint, Generation, Move
from runfold_projections.statements import schema_statements
from runfold_projections.stores.postgres.spelled import spelled
from runfold_projections.stores.postgres.tables import PostgresTables, changed, statements

CATALOGUE: Final = statements("stores/postgres/catalogue.sql", "")


class PostgresSession:
    """See :class:`~runfold_projections.projection.ViewSession`."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def of(self, generation: Generation) -> PostgresTables:
        """See the port."""
        return PostgresTables(self._connection, generation)

    async def be_alone(self) -> None:
        """Wait until nobody else moves checkpoints, and let nobody begin to. Readers go on."""
        await self._connection.execute(CATALOGUE["be_alone"])

    async def catalogue(self) -> Catalogue:
        """See the port."""
        active: dict[str, Generation] = {}
        building: dict[str, Generation] = {}
        checkpoints: dict[tuple[Generation, int], Checkpoint] = {}
        known: dict[tuple[str, int, int], Generation] = {}
        for row in await self._connection.fetch(CATALOGUE["catalogue"]):
            name, version, number, state, partition, epoch, pos, stopped = row
            generation = known.get((name, version, number))
            if generation is None:
                generation = known[name, version, number] = Generation(name, version, number)
                (active if state == "active" else building)[name] = generation
            if partition is not None:
                checkpoints[generation, partition] = Checkpoint(
                    generation=generation,
                    partition=partition,
                    epoch=UUID(bytes=epoch),
                    pos=pos,
                    stopped=stopped,
                )
        return Catalogue(active, building, checkpoints)

    async def advance(self, moves: Sequence[Move]) -> bool:
        """See the port. Who comes second waits for the first one's commit, then finds the position moved."""
        reach("views.advance")
        columns = zip(*((*_place(move.checkpoint), move.pos) for move in moves), strict=True)
        return await self._run("advance", *columns) == len(moves)

    async def stop(self, checkpoint: Checkpoint, why: str | None) -> bool:
        """See the port."""
        return await self._run("stop", *_place(checkpoint), why) == 1

    async def create(self, generation: Generation, state: str, partitions: int, epoch: UUID) -> None:
        """See the port."""
        for sql in schema_statements(f"{generation.projection}/schema.postgres.sql"):
            await self._connection.execute(spelled(sql, generation.prefix))
        await self._run("add_generation", *_key(generation), state)
        await self._run("add_checkpoints", *_key(generation), partitions, epoch.bytes)

    async def activate(self, generation: Generation) -> None:
        """See the port.

        The tables of the others stay until :meth:`drop_retired`: a snapshot that was begun before still reads them, and
        to drop a table is to wait for its readers, with everybody who comes later behind.
        """
        await self._run("activate", *_key(generation))
        await self._run("retire_others", *_key(generation))
        await self._run("remove_checkpoints_of_retired")

    async def drop(self, generation: Generation) -> None:
        """See the port."""
        for row in await self._connection.fetch(CATALOGUE["tables_of"], generation.prefix):
            name = row[0].replace('"', '""')
            await self._connection.execute(f'DROP TABLE "{name}"')
        await self._run("remove_checkpoints", *_key(generation))
        await self._run("remove_generation", *_key(generation))

    async def drop_retired(self, since_s: float) -> int:
        """Drop the tables of generations that are out of use for so long; returns how many generations went."""
        rows = await self._connection.fetch(CATALOGUE["retired"], since_s)
        for row in rows:
            await self.drop(Generation(*row))
        return len(rows)

    async def _run(self, name: str, *parameters: Any) -> int:
        return changed(await self._connection.execute(CATALOGUE[name], *parameters))


def _key(generation: Generation) -> tuple[str, int, int]:
    return generation.projection, generation.version, generation.number


def _place(checkpoint: Checkpoint) -> tuple[Any, ...]:
    return (
        *_key(checkpoint.generation),
        checkpoint.partition,
        checkpoint.epoch.bytes,
        checkpoint.pos,
    )
