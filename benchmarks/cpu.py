"""CPU seconds of processes, read from outside: what a rate costs, whatever else the machine is doing."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
_PARENT, _OWN, _REAPED = 1, slice(11, 13), slice(13, 15)  # of what follows the name in /proc/PID/stat


def cpu_s(pid: int) -> float:
    """CPU seconds of a process, of its descendants, and of those that it has outlived."""
    if not _PROC.joinpath("self", "stat").exists():
        return _cpu_s_of_ps(pid)
    ticks, parents = _all_processes()
    family = {pid}
    while more := {child for child, parent in parents.items() if parent in family} - family:
        family |= more
    return sum(ticks.get(member, 0) for member in family) / os.sysconf("SC_CLK_TCK")


def _all_processes() -> tuple[dict[int, int], dict[int, int]]:
    """Clock ticks and parent of every process."""
    ticks: dict[int, int] = {}
    parents: dict[int, int] = {}
    for folder in _PROC.iterdir():
        if not folder.name.isdigit():
            continue
        try:
            words = folder.joinpath("stat").read_text("utf-8", "replace").rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        parents[int(folder.name)] = int(words[_PARENT])
        ticks[int(folder.name)] = sum(map(int, words[_OWN] + words[_REAPED]))
    return ticks, parents


def _cpu_s_of_ps(pid: int) -> float:
    """Where there is no /proc; in hundredths of a second on macOS."""
    command = ["ps", "-A", "-o", "pid=,ppid=,time="]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in listed.splitlines()]
    family = {pid}
    while more := {int(row[0]) for row in rows if int(row[1]) in family} - family:
        family |= more
    return sum(_seconds(row[2]) for row in rows if int(row[0]) in family)


def _seconds(clock: str) -> float:
    """``[[d-]h:]m:s`` as seconds."""
    days, _, rest = clock.rpartition("-")
    total = 0.0
    for part in rest.split(":"):
        total = total * 60 + float(part)
    return total + int(days or 0) * 86_400
