"""What all requests of one server share, and what goes on beside them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from runfold_events.contract.submission import Outcome, Submission, outcome_code
from runfold_services.api.auth import Credentials
from runfold_services.api.live import Live
from runfold_services.api.reading import BodyBudget
from runfold_services.api.run_tokens import RunScopes
from runfold_services.backend import Backend
from runfold_services.committer import Lanes
from runfold_services.quotas import Quotas, load_quotas
from runfold_services.settings import ServerSettings
from runfold_services.tally import ApiTally
from runfold_services.threads import FileThreads, Places, Threads
from runfold_services.upkeep import Upkeep


class Runtime:
    """The backend, the places where it may be used, the queue in front of it, the folds behind it."""

    def __init__(self, backend: Backend, settings: ServerSettings, places: Places | None = None) -> None:
        self.backend = backend
        self.settings = settings
        self.quotas = Quotas(load_quotas(settings.quotas_file))
        self.threads = Threads(settings.query_threads) if places is None else places
        self.bodies = BodyBudget()
        self.files = FileThreads()
        self.credentials = Credentials()  # the application's
        self.scopes = RunScopes()
        self.tally = ApiTally()
        self.upkeep = Upkeep(backend, self.threads, settings, on_marks=self.tally.keeper_marked)
        self.live = Live(backend, self.threads)
        self.upkeep.on_fold(self.live.advance)
        self.committer = Lanes(
            self._submit,
            backend.partitions,
            submit_free=self._submit_free if backend.partitions > 1 else None,
            on_commit=self._committed,
            at_once_max=self.threads.submits_at_once,
        )
        self.status = "starting"
        self.started_at = time.time()
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
            await self.threads.stop()
            await asyncio.to_thread(self.files.stop)

    def _committed(self, commands: int) -> None:
        self.tally.commits.add(commands)
        self.upkeep.wake()

    async def _submit(self, submissions: Sequence[Submission]) -> list[Outcome]:
        outcomes = await self.threads.submit(submissions, lambda: self.backend.submit(submissions))
        self.tally.outcomes.update(map(outcome_code, outcomes))
        return outcomes

    async def _submit_free(self, submissions: Sequence[Submission]) -> list[Outcome | None]:
        outcomes = await self.threads.commit(lambda: self.backend.submit_free(submissions))
        self.tally.outcomes.update(outcome_code(outcome) for outcome in outcomes if outcome is not None)
        return outcomes
