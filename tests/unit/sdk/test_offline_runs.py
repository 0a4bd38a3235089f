"""A script that nobody submitted: its run prints, and has everything that a run has."""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from runfold import Run, _context
from runfold._run_offline import OfflineRun
from runfold.errors import NoRunContext, RunEnded, SubmissionFailed
from runfold.exceptions import RunEnvironmentException
from runfold.script_run_config import ScriptRunConfig

UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"


@pytest.fixture
def run() -> Iterator[Run]:
    _context._offline.clear()  # of a test before  # pyright: ignore[reportPrivateUsage]
    made = Run.get_context()
    yield made
    made._connection.close()  # pyright: ignore[reportPrivateUsage]
    _context._offline.clear()  # pyright: ignore[reportPrivateUsage]


@pytest.mark.parity("CX-02")
def test_an_offline_run_says_what_it_is_told_in_azures_words(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert re.fullmatch(f"OfflineRun_{UUID}", run.id)
    with run:
        run.log("a", 1, step=3)
        run.log_list("l", [1, 2])
        run.log_row("r", x=1)
        run.log_table("t", {"c": [1, 2]})
        run.tag("t", "v")
        run.add_properties({"p": "q"})
        run.flush()
    assert capsys.readouterr().out == (
        f"[START] Run {run.id} context\n"
        "Attempted to log scalar metric a:\n1\n"
        "Attempted to log list metric l:\n[1, 2]\n"
        "Attempted to log row metric r:\n{'x': 1}\n"
        "Attempted to log table metric t:\n{'c': [1, 2]}\n"
        "Attempted to add tag t with value v\n"
        "Attempted to add properties {'p': 'q'}\n"
        f"Attempted to flush run with id {run.id}\n"
        f"[STOP] Run {run.id} context\n"
    )
    another = Run.get_context()
    assert another.id != run.id, "the last one has ended"
    another.fail("no data", error_code="Mine")
    assert "Run failed with error code Mine:\nno data\n" in capsys.readouterr().out


@pytest.mark.parity("CX-02")
def test_offline_attributes_answer_as_those_of_any_run_do(run: Run) -> None:
    assert isinstance(run, Run)
    assert Run.get_context() is run
    run.log("loss", 0.5)
    run.log("loss", 0.25)
    run.tag("quality", "fine")
    run.add_properties({"author": "me"})
    child = run.child_run("first")
    child.log("x", 1)
    children = run.create_children(2)
    for one in children:
        one.complete()
    child.complete()
    assert run.get_metrics() == {"loss": [0.5, 0.25]}
    assert run.get_metrics(recursive=True)[child.id] == {"x": 1}
    assert (run.experiment.name, run.parent, run.number, run.status) == ("offline", None, 1, "Running")
    assert run.name == f"run_{run.id}" or run.name is None
    assert (run.get_tags(), run.get_properties()) == ({"quality": "fine"}, {"author": "me"})
    assert len(list(run.get_children())) == 3
    assert child.id.startswith(f"{run.id}.")
    assert child.parent is not None
    assert child.parent.id == run.id
    run.remove_tags(["quality"])
    assert run.get_tags() == {}
    assert run.get_details()["status"] == "Running"
    run.complete()
    assert run.wait_for_completion()["status"] == "Completed"
    with pytest.raises(RunEnded):
        run.fail("too late")


def test_every_public_method_of_a_run_is_there(run: Run) -> None:
    for name, member in inspect.getmembers(Run):
        if not name.startswith("_"):
            there = inspect.getattr_static(type(run), name)
            assert there is not None, member
    assert isinstance(run, OfflineRun)


def test_only_submitting_needs_more_than_memory(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("")
    with pytest.raises(SubmissionFailed, match="offline run"):
        run.submit_child(ScriptRunConfig(tmp_path, "a.py"))


@pytest.mark.parity("CX-03")
def test_who_wants_no_offline_run_gets_an_error() -> None:
    with pytest.raises(RunEnvironmentException) as caught:
        Run.get_context(allow_offline=False)
    assert isinstance(caught.value, NoRunContext)
    with pytest.raises(RunEnvironmentException):
        Run.get_submitted_run()


def test_a_broken_environment_is_no_offline_run(monkeypatch: pytest.MonkeyPatch) -> None:
    from runfold.errors import Invalid, NotFound

    monkeypatch.setenv("RUNFOLD_RUN_ID", "no such run")
    with pytest.raises(Invalid):
        Run.get_context()
    monkeypatch.setenv("RUNFOLD_RUN_ID", "unknown")
    monkeypatch.delenv("RUNFOLD_EXPERIMENT", raising=False)
    with pytest.raises(NotFound):
        Run.get_context()
    assert "RUNFOLD_RUN_ID" in os.environ
