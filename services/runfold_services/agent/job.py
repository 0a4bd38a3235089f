"""One run's execution, from its claim to its end."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, TypeVar

import structlog
from msgspec import Struct

from runfold_events.contract.commands import ErrorInfo
from runfold_events.contract.errors import RunfoldError, RunRejected, Unavailable
from runfold_events.contract.statuses import TERMINAL, Status
from runfold_services.agent import outputs
from runfold_services.agent.definition import AGENT_LOG_PATH, LOG_PATH, OUTPUTS, RunDefinition
from runfold_services.agent.errors import TIMEOUT_CODE, agent_error, reported_error, script_error
from runfold_services.agent.folders import Keep, RunFolder
from runfold_services.agent.ports import AgentRuns, Ended, Execution, Executor, Launch
from runfold_services.agent.streams import LogStream, WatchedFolders

TURN_S: Final = 0.1
OUTAGE_S_MAX: Final = 600.0  # how long what a script left is kept for a server that is gone
PREPARE_S_MAX: Final = 60.0  # how long the beginning waits for it
RETRY_S: Final = 1.0
GRACE_S_MAX: Final = 30.0
FENCE_S: Final = (
    60.0  # with a lease of 120 s, the grace period and a late heartbeat: over before the lease is
)
ERROR_FILE: Final = "RUNFOLD_ERROR_FILE"
# Of the agent, and not for scripts: credentials, and where a run is when it is not where the agent says it is.
_NOT_PASSED: Final = frozenset(
    {"RUNFOLD_TOKEN", "RUNFOLD_TOKENS_FILE", "RUNFOLD_POSTGRES", "RUNFOLD_POSTGRES_VIEWS", "RUNFOLD_URL"}
)
T = TypeVar("T")
_log = structlog.stdlib.get_logger("runfold.agent")


class JobSettings(Struct, frozen=True, kw_only=True):
    """What all jobs of an agent have in common."""

    root: Path  # where their folders are
    agent_name: str
    keep: Keep = "never"
    environment: Mapping[str, str] = {}  # the agent's own, passed on without credentials


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
            while self._is_fenced and _answered(lambda: self._runs.adopt(self.run_id)):
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
        """Somebody wanted an end before the script began."""
        if error.facts.get("status") == Status.CANCEL_REQUESTED:
            self._try(lambda: self._runs.cancel(self.run_id))
        elif error.code != "run_ended":
            self._fail(agent_error(f"the run could not be executed: {error.message}"))

    def _fail(self, error: ErrorInfo) -> None:
        self._try(lambda: self._runs.fail(self.run_id, error))

    def _try(self, call: Callable[[], None]) -> None:
        try:
            call()
        except RunfoldError as error:
            _log.warning("the end of a run was not recorded", run_id=self.run_id, why=error.message)

    def _execute(self) -> None:
        definition = self._definition = _answered(lambda: self._runs.definition(self.run_id))
        folder = RunFolder(self._settings.root)
        has_failed = True
        try:
            _answered(lambda: self._runs.restore(self.run_id, definition.snapshot_id, folder.work))
            for name in (OUTPUTS, *definition.watched_folders):
                _make_folder(folder.work, name)
            has_failed = self._execute_in(folder, definition)
        finally:
            keep = self._settings.keep
            folder.close(keep=keep == "always" or (keep == "failed" and has_failed))

    def _execute_in(self, folder: RunFolder, definition: RunDefinition) -> bool:
        """Whether it failed."""
        self._runs.advance(self.run_id, Status.QUEUED, f"on {self._settings.agent_name}")
        records = Records(self._runs, self.run_id, folder, definition)
        records.note(f"agent {self._settings.agent_name}, {sys.executable}")
        for warning in definition.warnings:
            records.note(f"warning: {warning}")
        if self.again:
            records.note("its agent is gone; it is executed again from the beginning")
        self._runs.start(self.run_id)
        execution = self._execution = self._executor.start(self._launch(folder, definition))
        ended = self._watch(execution, records, definition)
        return self._end(ended, folder, records)

    def _launch(self, folder: RunFolder, definition: RunDefinition) -> Launch:
        environment = {
            name: value for name, value in self._settings.environment.items() if name not in _NOT_PASSED
        }
        environment.setdefault("PYTHONUNBUFFERED", "1")
        environment |= definition.environment_variables
        environment |= self._runs.environment(self.run_id)
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
        """Until the script ended, by itself or because somebody wanted it to."""
        began = time.monotonic()
        limit_s = definition.duration_s_max
        while (ended := execution.poll()) is None:
            if limit_s is not None and time.monotonic() - began > limit_s and self._stop_reason is None:
                self._stop_reason = agent_error(f"the script took longer than {limit_s:g} s", TIMEOUT_CODE)
            if self._cancel.is_set() or self.ended_by_others or self._stop_reason is not None:
                execution.stop()
            if not records.pump():
                time.sleep(TURN_S)
        return ended

    def _end(self, ended: Ended, folder: RunFolder, records: Records) -> bool:
        """Record how it ended and what it left. A canceled run's end comes first: somebody waits for it."""
        self._is_fenced = ended.fenced
        if self._leave or self._is_fenced:
            return True
        error = self._error_of(ended, folder, records)
        is_canceled = self._cancel.is_set() and self._stop_reason is None and not self.ended_by_others
        deadline = time.monotonic() + OUTAGE_S_MAX
        if is_canceled:
            _patiently(lambda: self._runs.cancel(self.run_id), deadline)
        elif not self.ended_by_others:
            self._finalizing()
        records.finish()
        if is_canceled or self.ended_by_others:
            return error is not None
        if error is not None:
            _patiently(lambda: self._runs.fail(self.run_id, error), deadline)
        else:
            _patiently(lambda: self._runs.complete(self.run_id), deadline)
        return error is not None

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

    def _finalizing(self) -> None:
        try:
            self._runs.advance(self.run_id, Status.FINALIZING)
        except RunRejected as error:
            self.ended_by_others = error.code == "run_ended"
        except Unavailable:
            return  # a station nobody heard of; the end is told until somebody has


class Records:
    """What is kept of a run while its script runs, and afterwards."""

    def __init__(self, runs: AgentRuns, run_id: str, folder: RunFolder, definition: RunDefinition) -> None:
        self._runs = runs
        self._run_id = run_id
        self._folder = folder
        self._definition = definition
        self._logs = [
            LogStream(runs, run_id, path, file, _answered(lambda path=path: runs.log_size(run_id, path)))  # type: ignore[misc]
            for path, file in ((LOG_PATH, folder.script_log), (AGENT_LOG_PATH, folder.agent_log))
        ]
        self._watched = WatchedFolders(runs, run_id, folder.work, definition.watched_folders)
        self._retry_at = 0.0
        self._scan_at = 0.0

    def note(self, text: str) -> None:
        """A line of the agent's own log."""
        line = f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {text}\n"
        with self._folder.agent_log.open("a", encoding="utf-8") as file:
            file.write(line)

    def pump(self) -> bool:
        """Send what is new; whether there was anything. A server that is gone is asked again a little later."""
        now = time.monotonic()
        if now < self._retry_at:
            return False
        try:
            was_something = self._pump_logs()
            if now >= self._scan_at:
                self._scan_at = now + RETRY_S
                was_something = self._watched.pump() or was_something
        except Unavailable:
            self._retry_at = now + RETRY_S
            return False
        return was_something

    def finish(self) -> None:
        """Send the rest, store outputs, and close the logs; give up when the server is gone for too long."""
        deadline = time.monotonic() + OUTAGE_S_MAX
        done: set[str] = set()
        steps: list[Callable[[], None]] = [self._drain]
        if self._definition.collects_outputs:
            steps.append(lambda: self._collect(done))
        steps += [self._note_problems, self._drain, self._close_logs]
        for step in steps:
            if not _patiently(step, deadline):
                _log.error("what a run left is not stored: no answer for too long", run_id=self._run_id)
                return

    def _drain(self) -> None:
        while self._pump_logs() or self._watched.pump():
            pass

    def _pump_logs(self) -> bool:
        was_something = False
        for log in self._logs:
            was_something = log.pump() or was_something
        return was_something

    def _collect(self, done: set[str]) -> None:
        for problem in outputs.collect(self._runs, self._run_id, self._folder.work, done):
            self.note(f"warning: {problem}")

    def _note_problems(self) -> None:
        for path, why in self._watched.problems.items():
            self.note(f"warning: {path} was not followed: {why}")

    def _close_logs(self) -> None:
        paths = [log.path for log in self._logs if not log.is_empty] + self._watched.paths()
        for path in paths:
            try:
                self._runs.finish_log(self._run_id, path)
            except Unavailable:
                raise
            except RunfoldError as error:
                _log.warning("a log was not closed", run_id=self._run_id, path=path, why=error.message)


def _answered(question: Callable[[], T]) -> T:
    """The answer; asked again for a while when none comes. Raises what else goes wrong."""
    deadline = time.monotonic() + PREPARE_S_MAX
    while True:
        try:
            return question()
        except Unavailable:
            if time.monotonic() > deadline:
                raise
        time.sleep(RETRY_S)


def _patiently(step: Callable[[], None], deadline: float) -> bool:
    """Do it, again while no answer comes; False when that took too long."""
    while True:
        try:
            step()
        except Unavailable:
            if time.monotonic() > deadline:
                return False
            time.sleep(RETRY_S)
        else:
            return True


def _make_folder(work: Path, name: str) -> None:
    """A folder that scripts may rely on; one that would lie elsewhere is not made."""
    from runfold_services.agent.streams import inside

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
