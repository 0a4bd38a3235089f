"""How a process ends and what becomes of its runs: real processes, over both transports."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from runfold import Experiment, Run, Workspace
from tests.support.http_server import await_others

# What is the SDK's own doing, whatever the transport, is shown over one of them: processes take their time to start.
over_http = pytest.mark.parametrize("workspace", ["http"], indirect=True)
embedded = pytest.mark.parametrize("workspace", ["embedded"], indirect=True)
Script = Callable[..., subprocess.CompletedProcess[str]]

PROLOGUE = """
import os, sys, threading, time, signal
from runfold import Workspace, Experiment, Run
experiment = Experiment(Workspace.from_config(), "explore-runs")
"""


@pytest.fixture
def script(workspace: Workspace, tmp_path: Path) -> Script:
    """Runs a program that records into the test's workspace."""
    workspace.write_config(tmp_path)
    env = dict(os.environ)
    if workspace.location.startswith("http"):
        env["RUNFOLD_URL"] = workspace.location
    else:
        env["RUNFOLD_HOME"] = workspace.location

    def run(body: str, *, first: str = "", timeout_s: float = 60.0) -> subprocess.CompletedProcess[str]:
        program = tmp_path / "program.py"
        program.write_text(textwrap.dedent(first) + PROLOGUE + textwrap.dedent(body), "utf-8")
        done = subprocess.run(
            [sys.executable, str(program)],
            cwd=tmp_path,
            env={**env, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        await_others(workspace.location, workspace.name)
        return done

    return run


def only(experiment: Experiment) -> Run:
    (run,) = experiment.get_runs()
    return run


@pytest.mark.parity("MT-19")
def test_a_process_that_just_ends_loses_nothing_and_its_run_is_not_responding(
    script: Script, experiment: Experiment
) -> None:
    done = script("""
        run = experiment.start_logging()
        for n in range(130):
            run.log("m", n)
    """)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    run = only(experiment)
    assert run.get_metrics() == {"m": list(range(130))}
    assert run.get_status() == "NotResponding"


@over_http
def test_an_unhandled_exception_outside_of_with_is_no_end_either(
    script: Script, experiment: Experiment
) -> None:
    done = script("""
        run = experiment.start_logging()
        run.log("m", 1)
        raise ZeroDivisionError
    """)

    assert done.returncode == 1
    assert done.stderr.count("Traceback") == 1
    assert only(experiment).get_status() == "NotResponding"
    assert only(experiment).get_metrics() == {"m": 1}


@over_http
@pytest.mark.parametrize(
    ("ending", "code", "status"),
    [
        ("pass", 0, "Completed"),
        ("sys.exit()", 0, "Completed"),
        ("sys.exit(3)", 3, "Failed"),
        ("raise KeyError('lr')", 1, "Failed"),
        ("os.kill(os.getpid(), signal.SIGINT); time.sleep(10)", -signal.SIGINT, "Failed"),
    ],
)
def test_with_decides_and_the_exit_code_is_the_programs_own(
    script: Script, experiment: Experiment, ending: str, code: int, status: str
) -> None:
    done = script(f"""
        with experiment.start_logging() as run:
            run.log("m", 1)
            {ending}
    """)

    assert done.returncode == code
    assert only(experiment).get_status() == status
    assert only(experiment).get_metrics() == {"m": 1}


@embedded
def test_a_killed_process_leaves_what_it_flushed(script: Script, experiment: Experiment) -> None:
    done = script("""
        run = experiment.start_logging()
        run.log("m", 1)
        run.flush()
        os.kill(os.getpid(), signal.SIGKILL)
    """)

    assert done.returncode == -signal.SIGKILL
    assert only(experiment).get_metrics() == {"m": 1}
    assert only(experiment).get_status() == "Running"  # until its lease ends


@over_http
def test_a_process_that_only_attached_changes_nothing(script: Script, experiment: Experiment) -> None:
    with experiment.start_logging(run_id="mine") as mine:
        done = script("""
            run = Run(experiment, "mine")
            run.log("m", 1)
            run.tag("visited")
        """)
        assert done.returncode == 0, done.stderr
        assert mine.get_status() == "Running"
    assert mine.get_status() == "Completed"
    assert mine.get_metrics() == {"m": 1}


@pytest.mark.parity("ST-10")
@embedded
def test_a_run_goes_on_in_another_process(script: Script, experiment: Experiment) -> None:
    first = script("""
        run = experiment.start_logging(run_id="long", resume=True)
        run.log("m", os.getpid())
    """)
    assert first.returncode == 0, first.stderr
    run = only(experiment)
    assert run.get_status() == "NotResponding"
    last = script("""
        with experiment.start_logging(run_id="long", resume=True) as run:
            run.log("m", os.getpid())
            print(run.get_status())
    """)

    assert last.stdout == "Running\n", last.stderr
    assert run.get_status() == "Completed"
    assert len(set(run.get_metrics()["m"])) == 2
    types = [entry.type for entry in run.history()]
    assert types == ["run.created", "run.started", "run.lost", "run.found", "run.completed"]


def test_a_forked_child_is_a_writer_of_its_own_and_does_not_end_its_parents_run(
    script: Script, experiment: Experiment
) -> None:
    done = script("""
        import warnings
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of forks beside threads
        with experiment.start_logging() as run:
            for n in range(50):
                run.log("before", n)
            child = os.fork()
            name = "parent" if child else "child"
            for n in range(100):
                run.log(name, n)
            if child:
                _, status = os.waitpid(child, 0)
                assert status == 0, status
                print(run.get_status())
            else:
                with run.child_run() as own:
                    own.log("own", 1)
                sys.exit(0)
    """)

    assert (done.returncode, done.stdout) == (0, "Running\n"), done.stderr
    run = only(experiment)
    assert run.get_status() == "Completed"
    assert run.get_metrics() == {
        "before": list(range(50)),
        "parent": list(range(100)),
        "child": list(range(100)),
    }
    assert [child.get_status() for child in run.get_children()] == ["Completed"]
    assert len(run.writers()) == 2


@pytest.mark.parametrize(
    ("workspace", "method"), [("embedded", "fork"), ("http", "spawn")], indirect=["workspace"]
)
def test_workers_of_multiprocessing_lose_nothing(script: Script, experiment: Experiment, method: str) -> None:
    """They end without atexit, and handles travel to them."""
    done = script(f"""
        import multiprocessing, warnings
        warnings.simplefilter("ignore", DeprecationWarning)

        def train(run, n):
            for value in range(20):
                run.log(f"worker {{n}}", value)
            with run.child_run(name=str(n)) as child:
                child.log("loss", n)

        if __name__ == "__main__":
            context = multiprocessing.get_context("{method}")
            with experiment.start_logging() as run:
                workers = [context.Process(target=train, args=(run, n)) for n in range(2)]
                for worker in workers:
                    worker.start()
                for worker in workers:
                    worker.join()
                print([worker.exitcode for worker in workers])
    """)

    assert done.stdout == "[0, 0]\n", done.stderr
    run = only(experiment)
    assert run.get_status() == "Completed"
    assert run.get_metrics() == {f"worker {n}": list(range(20)) for n in range(2)}
    assert sorted(child.get_metrics()["loss"] for child in run.get_children()) == [0, 1]
    assert {child.get_status() for child in run.get_children()} == {"Completed"}


def test_a_run_of_an_exit_handler_is_recorded(script: Script, experiment: Experiment) -> None:
    """After the SDK's own handler has closed everything, and where Python 3.12 starts no thread any more."""
    done = script(
        """
        atexit.register(report, "before the SDK's")
        """,
        first="""
        import atexit

        def report(name):
            with experiment.start_logging(display_name=name) as run:
                run.log("m", 1)
                run.log("m", 2)

        atexit.register(report, "after the SDK's")
        """,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    runs = {run.display_name: run for run in experiment.get_runs()}
    assert set(runs) == {"after the SDK's", "before the SDK's"}
    for run in runs.values():
        assert (run.get_status(), run.get_metrics()) == ("Completed", {"m": [1, 2]})


@over_http
def test_coroutines_and_threads_log_side_by_side(script: Script, experiment: Experiment) -> None:
    done = script("""
        import asyncio

        async def one(run, name):
            for n in range(50):
                run.log(name, n)
                await asyncio.sleep(0)

        async def main(run):
            await asyncio.gather(*(one(run, f"coroutine {n}") for n in range(3)))

        def log(run, name):
            for n in range(50):
                run.log(name, n)

        with experiment.start_logging() as run:
            threads = [threading.Thread(target=log, args=(run, f"thread {n}")) for n in range(3)]
            for thread in threads:
                thread.start()
            asyncio.run(main(run))
            for thread in threads:
                thread.join()
    """)

    assert done.returncode == 0, done.stderr
    names = [f"{kind} {n}" for kind in ("coroutine", "thread") for n in range(3)]
    assert only(experiment).get_metrics() == {name: list(range(50)) for name in names}


@embedded
def test_logging_while_python_ends(script: Script, experiment: Experiment) -> None:
    """From atexit callbacks that run before and after ours."""
    done = script("""
        import atexit
        atexit.register(lambda: run.log("after ours", 1))
        run = experiment.start_logging()
        atexit.register(lambda: run.log("before ours", 1))
        run.log("m", 1)
    """)

    assert (done.returncode, done.stderr) == (0, "")
    metrics = only(experiment).get_metrics()
    assert metrics["m"] == metrics["before ours"] == 1


def test_a_server_that_is_gone_costs_a_program_little_and_kills_nothing(tmp_path: Path) -> None:
    """Two seconds for the first call and two at the end; what was not recorded is said."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        env = {**os.environ, "RUNFOLD_URL": f"http://127.0.0.1:{unused.getsockname()[1]}"}
        program = tmp_path / "program.py"
        program.write_text(
            PROLOGUE
            + textwrap.dedent("""
                with experiment.start_logging() as run:
                    for n in range(100):
                        run.log("m", n)
                    run.tag("k", "v")
                print("trained")
            """),
            "utf-8",
        )
        started = time.monotonic()
        done = subprocess.run(
            [sys.executable, str(program)],
            cwd=tmp_path,
            env={**env, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        took_s = time.monotonic() - started

    assert (done.returncode, done.stdout) == (0, "trained\n"), done.stderr
    assert took_s < 12
    assert "100 logged values and 4 other commands were not delivered" in done.stderr
    assert "Traceback" not in done.stderr
