"""The executor of this machine: a process group for each script, under a supervisor that outlives the agent."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Final

from runfold_services.agent.ports import Ended, Launch

SUPERVISOR: Final = Path(__file__).with_name("supervise.py")
# What an interpreter needs to start and to name files as the agent does. Nothing else: scripts can read the variables
# of the process above them, and the agent's credentials are not for them.
_OF_A_SUPERVISOR: Final = frozenset({"LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"})


class LocalExecutor:
    """Starts scripts as processes. See :mod:`runfold_services.agent.supervise` for what happens between."""

    def start(self, launch: Launch) -> LocalExecution:
        """Start one."""
        return LocalExecution(launch)


class LocalExecution:
    """One supervisor and its script."""

    def __init__(self, launch: Launch) -> None:
        self._ended: Ended | None = None
        self._group: int | None = None
        self._lock = threading.Lock()
        self._supervisor = subprocess.Popen(
            [sys.executable, "-I", "-S", str(SUPERVISOR)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={name: value for name, value in os.environ.items() if name in _OF_A_SUPERVISOR},
            start_new_session=True,  # what a terminal sends is for the agent
            pass_fds=() if launch.keep_open is None else (launch.keep_open,),
        )
        self._order(json.dumps(_as_json(launch)))
        self._listener = threading.Thread(target=self._listen, name="runfold-supervisor", daemon=True)
        self._listener.start()

    def poll(self) -> Ended | None:
        """See :class:`~runfold_services.agent.ports.Execution`."""
        return self._ended

    def stop(self) -> None:
        """See :class:`~runfold_services.agent.ports.Execution`."""
        self._order("stop")

    def alive(self) -> None:
        """See :class:`~runfold_services.agent.ports.Execution`."""
        self._order("alive")

    def _order(self, line: str) -> None:
        pipe = self._supervisor.stdin
        with self._lock, contextlib.suppress(OSError, ValueError):  # it may have ended
            if pipe is not None:
                pipe.write(line.encode() + b"\n")
                pipe.flush()

    def _listen(self) -> None:
        """Follow the supervisor's reports until it ends; a supervisor that was killed leaves its script to us."""
        ended: Ended | None = None
        pipe = self._supervisor.stdout
        if pipe is not None:
            with pipe:
                for line in pipe:
                    ended = self._report(json.loads(line)) or ended
        self._supervisor.wait()
        if ended is None:
            self._kill_group()
            ended = Ended(-signal.SIGKILL, None if self._group is not None else "its supervisor was killed")
        with self._lock, contextlib.suppress(OSError):
            if self._supervisor.stdin is not None:
                self._supervisor.stdin.close()
        self._ended = ended

    def _report(self, report: dict[str, Any]) -> Ended | None:
        if "pid" in report:
            self._group = int(report["pid"])
            return None
        if "failed" in report:
            return Ended(1, str(report["failed"]))
        return Ended(int(report["exit"]), fenced=bool(report["fenced"]))

    def _kill_group(self) -> None:
        if self._group is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._group, signal.SIGKILL)


def _as_json(launch: Launch) -> dict[str, Any]:
    return {
        "words": list(launch.words),
        "folder": str(launch.folder),
        "environment": dict(launch.environment),
        "log": str(launch.log),
        "grace_s": launch.grace_s,
        "fence_s": launch.fence_s,
    }
