"""Metrics and runs as arrays and DataFrames: over every transport, with the real pandas, polars and Arrow."""

from __future__ import annotations

import math
import sys
from datetime import UTC, datetime
from functools import partial
from typing import Any

import numpy as np
import pandas
import polars
import pytest

from runfold import Experiment, Invalid, NotFound, Run, Workspace, _curves
from tests.support.sdk import counted_questions

POINTS = 5_000


@pytest.fixture
def long(experiment: Experiment) -> Any:
    """A run with a metric longer than a chunk, whose steps count by two."""
    with experiment.start_logging() as run:
        for step in range(POINTS):
            run.log("loss", 1.0 / (1 + step), step=2 * step)
            if step < 10:
                run.log("whole", step)
    return run


def test_a_metric_comes_as_arrays(long: Any) -> None:
    curve = long.curve("loss")

    assert (curve.run_id, curve.name, curve.kind, curve.x_axis, len(curve)) == (
        long.id,
        "loss",
        "scalar",
        "step",
        POINTS,
    )
    assert (curve.steps.dtype, curve.times.dtype, curve.values.dtype) == (
        "int64",
        "datetime64[ms]",
        "float64",
    )
    assert (curve.steps == 2 * np.arange(POINTS)).all()
    assert (curve.values == 1.0 / (1 + np.arange(POINTS))).all()
    assert abs(curve.times[-1].astype("int64") / 1_000 - datetime.now(UTC).timestamp()) < 60
    whole = long.curve("whole")
    assert (whole.x_axis, whole.values.dtype, whole.values.tolist()) == ("index", "int64", list(range(10)))
    assert np.isnan(whole.steps).all()


def test_a_part_of_a_metric(long: Any) -> None:
    assert long.curve("loss", start=10, stop=15).steps.tolist() == [10, 12, 14]
    assert long.curve("loss", last=2).steps.tolist() == [9_996, 9_998]
    assert len(long.curve("loss", x="index", start=4_000)) == 1_000
    buckets = long.curve("loss", buckets=50)
    assert (buckets.exact, buckets.count, len(buckets)) == (False, POINTS, 50)
    assert buckets.buckets is not None
    assert buckets.buckets.count.tolist() == [100] * 50
    assert buckets.buckets.max[0] == 1.0
    assert buckets.buckets.min[-1] == 1.0 / POINTS
    with pytest.raises(Invalid, match="was asked for in buckets"):
        _ = buckets.values


def test_a_metric_that_is_longer_than_an_answer_comes_in_pages(
    long: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = long.curve("loss")
    monkeypatch.setattr(_curves, "CURVE_POINTS_PER_ANSWER_MAX", 700)
    paged, part = long.curve("loss"), long.curve("loss", start=20, stop=9_000, x="step")

    assert paged.values.tobytes() == whole.values.tobytes()
    assert paged.steps.tobytes() == whole.steps.tobytes()
    assert (len(part), part.steps[0], part.steps[-1]) == (4_490, 20, 8_998)


@pytest.mark.parametrize("engine", ["pandas", "polars"])
def test_a_metric_as_a_dataframe(long: Any, engine: str) -> None:
    frame = long.curve("loss", last=3).to_dataframe(engine=engine)

    assert isinstance(frame, pandas.DataFrame if engine == "pandas" else polars.DataFrame)
    assert list(frame.columns) == ["x", "step", "time", "value"]
    assert list(frame["step"]) == [9_994, 9_996, 9_998]
    assert frame["time"][0].tzinfo is not None
    buckets = long.curve("loss", buckets=4).to_dataframe(engine=engine)
    assert list(buckets["x_last"])[-1] == 9_998
    assert list(buckets.columns)[:4] == ["x_first", "x_last", "count", "nan_count"]


def test_arrow_is_read_by_any_library(long: Any) -> None:
    frame = polars.DataFrame(long.curves("loss", "whole", last=2).to_arrow())

    assert frame["metric"].to_list() == ["loss", "loss", "whole", "whole"]
    assert frame["value"].to_list() == [1.0 / 4_999, 1.0 / 5_000, 8.0, 9.0]
    assert frame.schema["time"] == polars.Datetime("ms", "UTC")
    assert polars.DataFrame(long.curve("loss", last=2).to_arrow()).columns == ["x", "step", "time", "value"]


def test_many_runs_at_once(workspace: Workspace, experiment: Experiment) -> None:
    runs: list[Run] = []
    for number in range(3):
        with experiment.start_logging(tags={"odd": str(number % 2)}) as run:
            run.log("loss", float(number), step=number)
            run.log_row("row", a=number, b=0.5)
        runs.append(run)

    curves = workspace.curves([runs[2], runs[0].id], "loss")
    assert [(curve.run_id, curve.values.tolist()) for curve in curves] == [
        (runs[2].id, [2.0]),
        (runs[0].id, [0.0]),
    ]
    frame = experiment.curves("loss", filter='tags.odd = "0"').to_dataframe()
    assert (frame["run_id"].tolist(), frame["value"].tolist()) == ([runs[2].id, runs[0].id], [2.0, 0.0])
    assert runs[1].curve("row", column="a").values.tolist() == [1]
    assert [curve.column for curve in runs[1].curves("row")] == ["a", "b"]
    with pytest.raises(Invalid, match="has the columns a, b"):
        runs[1].curve("row")
    with pytest.raises(NotFound, match="has no metric 'nothing'"):
        runs[1].curve("nothing")
    with pytest.raises(NotFound):
        workspace.curves(["nobody"])
    with pytest.raises(Invalid, match="x must be one of"):
        runs[1].curve("loss", x="epoch")  # type: ignore[arg-type]
    assert len(workspace.curves([])) == 0


@pytest.mark.parametrize("engine", ["pandas", "polars"])
def test_runs_as_a_dataframe(experiment: Experiment, engine: str) -> None:
    with experiment.start_logging(tags={"kind": "a"}, display_name="first") as first:
        first.log_params({"lr": 0.1, "layers": 3, "opt": "adam"})
        for value in (0.5, 0.25, math.nan):
            first.log("loss", value)
    with experiment.start_logging() as second:
        second.log_params({"lr": 1, "opt": 7})
        second.log("acc", 1)
        with second.child_run():
            pass

    frame = experiment.to_dataframe(order_by="created_at", engine=engine)

    assert list(frame["run_id"]) == [first.id, second.id]
    assert list(frame["status"]) == ["Completed", "Completed"]
    assert frame["display_name"][0] == "first"
    assert (frame["ended_at"] - frame["started_at"]).to_list()[0].total_seconds() >= 0
    assert list(frame["params.lr"]) == [0.1, 1.0]
    assert list(frame["params.opt"]) == (["adam", 7] if engine == "pandas" else ["adam", "7"])
    assert math.isnan(frame["metrics.loss"][0])
    assert frame["metrics.acc"][1] == 1
    assert frame["tags.kind"][0] == "a"
    missing = (frame["params.layers"][1], frame["tags.kind"][1], frame["metrics.loss"][1])
    assert all(value is None or value is pandas.NA or math.isnan(value) for value in missing)
    assert len(experiment.to_dataframe("metrics.acc > 0", engine=engine)) == 1
    assert len(experiment.to_dataframe(include_children=True, engine=engine)) == 3
    assert list(experiment.to_dataframe('tags.kind = "z"', engine=engine).columns)[:4] == [
        "run_id",
        "experiment",
        "number",
        "status",
    ]


def test_runs_are_read_page_by_page_and_not_one_by_one(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    with experiment.start_logging() as parent:
        parent.create_children(600)
    asked = counted_questions(experiment.workspace, monkeypatch)

    assert len(experiment.to_dataframe(include_children=True)) == 601
    assert asked == ["runs", "runs"]  # 50, then up to 1,000 a page


@pytest.mark.parametrize("package", ["pandas", "polars", "nanoarrow"])
def test_what_is_not_installed_is_named(long: Any, monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    curve = long.curve("loss", last=1)
    extra = "arrow" if package == "nanoarrow" else package
    ask = curve.to_arrow if package == "nanoarrow" else partial(curve.to_dataframe, package)
    with pytest.raises(Invalid, match=rf"pip install 'runfold\[{extra}\]'"):
        ask()
    with pytest.raises(Invalid, match="engine must be one of pandas, polars"):
        long.experiment.to_dataframe(engine="excel")
