"""Metrics whose value is a file: images and charts, and what reading them gives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runfold import Artifact, Conflict, Experiment, Invalid, Run
from runfold.exceptions import AzureMLException, UserErrorException

PNG = b"\x89PNG\r\n\x1a\n" + b"pixels"
CHARTS: dict[str, dict[str, Any]] = {
    "confusion_matrix": {"class_labels": ["a", "b"], "matrix": [[5, 1], [0, 7]]},
    "accuracy_table": {
        "probability_tables": [[[1, 2, 3, 4]]],
        "percentile_tables": [[[1, 2, 3, 4]]],
        "probability_thresholds": [0.5],
        "percentile_thresholds": [0.5],
        "class_labels": ["a"],
    },
    "residuals": {"bin_edges": [0, 1, 2], "bin_counts": [3, 4]},
    "predictions": {"bin_averages": [1], "bin_errors": [0.1], "bin_counts": [3], "bin_edges": [0, 1]},
}


@pytest.fixture
def run(experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run that this process holds; images of the test lie in the current folder."""
    monkeypatch.chdir(tmp_path)
    return experiment.start_logging()


class Plot:
    """What is used of Matplotlib."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def savefig(self, goal: Any, format: str) -> None:
        assert format == "png"
        goal.write(self._content)


def value_of(run: Run, path: str) -> str:
    return f"aml://artifactId/ExperimentRun/dcid.{run.id}/{path}"


@pytest.mark.parity("MT-09")
def test_an_image_is_stored_under_its_path_and_the_metric_says_where(run: Run) -> None:
    Path("plots").mkdir()
    Path("plots/roc.png").write_bytes(PNG)
    run.log_image("ROC", "./plots/roc.png", description="how good")
    assert run.get_metrics("ROC") == {"ROC": value_of(run, "plots/roc.png")}
    assert run.get_file_names() == ["plots/roc.png"]
    assert run.metrics("ROC")["ROC"].kind == "image"
    run.log_image("absolute", str(Path("plots/roc.png").resolve()))
    assert run.get_metrics("absolute") == {"absolute": value_of(run, "roc.png")}


@pytest.mark.parity("MT-09")
def test_a_plot_becomes_a_png_of_the_metrics_name(run: Run) -> None:
    run.log_image("loss curve", plot=Plot(PNG))
    run.log_image("loss curve", plot=Plot(PNG + b"another"))
    names = run.get_file_names()
    assert len(names) == 2
    assert all(name.startswith("loss curve_") and name.endswith(".png") for name in names)
    assert sorted(run.get_metrics()["loss curve"]) == [value_of(run, name) for name in names]


@pytest.mark.parity("MT-09")
def test_both_or_none_of_path_and_plot_and_what_is_no_image(run: Run) -> None:
    Path("text.png").write_text("no image at all")
    Path("image.png").write_bytes(PNG)
    with pytest.raises(AzureMLException, match="a path or a plot"):
        run.log_image("x")
    with pytest.raises(AzureMLException, match="a path or a plot"):
        run.log_image("x", "image.png", Plot(PNG))
    with pytest.raises(AzureMLException, match=r"Argument \[text.png\] is malformed"):
        run.log_image("x", "text.png")
    with pytest.raises(Invalid, match="savefig"):
        run.log_image("x", plot=PNG)
    with pytest.raises(FileNotFoundError):
        run.log_image("x", "nowhere.png")
    assert run.get_metrics() == {}
    assert run.get_file_names() == []


@pytest.mark.parity("MT-11")
@pytest.mark.parametrize("kind", list(CHARTS))
def test_a_chart_is_a_json_file_of_the_metrics_name(run: Run, kind: str) -> None:
    chart = {"schema_type": kind, "schema_version": "1.0.0", "data": CHARTS[kind]}
    log = getattr(run, f"log_{kind}")
    log("as a dict", chart)
    log("as text", json.dumps(chart), "described")
    assert run.get_metrics() == {name: value_of(run, name) for name in ("as a dict", "as text")}
    for name in run.get_file_names():
        run.download_file(name, "got")
        assert json.loads(Path("got").read_text()) == chart
    with pytest.raises(UserErrorException, match="Invalid JSON provided"):
        log("broken", "{")
    with pytest.raises(UserErrorException, match="Invalid JSON provided"):
        log("broken", {"data": object()})
    with pytest.raises(Conflict):
        log("as text", {"another": "chart"})


@pytest.mark.parity("MT-11")
def test_a_chart_may_hold_arrays(run: Run) -> None:
    run.log_confusion_matrix("cm", {"data": {"matrix": np.array([[1, 2], [3, 4]]), "best": np.float32(0.5)}})
    run.download_file("cm", "got")
    assert json.loads(Path("got").read_text()) == {"data": {"matrix": [[1, 2], [3, 4]], "best": 0.5}}


@pytest.mark.parity("MT-14")
def test_populate_gives_the_bytes(run: Run) -> None:
    Path("a.png").write_bytes(PNG)
    Path("b.png").write_bytes(PNG + b"b")
    run.log("loss", 0.5)
    run.log("text", value_of(run, "a.png"))  # says the same, and is no file metric
    run.log_image("image", "a.png")
    run.log_image("image", "b.png")
    run.log_residuals("chart", {"data": 1})
    with run.child_run() as child:
        child.log_image("image", "b.png")

    plain = run.get_metrics()
    assert plain["image"] == [value_of(run, "a.png"), value_of(run, "b.png")]
    full = run.get_metrics(populate=True)
    assert (full["loss"], full["text"]) == (0.5, value_of(run, "a.png"))
    assert isinstance(full["image"], Artifact)
    assert (full["image"].data, full["image"].path) == (PNG, "a.png"), "of several the first, as in Azure ML"
    assert full["image"].value == value_of(run, "a.png")
    assert json.loads(full["chart"].data) == {"data": 1}
    below = run.get_metrics(recursive=True, populate=True)
    assert below[child.id]["image"].data == PNG + b"b"
