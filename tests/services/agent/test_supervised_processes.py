"""Nothing of a script outlives what it belongs to: however the script, its agent or its supervisor ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from runfold_services.agent import processes
from runfold_services.agent.ports import Ended, Launch
from runfold_services.agent.processes import LocalExecution
from tests.support.agent_runs import wait_for

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at processes under /proc")

# A script with a child that ignores SIGTERM, and one that leaves the group; both write their ids.
FAMILY = """
import os, signal, subprocess, sys, time
stubborn = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
)
first = subprocess.Popen([sys.executable, "-c", stubborn], stdout=subprocess.PIPE)
first.stdout.readline()
second = subprocess.Popen(["sleep", "60"], start_new_session=True)
print(os.getpid(), first.pid, second.pid, flush=True)
time.sleep(60)
"""


class Scene:
    """A folder, a script in it, and what it printed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "log"

    def launch(self, script: str, **settings: Any) -> Launch:
        return Launch(
            words=(sys.executable, "-c", script),
            folder=self.folder,
            environment=dict(os.environ),
            log=self.log,
            grace_s=settings.pop("grace_s", 0.3),
            **settings,
        )

    def pids(self, count: int = 3) -> list[int]:
        """What the script printed: process ids."""
        wait_for(lambda: self.log.exists() and len(self.log.read_text().split()) == count)
        return [int(word) for word in self.log.read_text().split()]


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that ended and that nobody has asked about does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] != b"Z"
    except OSError:
        return False


def end_of(execution: LocalExecution) -> Ended:
    wait_for(lambda: execution.poll() is not None)
    ended = execution.poll()
    assert ended is not None
    return ended


def dead_within(pids: list[int], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while any(map(is_alive, pids)):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@pytest.mark.parametrize(("script", "code"), [("print('x')", 0), ("raise SystemExit(3)", 3)])
def test_a_script_ends_by_itself(scene: Scene, script: str, code: int) -> None:
    assert end_of(LocalExecution(scene.launch(script))) == Ended(code)


def test_what_it_prints_goes_behind_what_is_there(scene: Scene) -> None:
    scene.log.write_text("before\n")
    end_of(
        LocalExecution(scene.launch("import sys; print('out', flush=True); print('err', file=sys.stderr)"))
    )
    assert scene.log.read_text() == "before\nout\nerr\n"


def test_what_the_agent_knows_is_not_in_the_process_above_a_script(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNFOLD_TOKEN", "the agent's own")
    launch = scene.launch("import os; print(open(f'/proc/{os.getppid()}/environ').read())")
    end_of(LocalExecution(launch))
    assert "the agent's own" not in scene.log.read_text()


def test_what_cannot_be_started_says_why(scene: Scene) -> None:
    launch = Launch(
        words=("/no/such/program",), folder=scene.folder, environment={}, log=scene.log, grace_s=1.0
    )
    ended = end_of(LocalExecution(launch))
    assert ended.failure is not None
    assert "/no/such/program" in ended.failure


def test_stopping_ends_children_that_are_deaf_or_left_the_group(scene: Scene) -> None:
    execution = LocalExecution(scene.launch(FAMILY))
    pids = scene.pids()
    assert all(map(is_alive, pids))
    execution.stop()
    assert end_of(execution) == Ended(-signal.SIGTERM)
    assert not any(map(is_alive, pids)), "all of them are dead by the time the end is told"


def test_a_script_that_ends_leaves_nothing_behind(scene: Scene) -> None:
    execution = LocalExecution(scene.launch(FAMILY.replace("time.sleep(60)\n", "os._exit(0)\n")))
    pids = scene.pids()
    assert end_of(execution) == Ended(0)
    assert not any(map(is_alive, pids))


def test_a_script_that_wants_to_tidy_up_has_the_grace_period(scene: Scene) -> None:
    script = """
import signal, sys, time
def tidy(*_):
    time.sleep(0.2)
    print("tidied", flush=True)
    sys.exit(5)
signal.signal(signal.SIGTERM, tidy)
print("ready", flush=True)
time.sleep(60)
"""
    execution = LocalExecution(scene.launch(script, grace_s=20.0))
    wait_for(lambda: scene.log.exists() and scene.log.read_text() == "ready\n")
    execution.stop()
    assert end_of(execution) == Ended(5)
    assert scene.log.read_text() == "ready\ntidied\n"


def test_a_supervisor_that_is_killed_takes_the_script_with_it(scene: Scene) -> None:
    execution = LocalExecution(scene.launch(FAMILY))
    pids = scene.pids()
    os.kill(execution._supervisor.pid, signal.SIGKILL)  # pyright: ignore[reportPrivateUsage]
    assert end_of(execution) == Ended(-signal.SIGKILL)
    assert dead_within(pids[:2], 5.0)
    os.kill(pids[2], signal.SIGKILL)  # what left the group is the supervisor's alone to find


def test_a_script_ends_when_nothing_says_that_the_run_is_held(scene: Scene) -> None:
    began = time.monotonic()
    execution = LocalExecution(scene.launch("import time; time.sleep(60)", fence_s=1.0))
    while time.monotonic() - began < 1.5:
        execution.alive()
        time.sleep(0.05)
    assert execution.poll() is None, "as long as it is said the script goes on"
    assert end_of(execution) == Ended(-signal.SIGTERM, fenced=True)


# The agent is killed


AGENT = """
import os, sys, subprocess, time
from pathlib import Path
from runfold_services.agent.ports import Launch
from runfold_services.agent.processes import LocalExecution
words, folder, log = (sys.executable, "-c", sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])
if sys.argv[4] == "supervised":
    LocalExecution(Launch(words=words, folder=folder, environment=dict(os.environ), log=log, grace_s=0.3))
else:
    subprocess.Popen(words, cwd=folder, stdout=log.open("ab"), process_group=0)
time.sleep(60)
"""


def pids_after_the_agent_was_killed(scene: Scene, how: str) -> list[int]:
    agent = subprocess.Popen([sys.executable, "-c", AGENT, FAMILY, str(scene.folder), str(scene.log), how])
    try:
        pids = scene.pids()
    finally:
        agent.kill()
        agent.wait()
    return pids


def test_an_agent_that_is_killed_leaves_nothing_running(scene: Scene) -> None:
    assert dead_within(pids_after_the_agent_was_killed(scene, "supervised"), 5.0)


def test_control_without_a_supervisor_the_script_lives_on(scene: Scene) -> None:
    pids = pids_after_the_agent_was_killed(scene, "bare")
    try:
        assert not dead_within(pids, 1.0)
        assert all(map(is_alive, pids))
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)


def test_the_supervisor_is_a_program_of_the_standard_library_alone() -> None:
    """It is started for every run, by whichever Python the agent runs on, with nothing else in reach."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(processes.SUPERVISOR)], input=b"", capture_output=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


# A process of its own, because a supervisor ends all of its children. The machine sleeps as soon as it watches.
ASLEEP = """
import os, subprocess, time
from runfold_services.agent import supervise
reading, writing = os.pipe()
orders = supervise.Orders(reading)
script = subprocess.Popen(["sleep", "60"], process_group=0)
awake = time.clock_gettime
time.clock_gettime = lambda clock: awake(clock) + 1_000
supervise.watch(script, orders, grace_s=0.3, fence_s=100)
print(orders.is_fenced)
"""


@pytest.mark.skipif(
    not hasattr(time, "CLOCK_BOOTTIME"), reason="where no clock tells how long a machine slept"
)
def test_the_fence_counts_what_the_machine_slept_through() -> None:
    """Another agent may have the run by then; ``time.monotonic`` stands still meanwhile."""
    watching = subprocess.run(
        [sys.executable, "-c", ASLEEP], capture_output=True, text=True, timeout=30, check=True
    )
    assert watching.stdout == "True\n"
