"""A helper process, asked from the event loop: no thread waits for its answers, and several may be under way.

See :mod:`runfold_services.helper_process` for what it is and for its own end. A thread that waits for an answer gets
the interpreter back only when the loop lets go of it, which takes up to 5 ms while the loop is busy with the next
requests: longer than the commit of a batch.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Sequence
from typing import Final

import structlog

from runfold_services.helper_process import READY, SIZE

ANSWER_S_MAX: Final = 60.0
RESTART_S: Final = 30.0  # after a failure
STOP_S: Final = 5.0
ANSWER_BYTES_HELD: Final = 1024 * 1024  # of an answer that is being read; beyond, the process waits
_log = structlog.stdlib.get_logger("runfold.helper")


class HelperOnLoop:
    """The server's end. Lives on one event loop; no call raises for what goes wrong in the process."""

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
            command: what starts the process; see :func:`~runfold_services.helper_process.answer_requests`.
            task: what it does, for the log.
            answer_s_max: how long an answer may take before the process is ended.
            restart_s: how long after a failure the next one is started.
        """
        self._command = list(command)
        self._task = task
        self._answer_s_max = answer_s_max
        self._restart_s = restart_s
        self._process: asyncio.subprocess.Process | None = None
        self._life: asyncio.Task[None] | None = None
        self._asked: deque[asyncio.Future[bytes | None]] = deque()
        self._is_ready = False
        self._is_stopping = False
        self._why = ""
        self._start_at = 0.0
        self.failures = 0

    @property
    def is_started(self) -> bool:
        """There is a process, ready or not."""
        return self._process is not None

    @property
    def is_ready(self) -> bool:
        """It takes requests."""
        return self._is_ready

    def start(self) -> None:
        """Begin to start the process, unless there is one, or the last one's failure is recent. Nobody waits for it."""
        if self._life is None and not self._is_stopping and time.monotonic() >= self._start_at:
            self._life = asyncio.create_task(self._live(), name="runfold-helper")

    async def ask(self, request: bytes) -> bytes | None:
        """What the process answers; None when the work is left to the caller, done or not.

        Requests are handled one after the other, in the order of the calls, and so they are answered. A process that
        failed is gone before anybody is told so.
        """
        process = self._process if self._is_ready else None
        if process is None or process.stdin is None:
            return None
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[bytes | None] = loop.create_future()
        self._asked.append(answer)
        process.stdin.write(SIZE.pack(len(request)) + request)
        timer = loop.call_later(self._answer_s_max, self.give_up, "no answer in time")
        try:
            return await answer
        finally:
            timer.cancel()

    def give_up(self, why: str) -> None:
        """End the process, which goes wrong. Whoever waits for an answer is told once it is gone."""
        self._is_ready = False
        self._why = why
        self._kill()

    async def stop(self) -> None:
        """End the process, after what it was asked; none is started any more."""
        self._is_stopping = True
        self._is_ready = False
        life, process = self._life, self._process
        if life is None:
            return
        if process is not None and process.stdin is not None:
            process.stdin.close()
        await asyncio.wait([life], timeout=STOP_S)
        if not life.done():
            self.give_up("it does not end")
            await asyncio.wait([life])

    async def _live(self) -> None:
        """One process, from its start to its end."""
        try:
            self._process = process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=ANSWER_BYTES_HELD,
            )
            try:
                await self._converse(process)
            except (asyncio.IncompleteReadError, ConnectionError):
                await _until_ended(process)
                raise
            finally:
                self._is_ready = False
                if process.returncode is None:
                    self._kill()
                await process.wait()
        except (OSError, asyncio.IncompleteReadError, IndexError) as error:
            if not self._is_stopping:
                self._failed(self._why or f"it ended: {error}")
        finally:
            self._process, self._life, self._why = None, None, ""
            while self._asked:
                _tell(self._asked.popleft(), None)

    def _kill(self) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    async def _converse(self, process: asyncio.subprocess.Process) -> None:
        """Pass answers on until there are no more, which raises."""
        if process.stdout is None or await _message(process.stdout) != READY:
            raise OSError("it says something else than that it is ready")
        self._is_ready = not self._is_stopping
        while True:
            message = await _message(process.stdout)
            _tell(self._asked.popleft(), message)

    def _failed(self, why: str) -> None:
        _log.warning("doing it in this process for now: the helper failed", task=self._task, why=why)
        self.failures += 1
        self._start_at = time.monotonic() + self._restart_s


async def _message(answers: asyncio.StreamReader) -> bytes:
    """The next message of the process. Raises ``IncompleteReadError`` when it has ended."""
    size = await answers.readexactly(SIZE.size)
    return await answers.readexactly(SIZE.unpack(size)[0])


async def _until_ended(process: asyncio.subprocess.Process) -> None:
    """Wait for the end of a process that has closed its output, for a while."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(STOP_S):
            await process.wait()


def _tell(asked: asyncio.Future[bytes | None], answer: bytes | None) -> None:
    if not asked.done():
        asked.set_result(answer)
