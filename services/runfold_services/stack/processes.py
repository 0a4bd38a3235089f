"""Processes that outlive the one that starts them, recognised later by more than their number."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct

_PROC: Final = Path("/proc")
_POLL_S: Final = 0.02
# Kept so that a child that ends is reaped and can be asked about; a Popen that nobody holds warns when collected.
_children: Final[dict[int, subprocess.Popen[bytes]]] = {}


class Process(Struct, frozen=True):
    """One process for good: numbers are used again, a number together with its birth is not."""

    pid: int
    born: str


def born(pid: int) -> str | None:
    """When a process began, in the words of this system; None when there is none, or only its exit status."""
    if _PROC.joinpath("self/stat").exists():
        return _born_by_proc(pid)
    return _born_by_ps(pid)


def _born_by_proc(pid: int) -> str | None:
    try:
        line = (_PROC / str(pid) / "stat").read_text("utf-8", errors="replace")
        boot = (_PROC / "sys/kernel/random/boot_id").read_text("ascii").strip()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The second field is the program's name in parentheses, and may itself hold spaces and parentheses.
    fields = line.rpartition(")")[2].split()
    return None if fields[0] in ("Z", "X") else f"{boot}:{fields[19]}"


def _born_by_ps(pid: int) -> str | None:
    found = subprocess.run(
        ["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout.split(maxsplit=1)
    return found[1].strip() if len(found) == 2 and not found[0].startswith("Z") else None


def is_alive(process: Process) -> bool:
    """Whether it still runs; a stopped one does."""
    child = _children.get(process.pid)
    if child is not None and child.poll() is not None:
        del _children[process.pid]
    return born(process.pid) == process.born


def spawn(command: Sequence[str], *, log: Path, environment: Mapping[str, str]) -> Process:
    """Start ``command`` in a session of its own, so that neither Ctrl-C nor the end of this process reaches it."""
    with log.open("ab") as said:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            cwd="/",
            env=dict(environment),
            start_new_session=True,
        )
    _children[child.pid] = child
    return Process(child.pid, born(child.pid) or "ended at once")


def send(process: Process, number: signal.Signals, *, family: bool = False) -> bool:
    """Send a signal, to its children too if asked; False when it is gone, and then to nobody."""
    if not is_alive(process):
        return False
    for pid in [process.pid, *(children(process.pid) if family else ())]:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue
    return True


def end(process: Process, first: signal.Signals, *, patience_s: float) -> None:
    """Ask it to end with ``first``, then make it; returns when it is gone."""
    if not send(process, first):
        return
    send(process, signal.SIGCONT, family=True)  # a stopped process would not hear it
    if not wait_until_gone(process, patience_s):
        send(process, signal.SIGKILL, family=True)
        wait_until_gone(process, patience_s)


def wait_until_gone(process: Process, patience_s: float) -> bool:
    deadline = time.monotonic() + patience_s
    while is_alive(process):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True


def children(pid: int) -> list[int]:
    """The processes that ``pid`` started itself and that are still there."""
    if not _PROC.joinpath("self/stat").exists():
        listed = subprocess.run(
            ["ps", "-axo", "pid=,ppid="], capture_output=True, text=True, check=True
        ).stdout
        return [int(child) for child, parent in map(str.split, listed.splitlines()) if int(parent) == pid]
    found: list[int] = []
    for folder in _PROC.iterdir():
        if folder.name.isdecimal():
            try:
                fields = (folder / "stat").read_text("utf-8", errors="replace").rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(fields[1]) == pid:
                found.append(int(folder.name))
    return found
