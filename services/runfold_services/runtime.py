"""What all requests of one server share, and what goes on beside them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from runfold_events.contract.errors import RunfoldError
from runfold_events.contract.submission import Outcome, Submission
from runfold_services.api.live import Live
from runfold_services.api.reading import BodyBudget
from runfold_services.backend import Backend
from runfold_services.committer import Committer
from runfold_services.settings import ServerSettings
from runfold_services.threads import Places, Threads
from runfold_services.upkeep import Upkeep


class Runtime:
    """The backend, the places where it may be used, the queue in front of it, the folds behind it."""

    def __init__(self, backend: Backend, settings: ServerSettings, places: Places | None = None) -> None:
        self.backend = backend
        self.settings = settings
        self.threads = Threads(settings.query_threads) if places is None else places
        self.bodies = BodyBudget()
        self.upkeep = Upkeep(backend, self.threads, settings)
        self.live = Live(backend, self.threads)
        self.upkeep.on_fold(self.live.advance)
        self.committer = Committer(self._submit, on_commit=self.upkeep.wake)
        self.status = "starting"
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begin to fold and to keep the leases."""
        self._tasks = self.upkeep.start()
        self.status = "ok"

    def begin_stop(self) -> None:
        """End live streams, which would otherwise keep their connections open; say so in health."""
        self.status = "stopping"
        self.live.end()

    async def stop(self) -> None:
        """Commit and answer what was queued, end all tasks, fold what is left, close the backend."""
        self.begin_stop()
        await self.committer.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        try:
            await self.threads.commit(self.backend.close)
        finally:
            await asyncio.to_thread(self.threads.stop)

    async def _submit(self, submissions: Sequence[Submission]) -> list[Outcome]:
        return await self.threads.commit(lambda: self.backend.submit(submissions))


class StartFailed(RunfoldError):
    """The server cannot start; the message says what to change."""

    default_code = "start_failed"
