"""Agents, servers and scripts as processes of their own: what is killed, canceled, large or many."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from runfold import Experiment, Run, RunConfiguration, ScriptRunConfig, Workspace, _process
from runfold.errors import SubmissionFailed
from tests.support.agent_process import AgentProcess, memory_bytes_max
from tests.support.agent_runs import wait_for
from tests.support.program import run as runfold
from tests.support.server_process import ServerProcess

pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at processes under /proc"),
    pytest.mark.timeout(110),
]

TOKEN = "a-secret-of-the-agent"
LEASE_S = 4.0
MEMORY_BYTES_MAX = 300 * 1024 * 1024
# A 60 s sleeper with children: one in its group, one that left it.
FAMILY = """
import os, subprocess, time
children = [subprocess.Popen(["sleep", "60"]), subprocess.Popen(["sleep", "60"], start_new_session=True)]
print(os.getpid(), *[child.pid for child in children], flush=True)
time.sleep(60)
"""


@pytest.fixture(params=["embedded", "http"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """The options that name a ledger: a file, or a server in a process of its own."""
    if request.param == "embedded":
        yield "--home", str(tmp_path / "ledger")
        return
    with ServerProcess(tmp_path / "ledger") as server:
        yield "--url", server.ready()


@pytest.fixture
def workspace(place: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    """A workspace for which only the agents of the test work."""
    monkeypatch.setenv("RUNFOLD_AGENT_IDLE_S", "0")
    yield workspace_at(place)
    _process.close_all()


def workspace_at(place: tuple[str, str], **more: str) -> Workspace:
    option, value = place
    return Workspace(workspace_name="w", **{option.strip("-"): value}, **more)  # type: ignore[arg-type]


def submit(workspace: Workspace, folder: Path, text: str, **settings: Any) -> Run:
    source = folder / uuid4().hex
    source.mkdir()
    (source / "script.py").write_text(text)
    return Experiment(workspace, "agents").submit(ScriptRunConfig(source, "script.py", **settings))


def pids_of(run: Run, count: int = 3) -> list[int]:
    """What the script printed: process ids."""

    def printed() -> list[str]:
        return str(run.get_details_with_logs()["logFiles"].get("user_logs/std_log.txt", "")).split()

    wait_for(lambda: len(printed()) == count)
    return [int(word) for word in printed()]


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] != b"Z"
    except OSError:
        return False


def test_a_sleeper_that_another_process_cancels_is_dead_within_5_s_with_its_children(
    workspace: Workspace, place: tuple[str, str], tmp_path: Path
) -> None:
    with AgentProcess(*place, workspace="w"):
        run = submit(workspace, tmp_path, FAMILY)
        pids = pids_of(run)
        assert all(map(is_alive, pids))
        canceling = subprocess.Popen(
            [sys.executable, "-m", "runfold.cli.main", "run", "cancel", run.id, "-w", "w", *place]
        )
        wait_for(lambda: run.get_status() in {"CancelRequested", "Canceled"})
        asked_at = time.monotonic()
        wait_for(lambda: not any(map(is_alive, pids)), 5.0)
        assert canceling.wait(30) == 0
        wait_for(lambda: run.get_status() == "Canceled")
        assert time.monotonic() - asked_at < 10.0
    reasons = [entry.type for entry in run.history()]
    assert "run.cancel_requested" in reasons, "its holder was asked, and ended it"


def test_ten_runs_submitted_at_once_to_two_agents_are_executed_once_each(
    workspace: Workspace, place: tuple[str, str], tmp_path: Path
) -> None:
    notes = tmp_path / "notes"
    notes.mkdir()
    script = "import sys, tempfile, time\ntempfile.mkstemp(prefix=sys.argv[1] + '-', dir=sys.argv[2])\ntime.sleep(1)"
    with (
        AgentProcess(*place, "--name", "one", "--runs-at-once", "3", workspace="w"),
        AgentProcess(*place, "--name", "two", "--runs-at-once", "3", workspace="w"),
        ThreadPoolExecutor(10) as pool,
    ):
        tasks = [
            pool.submit(submit, workspace, tmp_path, script, arguments=[f"r{n}", str(notes)])
            for n in range(10)
        ]
        runs = [task.result() for task in tasks]
        for run in runs:
            run.wait_for_completion(wait_post_processing=True)
    assert sorted(note.name.partition("-")[0] for note in notes.iterdir()) == [f"r{n}" for n in range(10)]
    agents = {run.get_details_with_logs()["logFiles"]["system_logs/agent_log.txt"].split()[2] for run in runs}
    assert agents == {"one,", "two,"}, "both took their share"


# The agent is killed


@pytest.fixture
def impatient(tmp_path: Path) -> Iterator[ServerProcess]:
    """A server whose leases are short, and which asks for a token."""
    with ServerProcess(tmp_path / "ledger", lease_s=LEASE_S, environment={"RUNFOLD_TOKEN": TOKEN}) as server:
        yield server
    _process.close_all()


def test_a_run_whose_agent_is_killed_does_not_stay_running(impatient: ServerProcess, tmp_path: Path) -> None:
    """It is NotResponding when the lease has ended; another agent fails it, or executes it again, as was said."""
    place = ("--url", impatient.ready())
    secret = {"RUNFOLD_TOKEN": TOKEN}
    workspace = workspace_at(place, token=TOKEN)
    again = RunConfiguration()
    again.agent.when_lost = "again"
    agent = AgentProcess(*place, "--runs-at-once", "4", workspace="w", environment=secret)
    try:
        once = submit(workspace, tmp_path, FAMILY)
        repeatable = submit(workspace, tmp_path, FAMILY, run_config=again)
        pids = pids_of(once) + pids_of(repeatable)
    finally:
        agent.kill()
    control = held_by_nobody(workspace)
    wait_for(lambda: not any(map(is_alive, pids)), 5.0)
    for run in (once, repeatable):
        wait_for(lambda run=run: run.get_status() == "NotResponding", 60.0)  # type: ignore[misc]
    assert control.get_status() == "Running", "a run that nobody holds is never found out"
    with AgentProcess(*place, workspace="w", environment=secret):
        details = once.wait_for_completion(raise_on_error=False)
        assert (details["status"], details["error"]["error"]["code"]) == ("Failed", "AgentLost")
        assert pids_of(repeatable, 6)[:3] == pids[3:]
        assert repeatable.get_status() == "Running"
        repeatable.cancel()
    assert repeatable.get_status() == "Canceled"


def held_by_nobody(workspace: Workspace) -> Run:
    """The control: a run that its process started without holding it, and left."""
    from runfold_events.contract.commands import CreateRun, StartRun

    experiment = Experiment(workspace, "agents")
    run_id = f"control-{uuid4()}"
    command = CreateRun(run_id=run_id, experiment="agents", start=False)
    connection = workspace._connection  # pyright: ignore[reportPrivateUsage]
    connection.call(connection.run_stream("w", run_id), command)
    from runfold._transport import Batch, Item

    start = Item(StartRun(run_id=run_id), 1, time.time_ns() // 1_000)
    connection.transport().submit(Batch(workspace="w", writer_id=uuid4(), items=[start], hold=False))
    return Run(experiment, run_id)


def test_a_script_gets_a_token_of_its_own_where_tokens_are_asked_for(
    impatient: ServerProcess, tmp_path: Path
) -> None:
    place = ("--url", impatient.ready())
    workspace = workspace_at(place, token=TOKEN)
    other = Experiment(workspace, "agents").start_logging()
    script = f"""
import os
from runfold import Run, Workspace
from runfold.errors import RunfoldError
run = Run.get_context()
run.log("value", 1)
run.child_run().complete()
assert os.environ["RUNFOLD_TOKEN"] != {TOKEN!r} and {TOKEN!r} not in os.environ.values()
try:
    Run.get(run.experiment.workspace, {other.id!r}).tag("k")
except RunfoldError as error:
    print(error.code)
"""
    with AgentProcess(*place, workspace="w", environment={"RUNFOLD_TOKEN": TOKEN}):
        run = submit(workspace, tmp_path, script)
        run.wait_for_completion(wait_post_processing=True)
    assert run.get_details_with_logs()["logFiles"]["user_logs/std_log.txt"] == "forbidden\n"
    assert run.get_metrics() == {"value": 1}
    assert len(list(run.get_children())) == 1
    other.complete()


def test_an_agent_can_have_the_machine_looked_at_while_its_scripts_run(
    place: tuple[str, str], workspace: Workspace, tmp_path: Path
) -> None:
    script = """
import time
from runfold import Run
run = Run.get_context()
deadline = time.monotonic() + 60
while "system/cpu_percent" not in run.get_metrics() and time.monotonic() < deadline:
    time.sleep(0.2)
"""
    with AgentProcess(*place, workspace="w", environment={"RUNFOLD_SYSTEM_METRICS": "1"}):
        run = submit(workspace, tmp_path, script)
        run.wait_for_completion(wait_post_processing=True)
    metrics = run.get_metrics()
    assert 0 < metrics["system/memory_percent"] < 100
    assert all(name.startswith("system/") for name in metrics)


# Large logs and outputs


LARGE = """
import hashlib, os
for n in range(100_000):
    print("line", n)
for n in range(4):
    data = os.urandom(1024 * 1024) * 50
    print(hashlib.sha256(data).hexdigest())
    with open(f"outputs/{n}.bin", "wb") as file:
        file.write(data)
    del data
"""


def test_100_000_lines_and_200_mb_of_outputs_take_little_memory_and_nothing_is_missing(
    tmp_path: Path,
) -> None:
    with ServerProcess(tmp_path / "ledger") as server:
        place = ("--url", server.ready())
        workspace = workspace_at(place)
        with AgentProcess(*place, workspace="w") as agent:
            run = submit(workspace, tmp_path, LARGE)
            run.wait_for_completion(wait_post_processing=True)
            peaks = {"agent": agent.memory_bytes_max, "server": memory_bytes_max(server.process.pid)}
        assert all(peak < MEMORY_BYTES_MAX for peak in peaks.values()), peaks
        (log,) = [path for path in run.get_all_logs(tmp_path / "logs") if path.endswith("std_log.txt")]
        lines = Path(log).read_text().splitlines()
        assert lines[:100_000] == [f"line {n}" for n in range(100_000)]
        transport = workspace._connection.transport()  # pyright: ignore[reportPrivateUsage]
        for number, digest in enumerate(lines[100_000:]):
            content = hashlib.sha256()
            for chunk in transport.open_file("w", run.id, f"outputs/{number}.bin", None):
                content.update(chunk)
            assert content.hexdigest() == digest
        assert len(lines) == 100_004
        _process.close_all()


def test_control_a_process_that_reads_all_of_it_is_seen_to_need_the_memory() -> None:
    program = f"import sys; kept = bytearray(b'x' * {MEMORY_BYTES_MAX}); print(len(kept), flush=True); sys.stdin.read()"
    greedy = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert greedy.stdout is not None
    greedy.stdout.readline()
    assert memory_bytes_max(greedy.pid) > MEMORY_BYTES_MAX
    greedy.communicate()


# The agent that submit starts


def test_submit_starts_one_agent_which_ends_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes submit at the same moment; afterwards, when it has ended, the next submit starts another one."""
    monkeypatch.setenv("RUNFOLD_AGENT_IDLE_S", "1")
    home = tmp_path / "ledger"
    source = tmp_path / "source"
    source.mkdir()
    (source / "script.py").write_text("print('done')")
    program = f"""
from runfold import *
experiment = Experiment(Workspace(workspace_name="w", home={str(home)!r}), "e")
run = experiment.submit(ScriptRunConfig({str(source)!r}, "script.py"))
run.wait_for_completion(wait_post_processing=True)
"""
    log = home / "agents" / "w" / "agent.log"

    def starts() -> int:
        return log.read_text().count(" ready: ")

    both = [subprocess.Popen([sys.executable, "-c", program]) for _ in range(2)]
    assert [process.wait(60) for process in both] == [0, 0]
    assert starts() == 1
    lock = home / "agents" / "w" / "agent.lock"
    from runfold_services.agent.presence import Presence

    wait_for(lambda: not Presence(lock.parent).is_somebody_there())
    runfold("run", "list", "--home", str(home), "-w", "w")
    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=60).returncode == 0
    assert starts() == 2
    assert [entry.name for entry in os.scandir(lock.parent) if entry.name.startswith("run-")] == []


def test_an_agent_that_cannot_start_fails_the_submission(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runfold._local_agent.OTHER_S_MAX", 0.3)
    workspace = workspace_at(("--home", str(tmp_path / "ledger")))
    monkeypatch.setenv("RUNFOLD_LOG", "nonsense")  # what the agent reads, and this process does not
    with pytest.raises(SubmissionFailed) as refused:
        submit(workspace, tmp_path, "pass")
    log = tmp_path / "ledger" / "agents" / "w" / "agent.log"
    assert f"{log} ends with:" in refused.value.message
    assert "RUNFOLD_LOG must be one of" in refused.value.message
    (run,) = workspace.experiments["agents"].get_runs()
    assert run.status == "Failed", "nobody waits for it for ever"
    _process.close_all()


def test_over_an_embedded_ledger_a_script_runs_in_its_submitters_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever the agent was started from; what the configuration names wins."""
    monkeypatch.setenv("RUNFOLD_AGENT_IDLE_S", "0")
    other = tmp_path / "other"
    other.symlink_to(sys.executable)
    place = ("--home", str(tmp_path / "ledger"))
    workspace = workspace_at(place)
    with monkeypatch.context() as here:
        here.setattr(sys, "executable", str(other))
        mine = submit(workspace, tmp_path, "import sys; print(sys.executable)")
    config = RunConfiguration()
    config.environment.python.interpreter_path = "/no/python"
    named = submit(workspace, tmp_path, "pass", run_config=config)
    with AgentProcess(*place, workspace="w"):
        mine.wait_for_completion(wait_post_processing=True)
        named.wait_for_completion(wait_post_processing=True, raise_on_error=False)
    assert mine.get_details_with_logs()["logFiles"]["user_logs/std_log.txt"] == f"{other}\n"
    assert "/no/python" in named.get_details()["error"]["error"]["message"]
    _process.close_all()


def test_an_agent_finds_what_a_relative_search_path_led_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The agent's current folder is another one than the submitter's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", "libraries")
    monkeypatch.setenv("RUNFOLD_AGENT_IDLE_S", "1")
    (tmp_path / "libraries").mkdir()
    (tmp_path / "libraries" / "found_by_path.py").write_text("ANSWER = 42")
    run = submit(
        workspace_at(("--home", str(tmp_path / "ledger"))),
        tmp_path,
        "import found_by_path as f; print(f.ANSWER)",
    )
    run.wait_for_completion(wait_post_processing=True)
    assert run.get_details_with_logs()["logFiles"]["user_logs/std_log.txt"] == "42\n"
    _process.close_all()


def test_a_relative_folder_of_files_is_the_same_one_for_agent_and_script(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its name means what it meant when the workspace was opened, whatever the current folder is afterwards."""
    monkeypatch.setenv("RUNFOLD_AGENT_IDLE_S", "1")
    monkeypatch.setenv("RUNFOLD_FILES", "contents")
    monkeypatch.chdir(tmp_path)
    workspace = workspace_at(("--home", str(tmp_path / "ledger")))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    script = """
from runfold import Run
open("outputs/of_the_agent", "w").write("one")
open("mine", "w").write("two")
Run.get_context().upload_file("of_the_script", "mine")
"""
    run = submit(workspace, tmp_path, script)
    run.wait_for_completion(wait_post_processing=True)
    for name, content in (("outputs/of_the_agent", "one"), ("of_the_script", "two")):
        run.download_file(name, str(tmp_path / "got"))
        assert (tmp_path / "got").read_text() == content
    _process.close_all()
