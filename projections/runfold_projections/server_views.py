"""Views of a server: projectors elsewhere keep them up to date, so whoever wants a position waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from runfold_events.contract.tokens import Token
from runfold_projections.positions import check_epoch, has_reached, not_reached, position_of
from runfold_projections.projection import Catalogue, EventSource, Projection, ViewStore
from runfold_projections.queries import ViewQueries
from runfold_projections.runner import check_checkpoint_epoch

POLL_S: Final = 0.01


class ServerViews(ViewQueries):
    """The ``Views`` port over a store that others fold into. Lives on one event loop."""

    def __init__(
        self,
        source: EventSource,
        store: ViewStore,
        projections: Sequence[Projection],
        *,
        poll_s: float = POLL_S,
    ) -> None:
        super().__init__(source, store, projections)
        self._all = list(projections)
        self._poll_s = poll_s
        self._looking: asyncio.Task[Token] | None = None

    async def reach(self, at: Token | None, wait_s: float = 5.0) -> Token:
        """See :class:`~runfold_projections.ports.Views`."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait_s
        while True:
            position = await self._position()
            if at is None:
                return position
            check_epoch(at, position)
            if has_reached(at, position):
                return position
            if loop.time() >= deadline:
                raise not_reached(at, position)
            await asyncio.sleep(min(self._poll_s, deadline - loop.time()))

    async def _position(self) -> Token:
        """Where views stand. All who ask at the same time share one look, however many wait."""
        if self._looking is None:
            self._looking = asyncio.get_running_loop().create_task(self._look(), name="runfold-position")
            self._looking.add_done_callback(self._looked)
        return await asyncio.shield(self._looking)

    def _looked(self, task: asyncio.Task[Token]) -> None:
        self._looking = None
        if not task.cancelled():
            task.exception()  # those who asked may all have gone

    async def _look(self) -> Token:
        catalogue = await self._store.catalogue()
        position = position_of(catalogue, self._source, self._all)
        for projection in self._all:
            generation = catalogue.active[projection.name]
            for partition in position.ends:
                check_checkpoint_epoch(catalogue.checkpoints[generation, partition], self._source.epoch)
        return position

    def _check(self, catalogue: Catalogue, name: str, partition: int) -> None:
        super()._check(catalogue, name, partition)
        checkpoint = catalogue.checkpoints[catalogue.active[name], partition]
        check_checkpoint_epoch(checkpoint, self._source.epoch)

    async def catch_up(self) -> int:
        """Nothing is folded here."""
        return 0

    async def close(self) -> None:
        """Release connections; twice is fine."""
        if self._looking is not None:
            self._looking.cancel()
        await self._store.close()
