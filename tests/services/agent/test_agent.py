"""What an agent makes of submitted runs, with real processes and runs in memory."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runfold.cli.commands.agents import agent as agent_command
from runfold_events.contract.errors import NotFound
from runfold_events.contract.statuses import Status
from runfold_services.agent import job as jobs
from runfold_services.agent import outages
from runfold_services.agent.folders import KeptBound, RunFolder, remove_left_behind, remove_old_kept
from runfold_services.agent.slots import has_place
from tests.support.agent_bench import SLEEP, STATIONS, Bench
from tests.support.agent_runs import MemoryRuns, wait_for

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="agents run where there are process groups")


def test_a_script_goes_through_all_stations_and_leaves_what_it_made(bench: Bench) -> None:
    bench.shelf.submit(
        "r",
        "import os, sys\n"
        "print('hello', sys.argv[1:], os.environ['A'], os.environ['RUNFOLD_RUN_ID'], os.environ['COLOUR'])\n"
        "print(sorted(name for name in os.environ if name.startswith('RUNFOLD_')))\n"
        "os.makedirs('outputs/deep')\n"
        "open('outputs/deep/model.bin', 'wb').write(bytes(1000))\n"
        "open('logs/own.txt', 'w').write('of its own')\n",
        arguments=("--lr", "0.1"),
        environment_variables={"A": "b"},
    )
    bench.work()
    assert bench.stations("r") == [*STATIONS, "Completed"]
    assert bench.shelf.log("r") == "hello ['--lr', '0.1'] b r red\n['RUNFOLD_ERROR_FILE', 'RUNFOLD_RUN_ID']\n"
    assert bench.shelf.stored == {("r", "outputs/deep/model.bin"): bytes(1000)}
    assert bench.shelf.log("r", "logs/own.txt") == "of its own"
    assert {path for _, path in bench.shelf.finished} == {
        "user_logs/std_log.txt",
        "system_logs/agent_log.txt",
        "logs/own.txt",
    }
    assert list(bench.root.iterdir()) == [], "the working copy is gone"


@pytest.mark.parity("SC-03")
def test_another_exit_code_fails_the_run_with_the_end_of_its_log(bench: Bench) -> None:
    bench.shelf.submit("r", "import sys\nfor n in range(500): print('line', n)\nsys.exit(3)")
    bench.work()
    assert bench.stations("r") == [*STATIONS, "Failed"]
    message = bench.message("r")
    assert message.startswith("User program ended with exit code 3.")
    assert message.endswith("line 498\nline 499")
    assert "line 100\n" not in message
    assert bench.shelf.error["r"].code == "UserError"


def test_what_a_script_said_of_its_failure_is_the_runs_error_when_its_exit_code_says_so_too(
    bench: Bench,
) -> None:
    error = '{"message": "no data", "code": "Mine"}'
    report = f"import os; open(os.environ['RUNFOLD_ERROR_FILE'], 'w').write({error!r})\n"
    bench.shelf.submit("failed", report + "raise SystemExit(1)")
    bench.shelf.submit("completed", report)
    bench.work()
    assert bench.shelf.error["failed"].code == "Mine"
    assert bench.message("failed").startswith("no data\nUser program ended with exit code 1.")
    assert bench.shelf.status["completed"] == "Completed"
    assert "warning: the script called fail() (no data)" in bench.shelf.log(
        "completed", "system_logs/agent_log.txt"
    )


def test_a_command_line_runs_in_a_shell(bench: Bench) -> None:
    bench.shelf.submit("r", "", script=None, command="echo $COLOUR && exit 4")
    bench.work()
    assert bench.shelf.log("r") == "red\n"
    assert "exit code 4" in bench.message("r")


@pytest.mark.parametrize(
    ("status", "end"), [(Status.CANCEL_REQUESTED, "Canceled"), (Status.FAILED, "Failed")]
)
def test_who_cancels_or_fails_a_run_stops_its_script(bench: Bench, status: Status, end: str) -> None:
    bench.shelf.submit("r", SLEEP)
    with bench.working():
        bench.wait_for_output("r")
        bench.shelf.move("r", status)
        began = time.monotonic()
        bench.wait_for_end("r")
        wait_for(lambda: ("r", "user_logs/std_log.txt") in bench.shelf.finished)
    assert time.monotonic() - began < 5.0
    assert bench.shelf.status["r"] == end
    assert bench.shelf.stations["r"][-1] is bench.shelf.status["r"], "the first end stands"


def test_a_run_that_takes_too_long_fails(bench: Bench) -> None:
    bench.shelf.submit("r", SLEEP, duration_s_max=0.2)
    bench.work()
    assert (bench.shelf.status["r"], bench.shelf.error["r"].code) == ("Failed", "RunTimeout")


def test_an_agent_that_is_told_to_stop_fails_what_it_executes(bench: Bench) -> None:
    bench.shelf.submit("once", SLEEP)
    bench.shelf.submit("repeatable", SLEEP, when_lost="again")
    with bench.working():
        bench.wait_for_output("once")
        bench.wait_for_output("repeatable")
    assert bench.shelf.status["once"] == "Failed"
    assert "told to stop" in bench.message("once")
    assert bench.shelf.status["repeatable"] == "Running", (
        "left to another agent, which finds it without a holder"
    )


# What scripts leave


def test_outputs_that_lead_elsewhere_are_not_stored(bench: Bench, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key").write_text("s3cret")
    bench.shelf.submit(
        "r",
        "import os\n"
        f"os.symlink({str(secret / 'key')!r}, 'outputs/link')\n"
        f"os.symlink({str(secret)!r}, 'outputs/folder')\n"
        "os.mkfifo('outputs/pipe')\n"
        "os.mkfifo('logs/pipe')\n"
        f"os.symlink({str(secret / 'key')!r}, 'logs/link')\n"
        "open('outputs/fine', 'w').write('x')\n",
        watched_folders=("logs", "../elsewhere", "/etc"),
    )
    bench.work()
    assert bench.shelf.stored == {("r", "outputs/fine"): b"x"}
    assert not any(path.startswith("logs/") for _, path in bench.shelf.logs)


def test_outputs_that_are_a_link_themselves_are_not_stored(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "key").write_text("s3cret")
    bench.shelf.submit(
        "r", f"import os\nos.rmdir('outputs')\nos.symlink({str(tmp_path / 'elsewhere')!r}, 'outputs')"
    )
    bench.work()
    assert (bench.shelf.status["r"], bench.shelf.stored) == ("Completed", {})


def test_a_log_is_sent_while_it_grows_and_survives_being_emptied(bench: Bench) -> None:
    bench.shelf.submit(
        "r",
        "import time, pathlib\n"
        "log = pathlib.Path('logs/own.txt')\n"
        "log.write_text('first, and longer')\n"
        "while not pathlib.Path('seen').exists(): time.sleep(0.02)\n"
        "log.write_text('second')\n",
    )
    with bench.working():
        wait_for(lambda: bench.shelf.log("r", "logs/own.txt") == "first, and longer")
        assert bench.shelf.status["r"] == "Running"
        next(bench.root.glob("run-*/work")).joinpath("seen").touch()
        bench.wait_for_end("r")
    assert bench.shelf.log("r", "logs/own.txt") == "first, and longersecond"


def test_a_server_that_is_gone_for_a_while_costs_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outages, "RETRY_S", 0.05)
    bench.shelf.submit(
        "r",
        "import time, pathlib\n"
        "print('before', flush=True)\n"
        "while not pathlib.Path('seen').exists(): time.sleep(0.02)\n"
        "print('meanwhile')\nopen('outputs/o', 'w').write('x')\n",
    )
    with bench.working():
        bench.wait_for_output("r")
        bench.runs.is_gone = True
        next(bench.root.glob("run-*/work")).joinpath("seen").touch()
        time.sleep(0.5)
        assert bench.shelf.status["r"] == "Running"
        bench.runs.is_gone = False
        bench.wait_for_end("r")
    assert bench.shelf.status["r"] == "Completed"
    assert bench.shelf.log("r") == "before\nmeanwhile\n"
    assert bench.shelf.stored == {("r", "outputs/o"): b"x"}


@pytest.mark.parametrize(
    ("keep", "kept"),
    [("never", []), ("failed", ["bad"]), ("always", ["bad", "good"])],
    ids=["never", "failed", "always"],
)
def test_which_working_copies_stay(bench: Bench, keep: str, kept: list[str]) -> None:
    bench.shelf.submit("good", "open('good', 'w')")
    bench.shelf.submit("bad", "open('bad', 'w')\nraise SystemExit(1)")
    bench.work(keep=keep)
    found = [file.name for name in ("bad", "good") for file in bench.root.glob(f"run-*/work/{name}")]
    assert found == kept
    assert remove_left_behind(bench.root) == 0, "what was kept on purpose stays"


def test_folders_of_agents_that_are_gone_are_removed(bench: Bench) -> None:
    alive, gone = RunFolder(bench.root), RunFolder(bench.root)
    (gone.work / "sealed").mkdir(mode=0o500)
    os.close(gone.lock)  # its agent and its supervisor are dead
    assert remove_left_behind(bench.root) == 1
    assert list(bench.root.iterdir()) == [alive.path]
    alive.close(keep=False)


def kept_folder(root: Path, days_old: float) -> RunFolder:
    folder = RunFolder(root)
    folder.close(keep=True)
    at = time.time() - days_old * 24 * 3600
    os.utime(folder.path / "kept", (at, at))
    return folder


@pytest.mark.parametrize(
    ("days_max", "folders_max", "stay"),
    [(30.0, 100, [1, 2, 3]), (2.5, 100, [1, 2]), (30.0, 1, [1]), (0.0, 100, []), (30.0, 0, [])],
)
def test_kept_folders_stay_within_a_bound_of_age_and_number(
    bench: Bench, days_max: float, folders_max: int, stay: list[int]
) -> None:
    folders = {days_old: kept_folder(bench.root, days_old) for days_old in (2, 3, 1)}
    removed = remove_old_kept(bench.root, KeptBound(days_max=days_max, folders_max=folders_max))
    assert [age for age in (1, 2, 3) if folders[age].path.exists()] == stay
    assert len(removed) == 3 - len(stay)


def test_the_command_says_the_bound_that_an_agent_has() -> None:
    given = {option.name: option.default for option in agent_command.params}
    bound = KeptBound()
    assert (given["keep_days"], given["keep_folders"]) == (bound.days_max, bound.folders_max)


def test_the_folder_of_a_run_that_is_executed_stays_whatever_the_bound(bench: Bench) -> None:
    """Also one that has the mark of a kept one: what counts is that something of the run lives."""
    nothing = KeptBound(days_max=0.0, folders_max=0)
    executing, marked = RunFolder(bench.root), RunFolder(bench.root)
    (marked.path / "kept").touch()
    assert remove_old_kept(bench.root, nothing) == []
    marked.close(keep=True)
    assert remove_old_kept(bench.root, nothing) == [marked.path], "control: nothing of it lives any more"
    assert list(bench.root.iterdir()) == [executing.path]
    executing.close(keep=False)


def test_an_agent_removes_old_folders_when_it_starts_and_between_runs(bench: Bench) -> None:
    old = kept_folder(bench.root, 31)
    (old.path / "lock").unlink()  # who was removing it died in the middle
    bench.work()
    assert not old.path.exists()
    bench.shelf.submit("first", "raise SystemExit(1)")
    bench.work(keep="failed", kept=KeptBound(folders_max=2))
    (first,) = bench.root.glob("run-*")
    for number in range(2):
        bench.shelf.submit(f"later{number}", "raise SystemExit(1)")
    bench.work(keep="failed", runs_at_once=1, kept=KeptBound(folders_max=2))
    assert len(list(bench.root.glob("run-*"))) == 2
    assert not first.exists()


# Several agents, and agents that are gone


def count_runs(tmp_path: Path, claims_twice: bool) -> list[str]:
    """Two agents on ten runs, each of which notes that it was executed."""
    bench = Bench(tmp_path / "runs")
    notes = tmp_path / "notes"
    notes.mkdir()
    for number in range(10):
        bench.shelf.submit(
            f"r{number}", f"import tempfile; tempfile.mkstemp(prefix='r{number}-', dir={str(notes)!r})"
        )
    agents = [MemoryRuns(bench.shelf, name) for name in ("a", "b")]
    barrier = threading.Barrier(2)
    for runs in agents:
        _look_at_the_same_time(runs, barrier, claims_twice)
    threads = [threading.Thread(target=bench.agent(runs, runs_at_once=10).run) for runs in agents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return sorted(note.name.partition("-")[0] for note in notes.iterdir())


def _look_at_the_same_time(runs: MemoryRuns, barrier: threading.Barrier, claims_twice: bool) -> None:
    """Both agents see all runs waiting before either claims one."""
    look: Callable[[int], Any] = runs.waiting
    looks: list[int] = []

    def waiting(runs_max: int) -> Any:
        found = look(runs_max)
        looks.append(1)
        if len(looks) == 1:
            barrier.wait(30)
        return found

    runs.waiting = waiting  # type: ignore[method-assign]
    if claims_twice:
        runs.claim = lambda run_id: True  # type: ignore[method-assign]


def test_two_agents_execute_each_run_once(tmp_path: Path) -> None:
    assert count_runs(tmp_path, claims_twice=False) == [f"r{number}" for number in range(10)]


def test_control_where_claims_are_not_refused_runs_are_executed_twice(tmp_path: Path) -> None:
    assert len(count_runs(tmp_path, claims_twice=True)) > 10


def test_a_run_whose_agent_is_gone_fails_or_is_executed_again_as_its_definition_says(bench: Bench) -> None:
    bench.shelf.submit("once", "print('never')")
    bench.shelf.submit("repeatable", "print('again')", when_lost="again")
    bench.shelf.logs["repeatable", "user_logs/std_log.txt"] = bytearray(b"first\n")
    for run_id in ("once", "repeatable"):
        bench.shelf.move(run_id, Status.NOT_RESPONDING)
    bench.work()
    assert (bench.shelf.status["once"], bench.shelf.error["once"].code) == ("Failed", "AgentLost")
    assert bench.shelf.log("once") == ""
    assert bench.shelf.status["repeatable"] == "Completed"
    assert bench.shelf.log("repeatable") == "first\nagain\n", "behind what the first agent had sent"


@pytest.mark.parametrize("fails", [False, True], ids=["goes on", "cannot go on"])
@pytest.mark.parametrize("yields", [True, False], ids=["yields", "control"])
def test_an_agent_that_was_away_leaves_what_another_one_has_adopted(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, fails: bool, yields: bool
) -> None:
    """It was stopped while it prepared the run, for longer than its lease."""
    bench.runs.yields = yields
    bench.shelf.submit("r", "print('never')")

    def restore(run_id: str, snapshot_id: str, folder: Path) -> None:
        bench.shelf.holder["r"] = "another agent"
        bench.shelf.move("r", Status.RUNNING)
        if fails:
            raise NotFound("the snapshot is not there")

    monkeypatch.setattr(bench.runs, "restore", restore)
    bench.work()
    disturbed = [] if yields else ["Failed"] if fails else ["Queued"]
    assert bench.stations("r") == ["Starting", "Preparing", "Running", *disturbed]
    assert (bench.shelf.log("r"), list(bench.root.iterdir())) == ("", [])


def test_a_lost_run_that_somebody_has_again_is_not_failed_and_stops_no_other(bench: Bench) -> None:
    for run_id in ("back", "gone"):
        bench.shelf.submit(run_id, "print('never')")
        bench.shelf.move(run_id, Status.NOT_RESPONDING)
    bench.shelf.holder["back"] = "its agent"
    bench.work()
    assert (bench.shelf.status["back"], bench.shelf.status["gone"]) == ("NotResponding", "Failed")


@pytest.mark.parametrize("yields", [True, False], ids=["yields", "control"])
def test_what_a_script_left_is_not_stored_when_another_agent_has_adopted_its_run(
    bench: Bench, yields: bool
) -> None:
    bench.runs.yields = yields
    bench.shelf.submit(
        "r",
        "import os, time\nprint('up', flush=True)\nwhile not os.path.exists('go'): time.sleep(0.02)\n"
        "open('outputs/o', 'w').write('x')",
    )
    with bench.working():
        bench.wait_for_output("r")
        bench.shelf.holder["r"] = "another agent"
        next(bench.root.glob("run-*/work")).joinpath("go").touch()
        wait_for(lambda: not yields or bool(list(bench.root.glob("run-*/kept"))))
        wait_for(lambda: yields or not list(bench.root.glob("run-*")))
    assert bench.shelf.status["r"] == ("Running" if yields else "Completed")
    assert (bench.shelf.stored == {}, bench.shelf.finished == set()) == (yields, yields)


def test_an_agent_that_nobody_hears_stops_what_another_one_may_execute(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lease is not renewed: it stops the script in time, and does not touch the run that another one has then."""
    monkeypatch.setattr(jobs, "FENCE_S", 0.5)
    bench.shelf.submit("r", SLEEP, when_lost="again")
    bench.runs.lease_age = 1_000.0
    with bench.working():
        bench.wait_for_output("r")
        bench.shelf.holder["r"] = "another agent"
        wait_for(lambda: not list(bench.root.glob("run-*")))
    assert bench.shelf.status["r"] == "Running"


def test_questions_that_hang_stop_nothing_while_the_lease_is_fresh(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "FENCE_S", 0.5)
    bench.shelf.submit("r", SLEEP, when_lost="again")
    answers = threading.Event()
    with bench.working():
        bench.wait_for_output("r")
        asked = threading.Event()

        def statuses(run_ids: object) -> dict[str, Status]:
            asked.set()
            answers.wait(30)
            return {}

        monkeypatch.setattr(bench.runs, "statuses", statuses)
        assert asked.wait(30)
        time.sleep(1.2)
        answers.set()
        assert bench.shelf.log("r").count("up") == 1, "it was neither stopped nor begun again"


def test_an_agent_that_was_not_heard_executes_the_run_again_when_nobody_else_did(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "FENCE_S", 0.5)
    bench.shelf.submit("r", SLEEP, when_lost="again")
    bench.runs.lease_age = 1_000.0
    with bench.working():
        wait_for(lambda: bench.shelf.log("r").count("up") == 2)
        bench.runs.lease_age = 0.0


# Places


@pytest.mark.parametrize(
    ("parent", "executing", "expected"),
    [
        (None, {}, True),
        (None, {"a": None}, False),
        ("a", {"a": None}, True),  # the waiting parent lends its place
        ("a", {"a": None, "b": "a"}, False),  # lent already
        (None, {"a": None, "b": "a"}, False),
        ("b", {"a": None, "b": "a"}, True),
        ("elsewhere", {"a": None}, False),
    ],
)
def test_a_run_lends_its_place_to_one_child(
    parent: str | None, executing: dict[str, str | None], expected: bool
) -> None:
    assert has_place(parent, executing, places=1) is expected


def test_a_script_that_waits_for_its_child_is_no_deadlock(bench: Bench, tmp_path: Path) -> None:
    done = tmp_path / "done"
    bench.shelf.submit(
        "parent", f"import os, time\nwhile not os.path.exists({str(done)!r}): time.sleep(0.02)"
    )
    bench.shelf.submit("child", f"open({str(done)!r}, 'w')", parent="parent")
    bench.work(runs_at_once=1)
    assert bench.stations("parent") == bench.stations("child") == [*STATIONS, "Completed"]


def test_a_child_starts_however_many_older_runs_wait(bench: Bench, tmp_path: Path) -> None:
    done = tmp_path / "done"
    bench.shelf.submit(
        "parent", f"import os, time\nwhile not os.path.exists({str(done)!r}): time.sleep(0.02)"
    )
    for number in range(8):
        bench.shelf.submit(f"older-{number}", "pass")
    bench.shelf.submit("child", f"open({str(done)!r}, 'w')", parent="parent")
    with bench.working(runs_at_once=1):
        bench.wait_for_end("parent")
        bench.wait_for_end("child")
    assert bench.shelf.status["child"] == "Completed"
