"""What a server does beside answering: fold what was appended, keep the leases, remove files that nobody needs."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from typing import Final

import structlog

from runfold_events.clock import elapsed_s
from runfold_events.contract import limits
from runfold_events.contract.errors import RunfoldError, Unavailable
from runfold_events.contract.tokens import Token
from runfold_services.backend import Backend
from runfold_services.keeper import LATE_S_MAX, KeeperGuard
from runfold_services.settings import ServerSettings
from runfold_services.threads import Places

FOLD_RETRY_S: Final = 1.0
SWEEP_INTERVAL_S: Final = 3600.0
_log = structlog.stdlib.get_logger("runfold.upkeep")


class Upkeep:
    """Three tasks on the event loop: the fold thread folds, the commit thread keeps leases, a query thread sweeps."""

    def __init__(
        self,
        backend: Backend,
        threads: Places,
        settings: ServerSettings,
        elapsed_s: Callable[[], float] = elapsed_s,
        on_marks: Callable[[int], None] = lambda runs: None,
    ) -> None:
        """``on_marks`` is told how many runs a pass of the keeper has marked."""
        self._backend = backend
        self._threads = threads
        self._settings = settings
        self._elapsed_s = elapsed_s
        self._on_marks = on_marks
        # A lease that is shorter than usual (in tests) runs out in a pause that would not count as late otherwise.
        self._late_s_max = min(LATE_S_MAX, settings.lease_s / 2)
        self._guard = KeeperGuard(settings.lease_s, self._late_s_max)
        self._appended = asyncio.Event()
        self._on_fold: list[Callable[[Token], None]] = []
        self._trouble: str | None = None

    def wake(self) -> None:
        """Something was appended."""
        self._appended.set()

    def on_fold(self, listener: Callable[[Token], None]) -> None:
        """Call ``listener`` on the event loop with the views' position after every fold."""
        self._on_fold.append(listener)

    def start(self) -> list[asyncio.Task[None]]:
        """Begin all tasks."""
        return [
            asyncio.create_task(self._fold_for_ever(), name="runfold-folder"),
            asyncio.create_task(self._keep_for_ever(), name="runfold-keeper"),
            asyncio.create_task(self._sweep_for_ever(), name="runfold-sweeper"),
        ]

    async def _fold_for_ever(self) -> None:
        """Fold within ``fold_delay_s`` of an append here, and every ``fold_poll_s`` for the sake of others' appends.

        Folds are ``fold_delay_s`` apart, so that a burst of appends becomes few folds.
        """
        while True:
            began = time.monotonic()
            self._appended.clear()
            wait_s = self._settings.fold_poll_s if await self._fold() else FOLD_RETRY_S
            await asyncio.sleep(max(0.0, self._settings.fold_delay_s - (time.monotonic() - began)))
            try:
                async with asyncio.timeout(wait_s):
                    await self._appended.wait()
            except TimeoutError:
                pass

    async def _fold(self) -> bool:
        try:
            position = await self._threads.fold(lambda: self._backend.views.reach(None))
        except RunfoldError as error:
            if str(error) != self._trouble:
                _log.error("folding failed; will try again", error=str(error), code=error.code)
            self._trouble = str(error)
            return False
        except Exception:
            _log.exception("folding failed; will try again")
            return False
        self._trouble = None
        for listener in self._on_fold:
            listener(position)
        return True

    async def _keep_for_ever(self) -> None:
        interval_s = min(limits.HEARTBEAT_INTERVAL_S, self._settings.lease_s / 4)
        while True:
            if self._guard.tick(self._elapsed_s(), interval_s):
                await self._keep()
            await asyncio.sleep(interval_s)

    async def _sweep_for_ever(self) -> None:
        """Every hour or so: several servers of one file store may sweep at once, but need not do so all the time."""
        while True:
            await asyncio.sleep(SWEEP_INTERVAL_S * random.uniform(0.5, 1.5))  # not a secret
            try:
                removed = await self._threads.query(self._backend.sweep_files)
                if removed:
                    _log.info("removed contents that no run has", contents=removed)
            except RunfoldError as error:
                _log.warning("the file store could not be swept; will try again", error=str(error))
            except Exception:
                _log.exception("sweeping the file store failed; will try again")

    async def _keep(self) -> None:
        asked = self._elapsed_s()

        async def work() -> int:
            # Heartbeats wait for the same thread: when it was blocked, they are read before anybody is judged.
            if self._elapsed_s() - asked > self._late_s_max:
                return 0
            return await self._backend.keeper_pass()

        try:
            marked = await self._threads.commit(work)
            self._on_marks(marked)
            if marked:
                self.wake()
        except Unavailable as error:
            _log.warning("the keeper could not look at leases", error=str(error))
        except Exception:
            _log.exception("the keeper failed; will try again")
