"""The agent's loop: look for work, claim it, tell jobs what is heard of their runs, stop in good order."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

import structlog
from msgspec import Struct

from runfold_events.contract.errors import Invalid, NotFound, RunfoldError, RunRejected, Unavailable
from runfold_projections.model import RunView
from runfold_services.agent.errors import AGENT_CODE, LOST_CODE, agent_error
from runfold_services.agent.folders import remove_left_behind
from runfold_services.agent.job import Job, JobSettings, remove_old
from runfold_services.agent.ports import AgentRuns, Executor
from runfold_services.agent.slots import has_place

POLL_S: Final = 0.5
LOST_EVERY_S: Final = 5.0
REFUSED_S: Final = 10.0
FRESH_LEASE_S: Final = 15.0  # renewed within so long, the run is still ours
STOP_S_MAX: Final = 60.0  # for scripts to end and for what they left to be stored
_log = structlog.stdlib.get_logger("runfold.agent")


class AgentSettings(Struct, frozen=True, kw_only=True):
    """How an agent works. Times are seconds.

    Attributes:
        job: what all its jobs have in common.
        runs_at_once: see :mod:`runfold_services.agent.slots`.
        idle_s_max: end after so long without work; None: never.
        once: end when nothing waits any more.
        poll_s: how often to look.
    """

    job: JobSettings
    runs_at_once: int
    idle_s_max: float | None = None
    once: bool = False
    poll_s: float = POLL_S


class Agent:
    """Executes submitted runs until it is told to stop, or has nothing to do."""

    def __init__(self, runs: AgentRuns, executor: Executor, settings: AgentSettings) -> None:
        self._runs = runs
        self._executor = executor
        self._settings = settings
        self._jobs: dict[str, Job] = {}
        self._parents: dict[str, str | None] = {}
        self._stopping = threading.Event()
        self._lost_at = 0.0
        self._refused: dict[str, float] = {}  # runs that could not be claimed, and when that was

    def stop(self) -> None:
        """Take nothing more, end what runs. May be called from a signal handler."""
        self._stopping.set()

    def run(self, is_over: Callable[[], bool] = lambda: True) -> None:
        """Work until told to stop. Idle for long enough, it asks ``is_over`` and then looks once more."""
        remove_left_behind(self._settings.job.root)
        remove_old(self._settings.job)
        over = threading.Event()
        holding = threading.Thread(target=self._hold, args=(over,), name="runfold-holding", daemon=True)
        holding.start()
        try:
            self._work(is_over)
            self._end_jobs()
        finally:
            over.set()
            holding.join()

    def _hold(self, over: threading.Event) -> None:
        """Tell jobs that the lease is fresh. On a thread of its own: no question that hangs has a script stopped."""
        while not over.wait(self._settings.poll_s):
            if self._runs.lease_age_s() < FRESH_LEASE_S:
                for job in list(self._jobs.values()):
                    job.hold()

    def _work(self, is_over: Callable[[], bool]) -> None:
        worked_at = time.monotonic()
        while not self._stopping.is_set():
            if self._turn():
                worked_at = time.monotonic()
            elif self._may_end(time.monotonic() - worked_at) and is_over():
                break
            self._stopping.wait(self._settings.poll_s)

    def _may_end(self, idle_s: float) -> bool:
        longest_s = 0.0 if self._settings.once else self._settings.idle_s_max
        return longest_s is not None and idle_s >= longest_s

    def _turn(self) -> bool:
        """Look once; whether there is, or was, anything to do."""
        try:
            self._listen()
            self._forget_ended()
            took = self._take()
            if time.monotonic() >= self._lost_at:
                self._lost_at = time.monotonic() + LOST_EVERY_S
                took = self._look_after_lost() or took
        except Unavailable as error:
            _log.warning("no answer; will ask again", why=error.message)
            return True
        except RunfoldError as error:
            _log.error("looking for work failed; will try again", why=error.message)
            return bool(self._jobs)
        return took or bool(self._jobs)

    # Jobs

    def _listen(self) -> None:
        if not self._jobs:
            return
        for run_id, status in self._runs.statuses(list(self._jobs)).items():
            self._jobs[run_id].hear(status)

    def _forget_ended(self) -> None:
        for run_id in [run_id for run_id, job in self._jobs.items() if job.is_over]:
            _log.info("a run is over", run_id=run_id)
            del self._jobs[run_id], self._parents[run_id]

    def _take(self) -> bool:
        """Claim what waits, as far as there is room; whether anything was claimed."""
        took = False
        for run_id in self._runs.claimed_late():
            self._begin(run_id, None)
            took = True
        for view in self._waiting():
            if self._stopping.is_set() or not self._has_place(view):
                continue
            if self._runs.claim(view.run_id):
                self._begin(view.run_id, view.parent_run_id)
                took = True
            else:
                self._refused[view.run_id] = time.monotonic()
        return took

    def has_work(self) -> bool:
        """Whether anything waits that it has not tried in vain."""
        return bool(self._waiting())

    def _waiting(self) -> list[RunView]:
        """Waiting runs; one that could not be had is left alone for a while, whatever holds it."""
        now = time.monotonic()
        self._refused = {run_id: at for run_id, at in self._refused.items() if now - at < REFUSED_S}
        views_max = self._settings.runs_at_once + len(self._jobs) + len(self._refused)
        views = self._runs.waiting(views_max)
        if len(views) >= views_max:
            views += self._waiting_below_ours({view.run_id for view in views}, views_max)
        return [view for view in views if view.run_id not in self._jobs and view.run_id not in self._refused]

    def _waiting_below_ours(self, seen: set[str], views_max: int) -> list[RunView]:
        """Children of what is executed here, behind however many older runs: their parents may wait for them."""
        lenders = set(self._parents.values())
        parents = [run_id for run_id in self._jobs if run_id not in lenders]  # whose place nobody has yet
        views = self._runs.waiting_below(parents, views_max) if parents else []
        return [view for view in views if view.run_id not in seen]

    def _has_place(self, view: RunView) -> bool:
        return has_place(view.parent_run_id, self._parents, self._settings.runs_at_once)

    def _begin(self, run_id: str, parent_run_id: str | None, *, again: bool = False) -> None:
        _log.info("a run begins", run_id=run_id, again=again)
        job = Job(self._runs, self._executor, run_id, self._settings.job, again=again)
        self._jobs[run_id], self._parents[run_id] = job, parent_run_id
        job.start()

    # Runs of agents that are gone

    def _look_after_lost(self) -> bool:
        took = False
        for view in self._runs.lost(self._settings.runs_at_once + len(self._jobs)):
            if view.run_id not in self._jobs:
                took = self._settle_lost(view) or took
        return took

    def _settle_lost(self, view: RunView) -> bool:
        try:
            policy = self._runs.definition(view.run_id).when_lost
        except NotFound:  # held and lost by something that is no agent
            return False
        except Invalid:
            policy = "fail"
        if policy == "fail":
            _log.warning("failing a run whose agent is gone", run_id=view.run_id)
            return self._fail_lost(view.run_id)
        if not self._has_place(view):
            return False
        if self._runs.adopt(view.run_id):
            self._begin(view.run_id, view.parent_run_id, again=True)
            return True
        return False

    def _fail_lost(self, run_id: str) -> bool:
        """Whether it was failed: its agent, or another one, may have it again by now."""
        error = agent_error(
            "the agent that executed the run is gone, and its processes with it; run_config.agent.when_lost = "
            "'again' would let another agent execute it again",
            LOST_CODE,
        )
        try:
            self._runs.fail(run_id, error)
        except RunRejected as rejected:
            _log.warning("a lost run is not failed", run_id=run_id, why=rejected.message)
            return False
        return True

    # The end

    def _end_jobs(self) -> None:
        """Everything of every job ends; what may be executed again is left to another agent."""
        reason = agent_error(f"its agent ({self._settings.job.agent_name}) was told to stop", AGENT_CODE)
        for job in self._jobs.values():
            job.give_up(reason)
        deadline = time.monotonic() + STOP_S_MAX
        for job in self._jobs.values():
            job.join(max(0.0, deadline - time.monotonic()))
