"""An agent at work on submitted runs in memory, with real processes."""

from __future__ import annotations

import os
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from runfold_services.agent.agent import Agent, AgentSettings
from runfold_services.agent.folders import KeptBound
from runfold_services.agent.job import JobSettings
from runfold_services.agent.processes import LocalExecutor
from tests.support.agent_runs import MemoryRuns, Shelf, wait_for

SLEEP = "import time; print('up', flush=True); time.sleep(60)"
STATIONS = ["Starting", "Preparing", "Queued", "Running", "Finalizing"]


CREDENTIALS = {"RUNFOLD_TOKEN": "the agent's own", "RUNFOLD_KAFKA_PASSWORD": "the agent's too"}


class Bench:
    """A shelf of runs, and agents that work on it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.shelf = Shelf()
        self.runs = MemoryRuns(self.shelf)

    def agent(self, runs: MemoryRuns | None = None, **settings: Any) -> Agent:
        job = JobSettings(
            root=self.root,
            agent_name="bench",
            environment={**os.environ, **CREDENTIALS, "COLOUR": "red"},
            keep=settings.pop("keep", "never"),
            kept=settings.pop("kept", KeptBound()),
        )
        given: dict[str, Any] = {"runs_at_once": 4, "once": True, "poll_s": 0.05} | settings
        return Agent(runs or self.runs, LocalExecutor(), AgentSettings(job=job, **given))

    def work(self, **settings: Any) -> None:
        """One agent, until nothing waits any more."""
        self.agent(**settings).run()

    @contextmanager
    def working(self, **settings: Any) -> Generator[Agent]:
        """An agent in a thread, told to stop at the end."""
        agent = self.agent(once=False, **settings)
        thread = threading.Thread(target=agent.run)
        thread.start()
        try:
            yield agent
        finally:
            agent.stop()
            thread.join(60)
            assert not thread.is_alive()

    def stations(self, run_id: str) -> list[str]:
        return [str(status) for status in self.shelf.stations[run_id]]

    def message(self, run_id: str) -> str:
        return self.shelf.error[run_id].message or ""

    def wait_for_output(self, run_id: str) -> None:
        wait_for(lambda: bool(self.shelf.log(run_id)))

    def wait_for_end(self, run_id: str) -> None:
        wait_for(lambda: self.shelf.status[run_id].is_terminal)
