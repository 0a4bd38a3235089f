"""``runfold up`` of the distributed set-up: one process of each role, kept running, stopped together.

For one machine. Elsewhere whatever runs processes there (systemd, Kubernetes) does this.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import structlog
from msgspec import Struct

from runfold_services.process import RETRY_S_MAX, RETRY_S_MIN, StartFailed, new_loop_factory, signals_to
from runfold_services.serve import RoleName

READY: Final = " ready at "
KILL_AFTER_S: Final = 40.0  # after the time that a process gives itself
STEADY_S: Final = 10.0  # who ran so long and ends is started again at once
_log = structlog.stdlib.get_logger("runfold.up")


class Child(Struct, frozen=True, kw_only=True):
    """One process to keep running."""

    role: RoleName
    command: Sequence[str]
    environment: Mapping[str, str]


def supervise(children: Sequence[Child], on_ready: Callable[[dict[str, str]], None]) -> None:
    """Run ``children`` until SIGTERM or SIGINT; a child that ends is started again.

    Args:
        children: what to run.
        on_ready: called once, with the URL of each role, when all of them are ready for the first time.

    Raises:
        StartFailed: a child ended before it was ever ready: what it needs is wrong, and it has said what.
    """
    with asyncio.Runner(loop_factory=new_loop_factory()) as runner:
        runner.run(_Supervisor(children, on_ready).run())


class _Supervisor:
    def __init__(self, children: Sequence[Child], on_ready: Callable[[dict[str, str]], None]) -> None:
        self._children = children
        self._on_ready = on_ready
        self._stopping = asyncio.Event()
        self._urls: dict[str, str] = {}
        self._running: dict[RoleName, asyncio.subprocess.Process] = {}

    async def run(self) -> None:
        with signals_to(asyncio.get_running_loop(), self._on_signal):
            tasks = [asyncio.create_task(self._keep(child)) for child in self._children]
            try:
                await asyncio.gather(*tasks)
            finally:
                self._stopping.set()
                self._tell_all(signal.SIGTERM)
                await asyncio.gather(*tasks, return_exceptions=True)

    def _on_signal(self) -> None:
        # A terminal's Ctrl-C reaches the children by itself; being told twice would end them at once.
        if not self._stopping.is_set():
            self._stopping.set()
            self._tell_all(signal.SIGTERM)
        else:
            self._tell_all(signal.SIGKILL)

    def _tell_all(self, number: signal.Signals) -> None:
        for process in self._running.values():
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(number)

    async def _keep(self, child: Child) -> None:
        wait_s = RETRY_S_MIN
        while not self._stopping.is_set():
            began = time.monotonic()
            code = await self._run(child)
            if self._stopping.is_set():
                return
            if child.role not in self._urls:
                raise StartFailed(
                    f"the {child.role} ended with {code} before it was ready; its message stands above",
                    facts={"role": child.role, "exit_code": code},
                )
            wait_s = RETRY_S_MIN if time.monotonic() - began > STEADY_S else min(2 * wait_s, RETRY_S_MAX)
            _log.error("a process ended; starting it again", role=child.role, exit_code=code, in_s=wait_s)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._stopping.wait()

    async def _run(self, child: Child) -> int:
        """Run a child to its end; its exit code. Its standard input tells it when this process is gone."""
        process = await asyncio.create_subprocess_exec(
            *child.command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=dict(child.environment),
            start_new_session=True,
        )
        self._running[child.role] = process
        try:
            if self._stopping.is_set():
                process.terminate()
            await self._follow(child, process)
            return await self._ended(process)
        finally:
            del self._running[child.role]

    async def _follow(self, child: Child, process: asyncio.subprocess.Process) -> None:
        """Read the child's one line, and wait until it closes its output."""
        assert process.stdout is not None
        while line := await process.stdout.readline():
            _, _, url = line.decode(errors="replace").partition(READY)
            if url and child.role not in self._urls:
                self._urls[child.role] = url.strip()
                if len(self._urls) == len(self._children):
                    self._on_ready(self._urls)

    async def _ended(self, process: asyncio.subprocess.Process) -> int:
        try:
            async with asyncio.timeout(KILL_AFTER_S):
                return await process.wait()
        except TimeoutError:
            process.kill()
            return await process.wait()


def end_with_parent() -> None:
    """Have this process stop when whoever supervises it is gone: its standard input, a pipe, ends then."""

    def watch() -> None:
        while os.read(sys.stdin.fileno(), 1024):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="runfold-parent", daemon=True).start()
