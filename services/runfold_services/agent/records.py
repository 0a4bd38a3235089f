"""What is kept of a run while its script runs, and afterwards: its logs, and what it leaves."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from functools import partial

import structlog

from runfold_events.contract.errors import RunfoldError
from runfold_services.agent import outages, outputs
from runfold_services.agent.definition import AGENT_LOG_PATH, LOG_PATH, RunDefinition
from runfold_services.agent.folders import RunFolder
from runfold_services.agent.ports import AgentRuns
from runfold_services.agent.streams import NOT_OF_A_FILE, LogStream, WatchedFolders

_log = structlog.stdlib.get_logger("runfold.agent")


class Records:
    """Sends what a script writes. What is wrong with one file is noted in the agent's log, and stops no other."""

    def __init__(self, runs: AgentRuns, run_id: str, folder: RunFolder, definition: RunDefinition) -> None:
        self.is_erased = False  # nothing more of the run may be kept
        self._runs = runs
        self._run_id = run_id
        self._folder = folder
        self._definition = definition
        self._left_out: dict[str, str] = {}  # by path: why it is not, or not all of it, among the run's files
        self._logs = [
            LogStream(runs, run_id, path, file, outages.answered(partial(runs.log_size, run_id, path)))
            for path, file in ((LOG_PATH, folder.script_log), (AGENT_LOG_PATH, folder.agent_log))
        ]
        self._watched = WatchedFolders(
            runs, run_id, folder.work, definition.watched_folders, self._left_out.setdefault
        )
        self._given_up: set[str] = set()
        self._retry_at = 0.0
        self._scan_at = 0.0

    def note(self, text: str) -> None:
        """A line of the agent's own log. Where none can be written the run goes on without."""
        line = f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {text}\n"
        with (
            contextlib.suppress(OSError),
            self._folder.agent_log.open("a", encoding="utf-8", errors="backslashreplace") as file,
        ):
            file.write(line)  # a name that is not UTF-8 may be in it

    def pump(self) -> bool:
        """Send what is new; whether there was anything. A server that is gone is asked again a little later."""
        now = time.monotonic()
        if now < self._retry_at:
            return False
        try:
            was_something = self._pump_logs()
            if now >= self._scan_at:
                self._scan_at = now + outages.RETRY_S
                was_something = self._watched.pump() or was_something
        except NOT_OF_A_FILE:
            self._retry_at = now + outages.RETRY_S
            return False
        return was_something

    def send_logs(self, deadline: float) -> None:
        """Send all that there is of the logs, if that is possible; :meth:`finish` tries again."""
        self._failure_of(self._drain, deadline)

    def finish(self, deadline: float) -> str | None:
        """Send the rest, store outputs, and close the logs; None when all is stored, otherwise why it is not."""
        done: set[str] = set()
        steps: list[Callable[[], None]] = [self._drain]
        if self._definition.collects_outputs:
            steps.append(lambda: self._collect(done))
        steps += [self._note_left_out, self._drain, self._close_logs]
        failures = [why for step in steps if (why := self._failure_of(step, deadline)) is not None]
        if not failures:
            return None
        _log.error("not everything that a run left is stored", run_id=self._run_id, why=failures[0])
        return failures[0]

    def _failure_of(self, step: Callable[[], None], deadline: float) -> str | None:
        """Take a step; why it could not be taken. Others are taken all the same."""
        try:
            outages.patiently(step, deadline)
        except RunfoldError as error:
            return error.message
        except Exception as error:
            _log.exception("what a run left could not be stored", run_id=self._run_id)
            return f"{type(error).__name__}: {error}"
        return None

    def _drain(self) -> None:
        while self._pump_logs() or self._watched.pump():
            pass

    def _pump_logs(self) -> bool:
        was_something = False
        for log in self._logs:
            if log.path in self._given_up:
                continue
            try:
                was_something = log.pump() or was_something
            except NOT_OF_A_FILE:
                raise
            except (
                RunfoldError,
                OSError,
            ) as error:  # a limit, or the script recorded a file of this path itself
                self._give_up(log.path, error)
        return was_something

    def _give_up(self, path: str, error: RunfoldError | OSError) -> None:
        why = error.message if isinstance(error, RunfoldError) else str(error)
        _log.warning("a log is not followed any more", run_id=self._run_id, path=path, why=why)
        self.is_erased = self.is_erased or (isinstance(error, RunfoldError) and "erased" in error.facts)
        self._given_up.add(path)
        self._left_out.setdefault(path, why)

    def _collect(self, done: set[str]) -> None:
        outputs.collect(self._runs, self._run_id, self._folder.work, done, self._left_out.setdefault)

    def _note_left_out(self) -> None:
        for path, why in self._left_out.items():
            self.note(f"warning: {path} is not stored, or not all of it: {why}")
        self._left_out.clear()

    def _close_logs(self) -> None:
        paths = [log.path for log in self._logs if not log.is_empty] + self._watched.paths()
        for path in paths:
            try:
                self._runs.finish_log(self._run_id, path)
            except NOT_OF_A_FILE:
                raise
            except RunfoldError as error:
                _log.warning("a log was not closed", run_id=self._run_id, path=path, why=error.message)
