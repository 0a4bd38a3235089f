"""One stack for several processes, gone when the last of them is gone: also when they are killed.

Whoever uses the stack holds a shared lock on a file beside its folder. The system lets go of it when a process ends in
whatever way, so a guard process that tries for the exclusive lock once a second learns that nobody is left.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import msgspec

from runfold_services.stack import processes
from runfold_services.stack.folders import locked
from runfold_services.stack.opening import find_stack, open_stack
from runfold_services.stack.port import Progress, Stack
from runfold_services.stack.processes import Process
from runfold_services.stack.settings import StackSettings


@contextmanager
def borrow(path: Path, settings: StackSettings, progress: Progress) -> Generator[Stack]:
    """The stack in ``path``, started by whoever comes first; the last one out stops it and removes it.

    ``path`` should be a folder of one test run. Several processes may borrow at the same time. Logs stay, beside the
    folder that is removed; a stack that does not come up leaves all of its folder for who wants to know why.

    Raises:
        StackError: as `open_stack` and `Stack.start` do.
    """
    path = path.absolute()
    path.parent.mkdir(parents=True, exist_ok=True)
    with holders_file(path).open("ab") as held:
        with locked(door_file(path)):
            fcntl.flock(held, fcntl.LOCK_SH)
            _ensure_guard(path)
        is_up = False
        try:
            with locked(door_file(path)):
                stack = open_stack(path, settings, progress)
                stack.start(progress)
            is_up = True
            yield stack
        finally:
            with locked(door_file(path)):
                fcntl.flock(held, fcntl.LOCK_UN)
                if stop_if_nobody_is_left(path, settings, held, wipe=is_up):
                    _dismiss_guard(path)


def stop_if_nobody_is_left(path: Path, settings: StackSettings, held: IO[bytes], *, wipe: bool) -> bool:
    """With the door locked, so that nobody comes in meanwhile; False when somebody holds the stack."""
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    stack = find_stack(path, settings)
    if stack is not None:
        stack.stop()
        if wipe:
            _keep_logs(path, stack)
            stack.stop(wipe=True)
    return True


def _keep_logs(path: Path, stack: Stack) -> None:
    kept = path.with_name(f"{path.name}.logs")
    kept.mkdir(exist_ok=True)
    for log in [Path(part.log) for part in stack.status().parts if part.log]:
        if log.is_file():
            shutil.copy(log, kept)


def _ensure_guard(path: Path) -> None:
    guarding = _guard(path)
    if guarding is None or not processes.is_alive(guarding):
        command = [sys.executable, "-m", "runfold_services.stack.guard", str(path)]
        started = processes.spawn(command, log=_beside(path, "guard.log"), environment=os.environ)
        _beside(path, "guard.json").write_bytes(msgspec.json.encode(started))


def _dismiss_guard(path: Path) -> None:
    guarding = _guard(path)
    if guarding is not None:
        processes.end(guarding, signal.SIGTERM, patience_s=2)
        _beside(path, "guard.json").unlink()


def _guard(path: Path) -> Process | None:
    try:
        return msgspec.json.decode(_beside(path, "guard.json").read_bytes(), type=Process)
    except FileNotFoundError:
        return None


def holders_file(path: Path) -> Path:
    """Held shared by everybody who uses the stack."""
    return _beside(path, "holders")


def door_file(path: Path) -> Path:
    """Held by whoever comes in or goes out."""
    return _beside(path, "door")


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(f"{path.name}.{suffix}")
