"""What hurt users of the Azure ML SDK v1 does not hurt here: one test for each, named after the pain."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runfold import Experiment, Run, RunEnded, ScriptRunConfig, Workspace
from runfold.exceptions import UserErrorException
from tests.support.found_in_files import found_in_files
from tests.support.http_server import await_others

PROGRAM_S_MAX = 60


def program(workspace: Workspace, folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    """A program of its own that records in the test's workspace; ``run_id`` is the run it is to make."""
    place = "RUNFOLD_URL" if workspace.location.startswith("http") else "RUNFOLD_HOME"
    begin = "import sys\nfrom runfold import Experiment, Workspace\nexperiment = Experiment(Workspace(), 'pains')\n"
    (folder / "program.py").write_text(begin + text)
    done = subprocess.run(
        [sys.executable, "program.py"],
        cwd=folder,
        env={**os.environ, place: workspace.location, "RUNFOLD_WORKSPACE": workspace.name},
        capture_output=True,
        text=True,
        timeout=PROGRAM_S_MAX,
        check=False,
    )
    await_others(workspace.location, workspace.name)
    return done


@pytest.mark.parity("MT-19")
def test_pain_exit_without_complete(workspace: Workspace, tmp_path: Path) -> None:
    """Azure: a process that ends within a second loses its values, and its run stays Running for ever."""
    done = program(
        workspace,
        tmp_path,
        "run = experiment.start_logging(run_id='forgotten')\nfor step in range(130):\n    run.log('loss', step)\n",
    )
    run = workspace.get_run("forgotten")

    assert done.returncode == 0, done.stderr
    assert run.get_metrics() == {"loss": list(range(130))}
    assert run.get_status() == "NotResponding"


@pytest.mark.parity("LC-10")
def test_pain_sys_exit_0_inside_with(workspace: Workspace, tmp_path: Path) -> None:
    """Azure: swallowed, so that the program goes on, and the run stays Running for ever."""
    done = program(
        workspace,
        tmp_path,
        "with experiment.start_logging(run_id='left') as run:\n    run.log('loss', 1)\n    sys.exit(0)\nprint('on')\n",
    )
    run = workspace.get_run("left")

    assert (done.returncode, done.stdout) == (0, "")
    assert run.get_status() == "Completed"
    assert run.get_metrics() == {"loss": 1}


@pytest.mark.parity("LC-11")
def test_pain_fail_inside_with(experiment: Experiment) -> None:
    """Azure: the end of the block posts Completed over it."""
    with experiment.start_logging() as run:
        run.fail("the loss is not a number")

    assert run.get_status() == "Failed"
    assert run.get_details()["error"]["error"]["message"] == "the loss is not a number"
    with pytest.raises(RunEnded):
        run.complete()
    assert run.get_status() == "Failed"


@pytest.mark.parity("MT-20")
def test_pain_mixed_kinds_under_one_metric_name(experiment: Experiment) -> None:
    """Azure: recorded, and then every ``get_metrics()`` of the run raises."""
    with experiment.start_logging() as run:
        run.log("mixed", 1)
        run.log("mixed", "two")
        run.log_list("mixed", [3, "four"])
        run.log_row("rows", a=1)
        run.log_row("rows", b="x")
        run.log("both", 1.5)
        run.log_table("both", {"x": [1, 2]})
    metrics = Run(experiment, run.id).get_metrics()

    assert metrics["mixed"] == [1, "two", 3, "four"]
    assert metrics["rows"] == {"a": [1, None], "b": [None, "x"]}
    assert metrics["both"] == {"both": [1.5, None, None], "x": [None, 1, 2]}


@pytest.mark.parity("MT-15")
def test_pain_one_item_lists(experiment: Experiment) -> None:
    """Azure: a list of one reads back as a number, with no way to tell. The same here, and a way to tell beside it."""
    with experiment.start_logging() as run:
        run.log_list("one in a list", [0.5])
        run.log("one", 0.5)
        run.log_table("one row", {"x": [1], "y": [2]})

    assert run.get_metrics() == {"one in a list": 0.5, "one": 0.5, "one row": {"x": 1, "y": 2}}
    typed = run.metrics()
    assert (typed["one in a list"].kind, list(typed["one in a list"].values)) == ("list", [0.5])
    assert (typed["one"].kind, typed["one row"].kind) == ("scalar", "table")


@pytest.mark.parity("MT-21")
def test_pain_rejected_values_never_block_the_end(experiment: Experiment) -> None:
    """Azure: after a rejected batch flush, complete, fail and the end of ``with`` raise; the run stays Running."""
    bad: list[Any] = [[1, 2], 2**70, np.zeros(3)]
    with experiment.start_logging() as run:
        for step in range(10):
            run.log("loss", step)
            with pytest.raises(UserErrorException):
                run.log("loss", bad[step % len(bad)])
        with pytest.raises(UserErrorException):
            run.log_table("uneven", {"x": [1, 2], "y": [1]})
        run.flush()

    assert run.get_status() == "Completed"
    assert run.get_metrics() == {"loss": list(range(10))}


@pytest.mark.parity("MT-03")
def test_pain_int64(experiment: Experiment) -> None:
    """Azure: ``np.int64(7)`` is recorded as the text ``np.int64(7)``, and a list of them is an error."""
    with experiment.start_logging() as run:
        run.log("scalar", np.int64(7))
        run.log_list("list", [np.int64(1), np.int64(2**40)])
        run.log_row("row", a=np.int64(3))
        run.log("least", -(2**63))

    assert run.get_metrics() == {"scalar": 7, "list": [1, 2**40], "row": {"a": 3}, "least": -(2**63)}
    assert type(run.get_metrics()["scalar"]) is int


def test_pain_trailing_spaces(experiment: Experiment) -> None:
    """Azure: a name with a space at its end breaks reading the run's metrics."""
    with experiment.start_logging(tags={"tag ": "value "}) as run:
        run.log("loss", 1)
        run.log("loss ", 2)
        run.log("loss ", 3)
        run.add_properties({"property ": " value "})

    assert run.get_metrics() == {"loss": 1, "loss ": [2, 3]}
    assert run.get_metrics(name="loss ") == {"loss ": [2, 3]}
    assert (run.get_tags(), run.get_properties()) == ({"tag ": "value "}, {"property ": " value "})
    assert [found.id for found in experiment.get_runs(tags={"tag ": "value "})] == [run.id]
    assert list(experiment.get_runs(tags="tag")) == []


@pytest.mark.parity("PR-06")
def test_pain_a_secret_in_the_git_remote(
    workspace: Workspace, experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Azure: the address is recorded as it is, in two properties that can never be changed."""
    monkeypatch.setenv("RUNFOLD_AGENT_IDLE_S", "0")  # nobody has to execute it
    folder = tmp_path / "repository"
    folder.mkdir()
    (folder / "train.py").write_text("print('hello')\n")
    for words in (
        ["init", "--quiet"],
        ["remote", "add", "origin", "https://somebody:s3cr3t-t0ken@example.org/team/model.git"],
        ["add", "train.py"],
        ["-c", "user.name=n", "-c", "user.email=e@example.org", "commit", "--quiet", "--message", "m"],
    ):
        subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True)
    run = experiment.submit(ScriptRunConfig(source_directory=str(folder), script="train.py"))
    properties = run.get_properties()

    assert properties["azureml.git.repository_uri"] == "https://example.org/team/model.git"
    assert properties["mlflow.source.git.repoURL"] == "https://example.org/team/model.git"
    assert properties["azureml.git.dirty"] == "False"
    told = f"{properties}{run.get_details()}{[(entry.words, entry.body) for entry in run.history()]}"
    assert "s3cr3t-t0ken" not in told
    assert "somebody" not in told
    if not workspace.location.startswith("http"):
        assert found_in_files(Path(workspace.location), {run.id, "s3cr3t-t0ken"}) == {run.id}
    run.cancel()


@pytest.mark.parity("CX-02")
def test_pain_offline_attributes(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Azure: ``'_OfflineRun' object has no attribute …``, as soon as a script is tried out by hand."""
    monkeypatch.delenv("RUNFOLD_RUN_ID", raising=False)
    run = Run.get_context()
    run.log("loss", 0.5, step=1)
    run.tag("quality", "great run")
    members = [name for name in dir(Run) if not name.startswith("_")]
    lacking = [name for name in members if not hasattr(run, name)]

    assert isinstance(run, Run)
    assert len(members) > 60
    assert lacking == []
    assert (run.get_status(), run.parent, run.experiment.name) == ("Running", None, run.experiment.name)
    assert run.get_metrics() == {"loss": 0.5}
    assert run.get_tags() == run.tags == {"quality": "great run"}
    assert list(run.get_children()) == []
    assert [child.get_status() for child in run.create_children(count=2)] == ["Running", "Running"]
    run.complete()
    assert run.get_status() == "Completed"
    assert "loss" in capsys.readouterr().out


def test_every_pain_that_is_claimed_to_be_fixed_has_its_test() -> None:
    """The list of the pains, as their users would call them."""
    pains = {
        "exit_without_complete",
        "sys_exit_0_inside_with",
        "fail_inside_with",
        "mixed_kinds_under_one_metric_name",
        "one_item_lists",
        "rejected_values_never_block_the_end",
        "int64",
        "trailing_spaces",
        "a_secret_in_the_git_remote",
        "offline_attributes",
    }
    named = {
        name.removeprefix("test_pain_")
        for name, _ in inspect.getmembers(sys.modules[__name__], inspect.isfunction)
        if name.startswith("test_pain_")
    }

    assert named == pains
