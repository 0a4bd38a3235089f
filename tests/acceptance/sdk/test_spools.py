"""What a process leaves when it ends or is killed, and who delivers it, as a user sees it."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from runfold import Run, Workspace, _process
from runfold._settings import load_settings
from runfold.errors import Invalid
from tests.support.repository import script

BEGIN = """
import os, signal, sys, time
import runfold
workspace = runfold.Workspace(workspace_name="w")
run = runfold.Experiment(workspace, "e").start_logging(run_id="r")
"""
KILL = "os.kill(os.getpid(), signal.SIGKILL)\n"


def python(program: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", BEGIN + textwrap.dedent(program)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def sync(*arguments: str) -> Any:
    done = subprocess.run(
        [str(script("runfold")), "sync", *arguments, "-o", "json"],
        capture_output=True,
        timeout=100,
        check=False,
    )
    return msgspec.json.decode(done.stdout)


def opened() -> Run:
    return Workspace(workspace_name="w").get_run("r")


def spools() -> list[Path]:
    folder = Path(os.environ["RUNFOLD_HOME"]) / "spool"
    return [path for path in folder.iterdir() if path.is_dir()]


def test_a_value_is_safe_when_log_has_returned() -> None:
    python("for number in range(1000): run.log('loss', number)\n" + KILL)
    assert len(spools()) == 1
    synced = sync()
    proof = sync("--verify")

    assert synced["waiting_spools"] == 0
    assert [spool["problem"] for spool in synced["spools"]] == [None]
    assert proof["is_complete"]
    assert proof["writers"][0]["sent"] == proof["writers"][0]["stored"] >= 2
    assert opened().get_metrics("loss")["loss"] == list(range(1000))
    assert spools() == [] or all(path.name != synced["spools"][0]["writer_id"] for path in spools())


def test_the_next_program_delivers_it_without_being_asked() -> None:
    python("run.log('loss', 1.0)\n" + KILL)
    run, deadline = opened(), time.monotonic() + 60
    while "loss" not in run.get_metrics():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    _process.close_all()

    assert spools() == []


def test_a_program_that_ends_without_its_server_says_where_its_values_are() -> None:
    began = time.monotonic()
    done = python(
        "for _ in range(20): run.log('loss', 1.0)\nrun.complete()\n", RUNFOLD_URL="http://127.0.0.1:9"
    )

    assert done.returncode == 0
    assert time.monotonic() - began < 60
    assert "20 logged values and" in done.stderr
    assert "`runfold sync`" in done.stderr
    folder = Path(os.environ["XDG_STATE_HOME"]) / "runfold" / "spool"
    assert str(folder) in done.stderr
    (elsewhere,) = sync()["waiting_elsewhere"]
    assert elsewhere == {"place": "http://127.0.0.1:9", "spools": 1}


def test_a_clean_end_leaves_nothing_but_receipts() -> None:
    done = python("run.log('loss', 1.0)\nrun.complete()\n")

    assert done.returncode == 0
    assert [path.name for path in (Path(os.environ["RUNFOLD_HOME"]) / "spool").iterdir()] == [
        "receipts.jsonl"
    ]
    assert sync("--verify")["is_complete"]


def test_a_fork_is_another_writer_and_neither_touches_what_the_other_has() -> None:
    python(
        """
        run.log("parent", 1.0)
        child = os.fork()
        if child == 0:
            run.log("child", 2.0)
            os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(child, 0)
        run.log("parent", 3.0)
        """
        + KILL
    )
    sync()
    metrics = opened().get_metrics()

    assert metrics == {"parent": [1.0, 3.0], "child": 2.0}


def test_a_child_that_lives_on_does_not_keep_what_its_dead_parent_has_left() -> None:
    done = python(
        """
        run.log("loss", 1.0)
        child = os.fork()
        if child == 0:
            print(os.getpid(), flush=True)
            os.close(1); os.close(2)
            time.sleep(60)
            os._exit(0)
        time.sleep(0.5)
        """
        + KILL
    )
    child = int(done.stdout)
    try:
        assert sync()["waiting_spools"] == 0
        assert opened().get_metrics("loss") == {"loss": 1.0}
    finally:
        os.kill(child, 9)


def test_off_means_that_nothing_is_kept_in_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNFOLD_SPOOL", "off")
    done = python("run.log('loss', 1.0)\nrun.complete()\n")

    assert done.returncode == 0
    assert not (Path(os.environ["RUNFOLD_HOME"]) / "spool").exists()
    assert opened().get_metrics("loss") == {"loss": 1.0}


def test_a_handler_that_logs_in_the_middle_of_a_log_disturbs_nothing() -> None:
    done = python(
        """
        inside, is_busy = 0, False
        def handler(signum, frame):
            global inside, is_busy
            if not is_busy:  # a slow machine would nest them without end
                is_busy = True
                inside += 1
                run.log("handler", inside)
                is_busy = False
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
        count = 0
        ends_at = time.monotonic() + 1.0
        while time.monotonic() < ends_at or inside < 20:
            run.log("main", count)
            count += 1
        signal.setitimer(signal.ITIMER_REAL, 0)
        run.complete()
        print(count, inside)
        """
    )
    assert done.returncode == 0, done.stderr
    count, inside = map(int, done.stdout.split())
    metrics = opened().get_metrics()

    assert metrics["main"] == list(range(count))
    assert metrics["handler"] == list(range(1, inside + 1))


@pytest.mark.parametrize(
    ("name", "value"),
    [("RUNFOLD_SPOOL_MIB", "0"), ("RUNFOLD_SPOOL_MIB", "many"), ("RUNFOLD_SPOOL_SYNC", "perhaps")],
)
def test_settings_that_cannot_be_meant_are_refused(name: str, value: str) -> None:
    with pytest.raises(Invalid, match=name):
        load_settings({name: value})


def test_a_disk_is_asked_to_take_it_where_that_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNFOLD_SPOOL_SYNC", "1")
    python("run.log('loss', 1.0)\nrun.flush()\nrun.log('loss', 2.0)\n" + KILL)
    sync()

    assert opened().get_metrics("loss") == {"loss": [1.0, 2.0]}


def vacuum() -> str:
    """What ``runfold ledger vacuum`` says beside its answer."""
    done = subprocess.run(
        [str(script("runfold")), "ledger", "vacuum"], capture_output=True, text=True, check=True
    )
    return done.stderr


def test_a_vacuum_names_the_spools_that_still_hold_something() -> None:
    python("run.log('loss', 1.0)\n" + KILL)
    (spool,) = spools()
    assert f"{spool} still holds what process " in vacuum()

    sync()
    assert "still holds" not in vacuum()
