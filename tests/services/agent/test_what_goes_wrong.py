"""Scripts are not left alone, and what they leave is not lost, whatever goes wrong around them."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runfold_events.contract.errors import Conflict, LimitExceeded, Unauthorized, Unavailable
from runfold_events.contract.statuses import Status
from runfold_services.agent import outages
from runfold_services.agent.definition import AGENT_LOG_PATH, FAILING, LOG_PATH
from tests.support.agent_bench import SLEEP, STATIONS, Bench
from tests.support.agent_runs import wait_for

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="agents run where there are process groups")

# Prints, waits until the agent met the trouble, goes on and leaves something.
LONG = """
import pathlib, time
print('up', flush=True)
while not pathlib.Path('seen').exists(): time.sleep(0.02)
open('logs/own.txt', 'w').write('own')
open('outputs/o', 'w').write('x')
"""


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outages, "RETRY_S", 0.05)


class Trouble:
    """Raised by a method of a bench's runs while it lasts; ``hits`` counts."""

    def __init__(self, bench: Bench, method: str, error: Exception, path: str | None = None) -> None:
        self.hits = 0
        self.lasts = True
        self._call: Callable[..., Any] = getattr(bench.runs, method)
        self._error = error
        self._path = path
        setattr(bench.runs, method, self)

    def __call__(self, *args: Any) -> Any:
        if self.lasts and self._path in {None, *args[1:2]}:
            self.hits += 1
            raise self._error
        return self._call(*args)


def go_on(bench: Bench) -> None:
    next(bench.root.glob("run-*/work")).joinpath("seen").touch()


def agent_log(bench: Bench) -> str:
    return bench.shelf.log("r", AGENT_LOG_PATH)


@pytest.mark.parametrize(
    "error", [LimitExceeded("the log is full"), Conflict("it is a file now")], ids=["limit", "conflict"]
)
def test_a_log_that_cannot_go_on_stops_neither_the_script_nor_other_files(
    bench: Bench, error: Exception
) -> None:
    bench.shelf.submit("r", LONG)
    trouble = Trouble(bench, "append_log", error, LOG_PATH)
    with bench.working():
        wait_for(lambda: trouble.hits > 0)
        go_on(bench)
        bench.wait_for_end("r")
    assert bench.shelf.status["r"] == "Completed"
    assert bench.shelf.stored == {("r", "outputs/o"): b"x"}
    assert bench.shelf.finished == {("r", AGENT_LOG_PATH), ("r", "logs/own.txt")}
    assert f"warning: {LOG_PATH} is not stored, or not all of it: {error}" in agent_log(bench)


def test_an_agent_that_is_not_let_in_for_a_while_loses_nothing(bench: Bench) -> None:
    bench.shelf.submit("r", LONG)
    trouble = Trouble(bench, "append_log", Unauthorized("not these credentials"))
    with bench.working():
        wait_for(lambda: trouble.hits > 1)
        trouble.lasts = False
        go_on(bench)
        bench.wait_for_end("r")
    assert (bench.shelf.status["r"], bench.shelf.log("r")) == ("Completed", "up\n")


def test_a_script_that_cannot_be_followed_ends_before_its_folder_goes(bench: Bench, tmp_path: Path) -> None:
    """By a fault that nobody thought of; the script takes a while to end, and leaves something only then."""
    late = "open('outputs/late', 'w').write('x'), sys.exit(0)"
    handler = f"lambda *_: (time.sleep(0.3), {late})"
    bench.shelf.submit("r", f"import signal, sys, time\nsignal.signal(signal.SIGTERM, {handler})\n{SLEEP}")
    Trouble(bench, "append_log", RuntimeError("a fault"), LOG_PATH)
    bench.work()
    assert bench.shelf.status["r"] == "Failed"
    assert "could not be followed: RuntimeError: a fault" in bench.message("r")
    assert bench.shelf.stored == {("r", "outputs/late"): b"x"}


def test_the_script_of_an_erased_run_ends(bench: Bench) -> None:
    bench.shelf.submit("r", SLEEP)
    Trouble(bench, "append_log", Conflict("it was erased", facts={"erased": True}), LOG_PATH)
    bench.work()
    assert bench.shelf.status["r"] == "Running", "nothing more is said of it"
    assert list(bench.root.iterdir()) == []


@pytest.mark.parametrize("exit_code", [0, 3])
def test_what_cannot_be_stored_stays_where_it_is_and_the_runs_error_says_where(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, exit_code: int
) -> None:
    monkeypatch.setattr(outages, "OUTAGE_S_MAX", 0.2)
    bench.shelf.submit("r", f"open('outputs/o', 'w').write('x')\nraise SystemExit({exit_code})")
    Trouble(bench, "put_file", Unavailable("nobody is there"))
    bench.work(keep="never")
    (output,) = bench.root.glob("run-*/work/outputs/o")
    assert bench.shelf.status["r"] == "Failed"
    assert bench.shelf.error["r"].code == ("UserError" if exit_code else "NotStored")
    assert str(output.parents[2]) in bench.message("r")
    assert "agent bench" in bench.message("r")
    assert ("exit code 3" in bench.message("r")) == (exit_code == 3)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere all names are UTF-8")
@pytest.mark.parametrize("folder", ["outputs", "logs"])
def test_a_name_that_is_no_text_is_left_out_and_noted(bench: Bench, folder: str) -> None:
    bench.shelf.submit("r", f"open(b'{folder}/\\xff', 'w').write('x')\nopen('outputs/o', 'w').write('x')")
    bench.work()
    assert (bench.shelf.status["r"], bench.shelf.stored) == ("Completed", {("r", "outputs/o"): b"x"})
    assert f"{folder}/\\udcff is not stored, or not all of it: its name is not UTF-8" in agent_log(bench)
    assert ("r", AGENT_LOG_PATH) in bench.shelf.finished


def test_links_count_as_what_they_lead_to_below_outputs_and_others_are_noted(
    bench: Bench, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("s3cret")
    bench.shelf.submit(
        "r",
        "import os\n"
        "os.makedirs('outputs/step9')\n"
        "open('outputs/step9/model', 'w').write('weights')\n"
        "os.symlink('step9', 'outputs/latest')\n"
        "os.symlink('step9/model', 'outputs/model')\n"
        "os.symlink('.', 'outputs/loop')\n"
        "os.symlink('itself', 'outputs/itself')\n"
        f"os.symlink({str(tmp_path / 'secret')!r}, 'outputs/secret')\n"
        "os.symlink('../../step9', 'outputs/step9/up')\n"
        "os.symlink('../latest', 'outputs/step9/again')\n",
    )
    bench.work()
    weights = ["outputs/latest/model", "outputs/model", "outputs/step9/model"]
    assert bench.shelf.stored == {("r", path): b"weights" for path in weights}
    for path, why in {
        "outputs/loop": "a link to a folder that is stored elsewhere",
        "outputs/itself": "a link that leads nowhere",
        "outputs/secret": "a link that leads out of outputs",
        "outputs/step9/up": "a link that leads nowhere",
        "outputs/latest/again": "a link to a folder that is stored elsewhere",
    }.items():
        assert f"{path} is not stored, or not all of it: {why}" in agent_log(bench)


def test_a_folder_that_cannot_be_read_is_noted(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system refuses, as it does to all but the superuser, who may be running this."""
    scandir = os.scandir

    def refusing(folder: Any) -> Any:
        if isinstance(folder, Path) and folder.name == "sealed":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refusing)
    bench.shelf.submit("r", "import os; os.mkdir('outputs/sealed', 0)")
    bench.work()
    assert "outputs/sealed is not stored, or not all of it: cannot be read" in agent_log(bench)


@pytest.mark.parametrize(("exit_code", "details"), [(0, None), (3, FAILING)])
def test_at_finalizing_the_log_is_complete_and_a_failure_known(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, exit_code: int, details: str | None
) -> None:
    """Of the log nothing is sent while the script runs: the server was gone once, and is not asked again so soon."""
    monkeypatch.setattr(outages, "RETRY_S", 60.0)
    seen: list[tuple[str | None, str]] = []
    advance = bench.runs.advance

    def note(run_id: str, status: Status, details: str | None = None) -> None:
        if status is Status.FINALIZING:
            seen.append((details, bench.shelf.log(run_id)))
        advance(run_id, status, details)

    monkeypatch.setattr(bench.runs, "advance", note)
    trouble = Trouble(bench, "append_log", Unavailable("gone"))
    bench.shelf.submit("r", f"{LONG}raise SystemExit({exit_code})")
    with bench.working():
        wait_for(lambda: trouble.hits > 0)
        trouble.lasts = False
        go_on(bench)
        bench.wait_for_end("r")
    assert seen == [(details, "up\n")]


def test_a_server_that_restarts_as_the_script_begins_is_asked_again(bench: Bench) -> None:
    bench.shelf.submit("r", "print('up')")
    trouble = Trouble(bench, "environment", Unavailable("it restarts"))
    with bench.working():
        wait_for(lambda: trouble.hits > 1)
        assert bench.stations("r") == STATIONS[:3], "it does not run before it can"
        trouble.lasts = False
        bench.wait_for_end("r")
    assert bench.shelf.status["r"] == "Completed"
