"""Azure ML's two notebooks about runs, step by step, over each transport.

``manage-runs`` starts, watches, tags, finds and cancels runs; ``logging-api`` logs every kind of value and reads all
of it back. Each comment names a step of theirs.
"""

from __future__ import annotations

import math
import types
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runfold import Experiment, Run, ScriptRunConfig, Workspace
from runfold_events.contract.statuses import TERMINAL
from tests.support.agents import agent_for

HELLO = "from runfold import Run\nRun.get_context().log('message', 'Hello from run!')\nprint('hello')\n"
CHILDREN = """
from runfold import Run
run = Run.get_context()
for number, child in enumerate(run.create_children(count=5)):
    child.log(name="Hello from child run ", value=number)
    child.complete()
"""
DELAY = "import time\nfrom runfold import Run\nRun.get_context().log('message', 'Hello')\ntime.sleep(100)\n"
ENDS = {str(status) for status in TERMINAL}


class Plot:
    """What stands for ``matplotlib.pyplot``: something that saves itself as an image."""

    IMAGE = b"\x89PNG\r\n\x1a\n" + b"the rest of an image"

    def savefig(self, target: Any, *args: Any, **kwargs: Any) -> None:
        if hasattr(target, "write"):
            target.write(self.IMAGE)
        else:
            Path(target).write_bytes(self.IMAGE)


@pytest.fixture
def folder(workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The notebook's folder, whose configuration names the test's workspace."""
    place = tmp_path / "notebook"
    place.mkdir()
    workspace.write_config(place)
    monkeypatch.chdir(place)
    for name, text in (("hello", HELLO), ("hello_with_children", CHILDREN), ("hello_with_delay", DELAY)):
        Path(f"{name}.py").write_text(text)
    Path(".amlignore").write_text("/outputs\n.azureml\n")
    Path("outputs").mkdir()
    Path("outputs/not-in-the-snapshot.txt").write_text("x")
    return place


@pytest.mark.parity(
    "WS-01", "EX-01", "EX-05", "RN-03", "ST-06", "ST-08", "PR-02", "TG-02", "EX-10", "FI-06", "FI-07"
)
@pytest.mark.parity("CH-02", "CH-06", "LC-05", "LC-06", "SC-04")
def test_manage_runs(
    workspace: Workspace, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with agent_for(workspace, monkeypatch):
        exp = Experiment(Workspace.from_config(), "explore-runs")  # 1
        _interactive(exp)
        run = _hello(exp, capsys)
        _labels(exp, run)
        _with_children(exp)
        _stopped(exp)
        _snapshot(run, folder)


def _interactive(exp: Experiment) -> None:
    run = exp.start_logging()  # 2
    run.log("message", "Hello from run!")
    assert [run.get_status(), run.get_status()] == ["Running", "Running"]  # 3
    assert repr(run) == f"Run(Experiment: explore-runs,\nId: {run.id},\nType: None,\nStatus: Running)"  # 4
    details = run.get_details()  # 5
    assert {"runId", "target", "status", "startTimeUtc", "properties", "logFiles"} <= set(details)
    assert "endTimeUtc" not in details
    run.complete()  # 6
    assert run.get_status() == "Completed"
    with exp.start_logging() as run:  # 7
        run.log(name="message", value="Hello from run!")
        assert run.get_status() == "Running"
    assert run.get_status() == "Completed"


def _hello(exp: Experiment, capsys: pytest.CaptureFixture[str]) -> Run:
    run = exp.submit(ScriptRunConfig(source_directory=".", script="hello.py"))  # 8
    assert run.id.startswith("explore-runs_")
    assert run.get_status() in {"Starting", "Preparing", "Queued", "Running", "Finalizing", *ENDS}  # 9
    capsys.readouterr()
    details = run.wait_for_completion(show_output=True)  # 10
    shown = capsys.readouterr().out
    assert shown.startswith(f"RunId: {run.id}\nWeb View: ")
    assert "Streaming user_logs/std_log.txt" in shown
    assert "Execution Summary" in shown
    assert details["runId"] == run.id
    run.wait_for_completion(wait_post_processing=True)
    assert run.get_status() == "Completed"
    assert run.get_details_with_logs()["logFiles"]["user_logs/std_log.txt"].splitlines() == [
        "hello"
    ]  # 9, again
    assert run.get_metrics() == {"message": "Hello from run!"}
    return run


def _labels(exp: Experiment, run: Run) -> None:
    run.add_properties({"author": "azureml-user"})  # 11
    before = run.get_properties()
    assert before["author"] == "azureml-user"
    with pytest.raises(Exception, match="different-user"):  # 12
        run.add_properties({"author": "different-user"})
    assert run.get_properties() == before
    run.tag("quality", "great run")  # 13
    assert run.get_tags() == {"quality": "great run"}
    run.tag("quality", "fantastic run")  # 14
    assert run.get_tags() == {"quality": "fantastic run"}
    run.tag("worth another look")  # 15
    assert run.get_tags() == {"quality": "fantastic run", "worth another look": None}
    author = {"author": "azureml-user"}
    by_value = exp.get_runs(properties=author, tags={"quality": "fantastic run"})  # 16
    by_key = exp.get_runs(properties=author, tags="worth another look")  # 17
    assert [[found.id for found in runs] for runs in (by_value, by_key)] == [[run.id], [run.id]]


def _with_children(exp: Experiment) -> None:
    run = exp.submit(ScriptRunConfig(source_directory=".", script="hello_with_children.py"))  # 18
    run.wait_for_completion(wait_post_processing=True)
    children = list(run.get_children())
    assert run.get_status() == "Completed"
    assert [child.get_status() for child in children] == ["Completed"] * 5
    assert sorted(child.get_metrics()["Hello from child run "] for child in children) == list(range(5))
    with exp.start_logging() as parent:  # 19
        for count in range(5):
            with parent.child_run() as child:
                child.log(name="Hello from child run", value=count)
    assert parent.get_status() == "Completed"
    assert isinstance(parent.get_children(), types.GeneratorType)
    assert len(list(parent.get_children())) == 5  # 20


def _stopped(exp: Experiment) -> None:
    config = ScriptRunConfig(source_directory=".", script="hello_with_delay.py")
    run = exp.submit(config)  # 21
    assert run.get_status() not in ENDS
    run.cancel()
    assert run.get_status() == "Canceled"
    run = exp.submit(config)  # 22
    run.fail()
    assert run.get_status() == "Failed"


def _snapshot(run: Run, folder: Path) -> None:
    path = run.restore_snapshot(path="snapshots")  # 23
    assert Path(path).is_file()
    with zipfile.ZipFile(path) as archive:
        names = {name for name in archive.namelist() if not name.endswith("/")}
    assert {"hello.py", "hello_with_children.py", "hello_with_delay.py"} <= names
    assert not [name for name in names if name.startswith(("outputs", ".azureml"))]
    assert Path(path).resolve().is_relative_to(folder / "snapshots")


@pytest.mark.parity(
    "MT-01", "MT-02", "MT-03", "MT-06", "MT-07", "MT-08", "MT-09", "MT-10", "MT-12", "TG-03", "RN-02"
)
@pytest.mark.parity("FI-01", "FI-03", "FI-04")
@pytest.mark.usefixtures("folder")
def test_logging_api() -> None:
    ws = Workspace.from_config()
    experiment = Experiment(workspace=ws, name="logging-api-test")
    assert repr(experiment) == f"Experiment(Name: logging-api-test,\nWorkspace: {ws.name})"
    run = experiment.start_logging()
    assert run.id in repr(run)
    image = _log_values(run)
    _log_rows(run)
    Path("myfile.txt").write_text("This is an output file from this experiment run.")
    run.upload_file("logging-api/myfile.txt", "myfile.txt")
    run.complete()

    _read_back(Run(experiment, run_id=run.id), image)


def _log_values(run: Run) -> str:
    """Returns the name of the image's metric."""
    scale_factor = 2
    run.log("Category", "Red")
    run.log("scale factor", scale_factor)
    run.log("Magic Number", 42 * scale_factor)
    run.log_list("Fibonacci", (number * scale_factor for number in [0, 1, 1, 2, 3, 5, 8, 13, 21, 34, 55]))
    for x in np.linspace(-10, 10, 20):
        run.log("Sigmoid", 1 / (1 + np.exp(-x)))
    for angle in np.linspace(0, 2 * math.pi, 20):
        run.log_row("Cosine Wave", angle=angle, cos=np.cos(angle))
    angles = list(np.linspace(0, 2 * math.pi, 20))
    run.log_table("Sine Wave", {"angle": angles, "sine": [math.sin(angle) for angle in angles]})
    run.log_image(name="Hyperbolic Tangent", plot=Plot())
    return "Hyperbolic Tangent"


def _log_rows(run: Run) -> None:
    for step in range(1_000):
        for name in ("bulk a", "bulk b", "bulk c"):
            run.log_row(name, "a row of many columns", **{f"column{n}": step * 15 + n for n in range(15)})


def _read_back(fetched: Run, image: str) -> None:
    metrics = fetched.get_metrics()
    assert metrics["Category"] == "Red"
    assert metrics["Magic Number"] == 84
    assert metrics["Fibonacci"] == [0, 2, 2, 4, 6, 10, 16, 26, 42, 68, 110]
    assert metrics["Sigmoid"] == pytest.approx([1 / (1 + math.exp(-x)) for x in np.linspace(-10, 10, 20)])
    for name, columns in (("Cosine Wave", {"angle", "cos"}), ("Sine Wave", {"angle", "sine"})):
        assert set(metrics[name]) == columns
        assert [len(values) for values in metrics[name].values()] == [20, 20]
    for name in ("bulk a", "bulk b", "bulk c"):
        assert metrics[name] == {f"column{n}": [step * 15 + n for step in range(1_000)] for n in range(15)}
    assert fetched.get_metrics(name="scale factor") == {"scale factor": 2}
    assert metrics[image].startswith("aml://artifactId/ExperimentRun/dcid.")

    names = fetched.get_file_names()
    (picture,) = [name for name in names if name.endswith(".png")]
    assert picture.startswith("Hyperbolic Tangent_")
    assert "logging-api/myfile.txt" in names
    for name in names:
        fetched.download_file(name=name, output_file_path=f"downloads/{name}")
    assert Path(f"downloads/{picture}").read_bytes() == Plot.IMAGE
    assert (
        Path("downloads/logging-api/myfile.txt").read_text()
        == "This is an output file from this experiment run."
    )

    fetched.tag("My Favorite Run")
    fetched.tag("Competition Rank", 1)
    assert fetched.get_tags() == {"My Favorite Run": None, "Competition Rank": "1"}
