"""A process beside a server that takes work off its interpreter: requests and answers over two pipes.

A helper is a matter of speed alone. Whoever asks does the work itself where there is no answer: while the process
starts, when it fails, and when it hangs. It ends when its input does, so it never outlives its server.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO, Final

import structlog

READY: Final = b"ready"
ANSWER_S_MAX: Final = 60.0
RESTART_S: Final = 30.0  # after a failure
STOP_S: Final = 5.0
PIPE_BYTES: Final = 1024 * 1024  # where the system lets a program ask for it: a request goes in one piece
SIZE: Final = struct.Struct("<I")  # before every request and answer
_READ_BYTES: Final = 1024 * 1024
_log = structlog.stdlib.get_logger("runfold.helper")


def helper_command(task: str, home: Path) -> list[str]:
    """What starts the helper for ``task``, a module of :mod:`runfold_services.compose`, over a home's ledger."""
    return [sys.executable, "-m", f"runfold_services.compose.{task}", str(home)]


class HelperProcess:
    """The server's end. Used by one thread at a time; every call blocks, and none raises for what goes wrong there."""

    def __init__(
        self,
        command: Sequence[str],
        task: str,
        *,
        answer_s_max: float = ANSWER_S_MAX,
        restart_s: float = RESTART_S,
    ) -> None:
        """
        Args:
            command: what starts the process; see :func:`answer_requests`.
            task: what it does, for the log.
            answer_s_max: how long an answer may take before the process is ended.
            restart_s: how long after a failure the next one is started.
        """
        self._command = list(command)
        self._task = task
        self._answer_s_max = answer_s_max
        self._restart_s = restart_s
        self._process: subprocess.Popen[bytes] | None = None
        self._is_ready = False
        self._start_at = 0.0
        self._read = bytearray()
        self.failures = 0

    @property
    def is_started(self) -> bool:
        """There is a process, ready or not."""
        return self._process is not None

    def ask(self, request: bytes) -> bytes | None:
        """What the process answers; None when the work is left to the caller, done or not.

        The first call starts the process, and nobody waits for its start.
        """
        try:
            process = self._running()
            if process is None:
                return None
            until = time.monotonic() + self._answer_s_max
            self._write(process, SIZE.pack(len(request)) + request, until)
            answer = self._message(process, until)
        except OSError as error:
            self.give_up(str(error))
            return None
        if answer is None:
            self.give_up("no answer in time")
        return answer

    def give_up(self, why: str) -> None:
        """End the process, and start none for a while."""
        _log.warning("doing it in this process for now: the helper failed", task=self._task, why=why)
        self.failures += 1
        self._start_at = time.monotonic() + self._restart_s
        if self._process is not None:
            self._process.kill()
        self.stop()

    def stop(self) -> None:
        """End the process, after the request that it is about."""
        process, self._process, self._is_ready = self._process, None, False
        self._read.clear()
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
        """The process once it is ready."""
        if self._process is None:
            if time.monotonic() >= self._start_at:
                self._process = self._start()
            return None
        if not self._is_ready:
            if self._process.poll() is not None:
                raise BrokenPipeError(f"it ended with {self._process.returncode}")
            self._is_ready = self._message(self._process, time.monotonic()) == READY
        return self._process if self._is_ready else None

    def _start(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        if process.stdin is not None and process.stdout is not None:
            _widen(process.stdin.fileno())
            _widen(process.stdout.fileno())
            os.set_blocking(process.stdin.fileno(), False)  # a process that reads nothing blocks nobody
        return process

    def _write(self, process: subprocess.Popen[bytes], data: bytes, until: float) -> None:
        if process.stdin is None:
            raise BrokenPipeError("it has no input")
        fd, left = process.stdin.fileno(), memoryview(data)
        while left:
            try:
                left = left[os.write(fd, left) :]
            except BlockingIOError:
                if not _is_usable(fd, select.POLLOUT, until):
                    raise TimeoutError("it takes no request in time") from None

    def _message(self, process: subprocess.Popen[bytes], until: float) -> bytes | None:
        """The next message of the process; None when there is none in time."""
        if process.stdout is None:
            return None
        fd = process.stdout.fileno()
        while (message := self._taken()) is None:
            if not _is_usable(fd, select.POLLIN, until):
                return None
            data = os.read(fd, _READ_BYTES)
            if not data:
                raise BrokenPipeError("it ended")
            self._read += data
        return message

    def _taken(self) -> bytes | None:
        """A whole message of what was read, taken out of it."""
        if len(self._read) < SIZE.size:
            return None
        end = SIZE.size + SIZE.unpack_from(self._read)[0]
        if len(self._read) < end:
            return None
        message = bytes(self._read[SIZE.size : end])
        del self._read[:end]
        return message


def answer_requests(answer: Callable[[bytes], bytes]) -> None:
    """The helper's end: say that it is ready, and answer on standard output until standard input ends."""
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C goes to the whole group; the server ends this process
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # whatever prints does not get between answers
    _send(answers, READY)
    while (size := requests.read(SIZE.size)) and len(size) == SIZE.size:
        request = requests.read(SIZE.unpack(size)[0])
        _send(answers, answer(request))


def _send(answers: BinaryIO, message: bytes) -> None:
    left = memoryview(SIZE.pack(len(message)) + message)
    while left:
        left = left[answers.write(left) :]


def _is_usable(fd: int, event: int, until: float) -> bool:
    """Whether a pipe can be used before ``until``. Not by ``select()``, which takes no file number above 1,023."""
    poll = select.poll()
    poll.register(fd, event)
    return bool(poll.poll(max(0.0, until - time.monotonic()) * 1_000))


def _widen(fd: int) -> None:
    if sys.platform == "linux":
        import fcntl

        with contextlib.suppress(OSError):  # over what this user may have
            fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
