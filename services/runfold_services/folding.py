"""Folding beside a busy server: a helper process folds the same file, so that folds and requests share no interpreter.

Views are correct whoever folds them: checkpoints are compared and set in the fold's transaction. So the helper is a
matter of speed alone. Without it, or when it fails, the server folds by itself, as it does while it has little to do.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import structlog

from runfold_services.threads import Places

T = TypeVar("T")

READY: Final = "ready"
DONE: Final = "done"
BUSY_FOLD_S: Final = 0.02  # a fold that takes as long keeps requests waiting, and is worth a process
ANSWER_S_MAX: Final = 60.0
RESTART_S: Final = 30.0  # after a failure
STOP_S: Final = 5.0
_log = structlog.stdlib.get_logger("runfold.folding")


def helper_command(home: Path) -> list[str]:
    """What starts a helper over the embedded ledger of ``home``."""
    return [sys.executable, "-m", "runfold_services.compose.folding", str(home)]


class FoldingBeside:
    """:class:`~runfold_services.threads.Places` whose folds are done by a helper once they are worth one."""

    def __init__(self, places: Places, helper: Helper, *, busy_fold_s: float = BUSY_FOLD_S) -> None:
        self._places = places
        self._helper = helper
        self._busy_fold_s = busy_fold_s
        self._is_busy = False

    async def commit(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """See :class:`~runfold_services.threads.Places`."""
        return await self._places.commit(work)

    async def fold(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Let the helper fold first, if it is there; ``work`` folds what is left, which then is next to nothing."""

        async def both() -> T:
            if self._is_busy:
                self._helper.fold()
            began = time.monotonic()
            found = await work()
            self._is_busy = self._is_busy or time.monotonic() - began > self._busy_fold_s
            return found

        return await self._places.fold(both)

    async def query(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """See :class:`~runfold_services.threads.Places`."""
        return await self._places.query(work)

    def stop(self) -> None:
        """See :class:`~runfold_services.threads.Places`."""
        self._places.stop()
        self._helper.stop()


class Helper:
    """The process. Used by one thread at a time; every call blocks, and none raises for what goes wrong with it."""

    def __init__(
        self, command: Sequence[str], *, answer_s_max: float = ANSWER_S_MAX, restart_s: float = RESTART_S
    ) -> None:
        self._command = list(command)
        self._answer_s_max = answer_s_max
        self._restart_s = restart_s
        self._process: subprocess.Popen[bytes] | None = None
        self._is_ready = False
        self._start_at = 0.0
        self._read = b""
        self.failures = 0

    @property
    def is_started(self) -> bool:
        """There is a process, ready or not."""
        return self._process is not None

    def fold(self) -> bool:
        """Have everything folded that was appended; False when that is left to the caller."""
        try:
            process = self._running()
            if process is None or process.stdin is None:
                return False
            process.stdin.write(b"\n")
            process.stdin.flush()
            answer = self._line(process, self._answer_s_max)
        except OSError as error:
            self._give_up(str(error))
            return False
        if answer is None or not answer.startswith(DONE):
            self._give_up(answer or "no answer in time")
            return False
        return True

    def stop(self) -> None:
        """End the process, after the fold that it is in."""
        process, self._process, self._is_ready, self._read = self._process, None, False, b""
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()

    def _running(self) -> subprocess.Popen[bytes] | None:
        """The process once it is ready; nobody waits for its start."""
        if self._process is None:
            if time.monotonic() >= self._start_at:
                self._process = subprocess.Popen(
                    self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
                )
            return None
        if not self._is_ready:
            if self._process.poll() is not None:
                raise BrokenPipeError(f"it ended with {self._process.returncode}")
            self._is_ready = self._line(self._process, 0.0) == READY
        return self._process if self._is_ready else None

    def _line(self, process: subprocess.Popen[bytes], wait_s: float) -> str | None:
        """The next line of the process; None when there is none in time."""
        if process.stdout is None:
            return None
        answers = (
            select.poll()
        )  # select() itself takes no file number above 1,023, and every connection has one
        answers.register(process.stdout, select.POLLIN)
        end = time.monotonic() + wait_s
        while b"\n" not in self._read:
            if not answers.poll(max(0.0, end - time.monotonic()) * 1_000):
                return None
            data = os.read(process.stdout.fileno(), 65_536)
            if not data:
                raise BrokenPipeError("it ended")
            self._read += data
        line, _, self._read = self._read.partition(b"\n")
        return line.decode(errors="replace")

    def _give_up(self, why: str) -> None:
        _log.warning("folding in this process for now: the helper failed", why=why, again_s=self._restart_s)
        self.failures += 1
        self._start_at = time.monotonic() + self._restart_s
        if self._process is not None:
            self._process.kill()
        self.stop()
