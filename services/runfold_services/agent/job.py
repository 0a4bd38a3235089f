"""One run's execution, from its claim to its end."""

from __future__ import annotations

import os
import platform
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import structlog
from msgspec import Struct

from runfold_events.contract.commands import ErrorInfo
from runfold_events.contract.errors import RunfoldError, RunRejected
from runfold_events.contract.statuses import TERMINAL, Status
from runfold_events.rules.run import HELD_BY_OTHER
from runfold_services.agent import outages
from runfold_services.agent.definition import FAILING, OUTPUTS, RunDefinition
from runfold_services.agent.errors import (
    TIMEOUT_CODE,
    UNSTORED_CODE,
    agent_error,
    reported_error,
    script_error,
    with_remark,
)
from runfold_services.agent.folders import Keep, KeptBound, RunFolder, remove_old_kept
from runfold_services.agent.plain_files import inside
from runfold_services.agent.ports import AgentRuns, Ended, Execution, Executor, Launch
from runfold_services.agent.records import Records

TURN_S: Final = 0.1
GRACE_S_MAX: Final = 30.0
FENCE_S: Final = (
    60.0  # with a lease of 120 s, the grace period and a late heartbeat: over before the lease is
)
ERROR_FILE: Final = "RUNFOLD_ERROR_FILE"
OWN: Final = "RUNFOLD_"  # variables that are the agent's own, credentials among them, and not for scripts
PASSED_ON: Final = frozenset({"RUNFOLD_SYSTEM_METRICS", "RUNFOLD_SYSTEM_METRICS_S"})  # but these
_log = structlog.stdlib.get_logger("runfold.agent")


class JobSettings(Struct, frozen=True, kw_only=True):
    """What all jobs of an agent have in common."""

    root: Path  # where their folders are
    agent_name: str
    keep: Keep = "never"
    kept: KeptBound = KeptBound()
    environment: Mapping[str, str] = {}  # the agent's own, passed on without what is runfold's


class Job:
    """Executes one claimed run on a thread of its own. The agent tells it what it hears of the run."""

    def __init__(
        self, runs: AgentRuns, executor: Executor, run_id: str, settings: JobSettings, *, again: bool = False
    ) -> None:
        self.run_id = run_id
        self.again = again  # another agent began with it
        self.ended_by_others = False
        self._runs = runs
        self._executor = executor
        self._settings = settings
        self._cancel = threading.Event()
        self._stop_reason: ErrorInfo | None = None
        self._leave = False  # end the script, and leave the run to another agent
        self._has_unstored = False  # something that the script left is in the folder only
        self._is_fenced = False  # the script was ended since another agent may have the run
        self._definition: RunDefinition | None = None
        self._execution: Execution | None = None
        self._thread = threading.Thread(target=self._run, name=f"runfold-run-{run_id[:40]}")

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    @property
    def is_over(self) -> bool:
        """Nothing of it goes on."""
        return not self._thread.is_alive()

    def join(self, timeout_s: float) -> None:
        """Wait for its end."""
        self._thread.join(timeout_s)

    def hear(self, status: Status) -> None:
        """What the agent heard of the run."""
        if status is Status.CANCEL_REQUESTED:
            self._cancel.set()
        elif status in TERMINAL:
            self.ended_by_others = True

    def hold(self) -> None:
        """The lease was renewed just now."""
        execution = self._execution
        if execution is not None:
            execution.alive()

    def give_up(self, reason: ErrorInfo) -> None:
        """The agent is told to stop. A run that may be executed again is left to another agent, another one fails."""
        self._leave = self._definition is not None and self._definition.when_lost == "again"
        self._stop_reason = reason

    # On its own thread

    def _run(self) -> None:
        try:
            self._execute()
            while self._is_fenced and outages.answered(lambda: self._runs.adopt(self.run_id)):
                self._is_fenced, self.again = False, True  # nobody else has taken it
                self._execute()
        except RunRejected as error:
            self._rejected(error)
        except RunfoldError as error:
            self._fail(agent_error(f"the run could not be executed: {error.message}"))
        except Exception as error:
            _log.exception("a run could not be executed", run_id=self.run_id)
            self._fail(agent_error(f"the run could not be executed: {type(error).__name__}: {error}"))

    def _rejected(self, error: RunRejected) -> None:
        """Somebody wanted an end before the script began, or has the run by now: this agent was away."""
        if _is_held_by_other(error):
            _log.warning("another agent has adopted a run", run_id=self.run_id)
        elif error.facts.get("status") == Status.CANCEL_REQUESTED:
            self._try(lambda: self._runs.cancel(self.run_id))
        elif error.code != "run_ended":
            self._fail(agent_error(f"the run could not be executed: {error.message}"))

    def _fail(self, error: ErrorInfo) -> None:
        self._try(lambda: self._runs.fail(self.run_id, error))

    def _try(self, call: Callable[[], None]) -> None:
        try:
            call()
        except RunfoldError as error:
            _log.warning(
                "the end of a run is not recorded as it should", run_id=self.run_id, why=error.message
            )

    def _execute(self) -> None:
        definition = self._definition = outages.answered(lambda: self._runs.definition(self.run_id))
        folder = RunFolder(self._settings.root)
        has_failed = True
        try:
            outages.answered(lambda: self._runs.restore(self.run_id, definition.snapshot_id, folder.work))
            for name in (OUTPUTS, *definition.watched_folders):
                _make_folder(folder.work, name)
            has_failed = self._execute_in(folder, definition)
        finally:
            keep = self._settings.keep
            is_kept = self._has_unstored or keep == "always" or (keep == "failed" and has_failed)
            folder.close(keep=is_kept)
            remove_old(self._settings)

    def _execute_in(self, folder: RunFolder, definition: RunDefinition) -> bool:
        """Whether it failed."""
        self._runs.advance(self.run_id, Status.QUEUED, f"on {self._settings.agent_name}")
        records = Records(self._runs, self.run_id, folder, definition)
        records.note(f"agent {self._settings.agent_name}, {sys.executable}")
        for warning in definition.warnings:
            records.note(f"warning: {warning}")
        if self.again:
            records.note("its agent is gone; it is executed again from the beginning")
        launch = self._launch(folder, definition)
        self._runs.start(self.run_id)
        execution = self._execution = self._executor.start(launch)
        self._has_unstored = True
        ended = self._watch(execution, records, definition)
        return self._end(ended, folder, records)

    def _launch(self, folder: RunFolder, definition: RunDefinition) -> Launch:
        environment = {
            name: value
            for name, value in self._settings.environment.items()
            if not name.startswith(OWN) or name in PASSED_ON
        }
        environment.setdefault("PYTHONUNBUFFERED", "1")
        environment |= definition.environment_variables
        environment |= outages.answered(lambda: self._runs.environment(self.run_id))
        environment[ERROR_FILE] = str(folder.error_file)
        return Launch(
            words=_words(definition),
            folder=folder.work,
            environment=environment,
            log=folder.script_log,
            grace_s=min(max(definition.grace_s, 0.0), GRACE_S_MAX),
            fence_s=FENCE_S if definition.when_lost == "again" else None,
            keep_open=folder.lock,
        )

    def _watch(self, execution: Execution, records: Records, definition: RunDefinition) -> Ended:
        """Until the script ended, by itself or because somebody wanted it to: whatever happens, not before."""
        began = time.monotonic()
        limit_s = definition.duration_s_max
        while (ended := execution.poll()) is None:
            if limit_s is not None and time.monotonic() - began > limit_s and self._stop_reason is None:
                self._stop_reason = agent_error(f"the script took longer than {limit_s:g} s", TIMEOUT_CODE)
            if self._cancel.is_set() or self.ended_by_others or self._stop_reason is not None:
                execution.stop()
            if not self._pump(records):
                time.sleep(TURN_S)
        return ended

    def _pump(self, records: Records) -> bool:
        """Send what is new; where that goes wrong in a way that nobody thought of, the script is to end."""
        try:
            was_something = records.pump()
        except Exception as error:
            _log.exception("a script cannot be followed", run_id=self.run_id)
            why = f"the script could not be followed: {type(error).__name__}: {error}"
            self._stop_reason = self._stop_reason or agent_error(why)
            return False
        self.ended_by_others = self.ended_by_others or records.is_erased
        return was_something

    def _end(self, ended: Ended, folder: RunFolder, records: Records) -> bool:
        """Record how it ended and what it left. A canceled run's end comes first: somebody waits for it."""
        self._is_fenced = ended.fenced
        if self._leave or self._is_fenced:
            self._has_unstored = False  # whoever executes it again makes it anew
            return True
        error = self._error_of(ended, folder, records)
        is_canceled = self._cancel.is_set() and self._stop_reason is None and not self.ended_by_others
        deadline = time.monotonic() + outages.OUTAGE_S_MAX
        if is_canceled:
            self._tell(lambda: self._runs.cancel(self.run_id), deadline)
        elif not self.ended_by_others and not self._finalizing(error, records, deadline):
            _log.error("a run was adopted by another; its folder here is kept", folder=str(folder.path))
            return True
        unstored = records.finish(deadline)
        self._has_unstored = unstored is not None and not records.is_erased
        if self._has_unstored:
            error = self._unstored_error(unstored or "", folder, error)
        if not is_canceled and not self.ended_by_others:
            self._tell(lambda: self._end_as(error), deadline)
        return error is not None

    def _end_as(self, error: ErrorInfo | None) -> None:
        if error is None:
            self._runs.complete(self.run_id)
        else:
            self._runs.fail(self.run_id, error)

    def _unstored_error(self, why: str, folder: RunFolder, error: ErrorInfo | None) -> ErrorInfo:
        """``error``, if the script has one, with what became of its files; they are where only people can get them."""
        place = f"agent {self._settings.agent_name} ({platform.node()}), in {folder.path}"
        text = f"not everything that the script left is stored ({why}); it is kept on {place}"
        _log.error("the folder of a run is kept", run_id=self.run_id, folder=str(folder.path), why=why)
        return agent_error(text, UNSTORED_CODE) if error is None else with_remark(error, text)

    def _tell(self, end: Callable[[], None], deadline: float) -> None:
        self._try(lambda: outages.patiently(end, deadline))

    def _error_of(self, ended: Ended, folder: RunFolder, records: Records) -> ErrorInfo | None:
        if self._stop_reason is not None:
            return self._stop_reason
        if ended.failure is not None:
            return agent_error(f"the script could not be started: {ended.failure}")
        reported = reported_error(folder.error_file)
        if ended.exit_code != 0:
            records.note(f"the script ended with {ended.exit_code}")
            return script_error(ended.exit_code, folder.script_log, reported)
        if reported is not None:
            records.note(
                f"warning: the script called fail() ({reported.message}) and ended with exit code 0, which counts"
            )
        return None

    def _finalizing(self, error: ErrorInfo | None, records: Records, deadline: float) -> bool:
        """Who waits may look away at Finalizing: by then the logs are complete, and it says whether the run fails.

        False: another agent has adopted the run.
        """
        records.send_logs(deadline)
        try:
            self._runs.advance(self.run_id, Status.FINALIZING, None if error is None else FAILING)
        except RunRejected as rejected:
            self.ended_by_others = rejected.code == "run_ended"
            return not _is_held_by_other(rejected)
        except RunfoldError as unheard:  # of a station; the end is told until somebody has heard it
            _log.warning("nobody heard that a script ended", run_id=self.run_id, why=unheard.message)
        return True


def _is_held_by_other(error: RunRejected) -> bool:
    return error.facts.get("reason") == HELD_BY_OTHER


def remove_old(settings: JobSettings) -> None:
    """Keep what stays of runs within its bound, and say what goes: it may be the only copy of something."""
    for folder in remove_old_kept(settings.root, settings.kept):
        _log.warning("a kept folder of a run is removed", folder=str(folder))


def _make_folder(work: Path, name: str) -> None:
    """A folder that scripts may rely on; one that would lie elsewhere is not made."""
    path = inside(name)
    if path is not None:
        target = work / path
        if os.path.commonpath([work.resolve(), target.resolve()]) == str(work.resolve()):
            target.mkdir(parents=True, exist_ok=True)


def _words(definition: RunDefinition) -> tuple[str, ...]:
    if isinstance(definition.command, str):
        return ("/bin/sh", "-c", definition.command)
    if definition.command is not None:
        return definition.command
    interpreter = sys.executable if definition.interpreter == "python" else definition.interpreter
    script = (definition.script or "", *definition.arguments)
    if definition.speaks_azureml:
        return (interpreter, "-m", "runfold", *script)
    return (interpreter, *script)
