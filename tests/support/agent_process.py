"""``runfold agent`` in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.support.repository import script

WAIT_S: Final = 60.0
LIFE_S_MAX: Final = 110.0


class AgentProcess:
    """Ready when it is made. ``place`` are the options that name the runs: ``--url URL`` or ``--home DIR``."""

    def __init__(
        self, *place: str, workspace: str = "default", environment: Mapping[str, str] | None = None
    ) -> None:
        self.process = subprocess.Popen(
            [str(script("runfold")), "agent", "-w", workspace, *place],
            env={**os.environ, **(environment or {})},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.log: list[str] = []
        self._ready = threading.Event()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        # Whatever happens, no test leaves a process behind.
        self._watchdog = threading.Timer(LIFE_S_MAX, self.process.kill)
        self._watchdog.start()
        assert self._ready.wait(WAIT_S), self.log

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.log.append(line)
            if " ready: " in line:
                self._ready.set()
        self._ready.set()

    def __enter__(self) -> AgentProcess:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.wait()

    def kill(self) -> None:
        """As a crash, or the system short of memory, would."""
        self.process.kill()
        self.wait()

    def wait(self) -> int:
        """Wait for its end; the exit code."""
        code = self.process.wait(WAIT_S)
        self._watchdog.cancel()
        self._watchdog.join()
        self._reader.join(WAIT_S)
        if self.process.stderr is not None:
            self.process.stderr.close()
        return code

    @property
    def memory_bytes_max(self) -> int:
        """The most memory that it ever had."""
        return memory_bytes_max(self.process.pid)


def memory_bytes_max(pid: int) -> int:
    """The most memory that a process ever had, as Linux counts it."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"process {pid} has no peak on {sys.platform}")
