"""The supervisor of one script: starts it, waits for it, and leaves nothing of it behind. A program of its own.

Between an agent and its script stands a process that outlives the agent by as long as it takes to stop the script. It
reads orders from its standard input, whose other end only the agent has: when that closes, the agent is gone, however
it went. It is small, needs nothing but the standard library, and reports in lines of JSON:

    {"pid": 12}      the script runs; its process group has the same number
    {"failed": "…"}  it could not be started
    {"exit": 0, "fenced": false}
                     it ended, and so did everything that it started; negative: by that signal. Fenced: because
                     the agent had not said for too long that it holds the run

Orders are lines too: the first is the launch, then ``alive`` (the agent still holds the run) and ``stop``.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable

Prctl = Callable[..., int]

TICK_S = 0.05
SWEEP_S_MAX = 5.0  # to kill what keeps being born
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
# As in runfold_events.clock, which this program cannot have: leases end while the machine sleeps.
CLOCK = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC", None))


def elapsed_s() -> float:
    """Seconds since some moment, those that the machine slept through included."""
    return time.monotonic() if CLOCK is None else time.clock_gettime(CLOCK)


def main() -> None:
    """Read a launch, carry it out."""
    orders = Orders(0)
    launch = orders.launch()
    if launch is None:
        return
    become_subreaper()
    for number in (
        signal.SIGINT,
        signal.SIGHUP,
    ):  # of a terminal: meant for the agent, which then says what it wants
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, orders.told)
    try:
        script = start(launch)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        say({"failed": f"{type(error).__name__}: {error}"})
        return
    say({"pid": script.pid})
    watch(script, orders, launch.grace_s, launch.fence_s)
    say({"exit": script.returncode, "fenced": orders.is_fenced})


def say(line: dict[str, object]) -> None:
    """Report; an agent that is gone hears nothing."""
    with contextlib.suppress(OSError):
        os.write(1, json.dumps(line).encode() + b"\n")


class Launch:
    """What to start; see :class:`runfold_services.agent.ports.Launch`."""

    def __init__(self, line: bytes) -> None:
        told = json.loads(line)
        self.words: list[str] = told["words"]
        self.folder: str = told["folder"]
        self.environment: dict[str, str] = told["environment"]
        self.log: str = told["log"]
        self.grace_s: float = told["grace_s"]
        self.fence_s: float | None = told["fence_s"]


class Orders:
    """Lines of the agent. ``wants_end`` once it says so, is gone, or has not renewed the run's lease for too long."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._rest = b""
        self._lines: list[bytes] = []
        self._is_open = True
        self.wants_end = False
        self.is_fenced = False
        self.alive_at = elapsed_s()

    def launch(self) -> Launch | None:
        """The first line, waited for; None when the agent went before it was said."""
        while self._is_open and not self._lines:
            self.read(None)
        return Launch(self._lines.pop(0)) if self._lines else None

    def stop(self) -> None:
        """The script is to end."""
        self.wants_end = True

    def told(self, number: int, frame: object) -> None:
        """A signal says so."""
        self.stop()

    def read(self, timeout_s: float | None) -> None:
        """Wait so long for orders, and follow them."""
        if not self._is_open:
            time.sleep(timeout_s or 0)
            return
        ready, _, _ = select.select([self._descriptor], [], [], timeout_s)
        if not ready:
            return
        data = os.read(self._descriptor, 65536)
        if not data:
            self._is_open, self.wants_end = False, True
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            if line == b"alive":
                self.alive_at = elapsed_s()
            elif line == b"stop":
                self.stop()
            else:
                self._lines.append(line)


def start(launch: Launch) -> subprocess.Popen[bytes]:
    """The script in a process group of its own, its output appended to a file."""
    log = os.open(launch.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        return subprocess.Popen(
            launch.words,
            cwd=launch.folder,
            env=launch.environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            process_group=0,
            preexec_fn=die_with_supervisor(),  # noqa: PLW1509  # there are no threads here
        )
    finally:
        os.close(log)


def watch(script: subprocess.Popen[bytes], orders: Orders, grace_s: float, fence_s: float | None) -> None:
    """Wait for the script's end, or bring it about; then for that of everything that it started."""
    told_at: float | None = None
    while script.poll() is None:
        if fence_s is not None and not orders.wants_end and elapsed_s() - orders.alive_at > fence_s:
            orders.is_fenced = True  # another agent may execute the run from now on
            orders.stop()
        if orders.wants_end and told_at is None:
            told_at = time.monotonic()
            signal_group(script.pid, signal.SIGTERM)
        if told_at is not None and time.monotonic() - told_at > grace_s:
            signal_group(script.pid, signal.SIGKILL)
        orders.read(TICK_S)
    left_s = grace_s if told_at is None else max(0.0, grace_s - (time.monotonic() - told_at))
    end_rest(script.pid, left_s)


def end_rest(group: int, grace_s: float) -> None:
    """End what is left of the group, and of descendants that left it: TERM, the rest of the grace period, KILL."""
    signal_group(group, signal.SIGTERM)
    deadline = time.monotonic() + grace_s
    while is_group_alive(group) and time.monotonic() < deadline:
        reap()
        time.sleep(TICK_S)
    signal_group(group, signal.SIGKILL)
    give_up_at = time.monotonic() + SWEEP_S_MAX
    while reap() and time.monotonic() < give_up_at:
        for pid in own_children():  # orphans become ours, so that in the end this finds all of them
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(TICK_S / 5)


def signal_group(group: int, number: int) -> None:
    """Send a signal to a group that may be gone."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def is_group_alive(group: int) -> bool:
    """Whether anything is left of it."""
    reap()
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def reap() -> bool:
    """Take leave of ended children; False when there are no others either."""
    while True:
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                return True
        except ChildProcessError:
            return False


def own_children() -> list[int]:
    """Our children, where the system lets us find out."""
    me = os.getpid()
    found: list[int] = []
    with contextlib.suppress(OSError):
        for entry in os.scandir("/proc"):
            if entry.name.isdigit() and parent_of(entry.path) == me:
                found.append(int(entry.name))
    return found


def parent_of(process: str) -> int | None:
    """The parent of a process by its folder under /proc; None when it is gone."""
    with contextlib.suppress(OSError, IndexError, ValueError):
        descriptor = os.open(f"{process}/stat", os.O_RDONLY)
        try:
            return int(os.read(descriptor, 4096).rpartition(b")")[2].split()[1])
        finally:
            os.close(descriptor)
    return None


def prctl() -> Prctl | None:
    """The function of the same name, or None where there is none."""
    if not sys.platform.startswith("linux"):
        return None
    import ctypes

    with contextlib.suppress(OSError, AttributeError):
        function: Prctl = ctypes.CDLL(None).prctl
        return function
    return None


def become_subreaper() -> None:
    """Let descendants whose parent ends become our children."""
    function = prctl()
    if function is not None:
        function(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def die_with_supervisor() -> Callable[[], None] | None:
    """What a child does before it becomes the script: have itself killed when we are; the agent kills its group."""
    function = prctl()
    if function is None:
        return None
    me = os.getpid()

    def arrange() -> None:
        function(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != me:  # we ended in between
            os._exit(1)

    return arrange


if __name__ == "__main__":
    main()
