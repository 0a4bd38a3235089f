"""Given these events, these rows: the ``runs`` projection."""

from __future__ import annotations

from typing import Any

import pytest

from runfold_events.contract import events as e
from runfold_events.contract.columns import Column
from runfold_events.contract.commands import ErrorInfo, Params
from runfold_events.contract.statuses import Status
from runfold_events.sync import run_sync
from runfold_projections.model import RunView
from runfold_projections.testing.history import START_US, WORKSPACE, table
from tests.projections.support import Folded


@pytest.fixture
def folded() -> Folded:
    folded = Folded()
    folded.history.experiment()
    return folded


def view(folded: Folded, run_id: str = "r") -> RunView:
    return run_sync(folded.views.run(WORKSPACE, run_id))


def test_a_created_run_has_what_its_event_says(folded: Folded) -> None:
    folded.history.create(
        "r",
        start=False,
        name="n",
        display_name="d",
        description="text",
        tags={"a": "1", "empty": None},
        properties={"p": "q"},
        target="cpu",
        run_type="script",
    )

    run = view(folded)

    assert (run.status, run.number, run.root_run_id, run.path) == (Status.NOT_STARTED, 1, "r", ("r",))
    assert (run.name, run.display_name, run.description) == ("n", "d", "text")
    assert (run.tags, run.properties) == ({"a": "1", "empty": None}, {"p": "q"})
    assert (run.target, run.run_type, run.created_by) == ("cpu", "script", "alice")
    assert (run.started_at, run.ended_at) == (None, None)


@pytest.mark.parametrize(
    ("event", "status"),
    [
        (e.RunCompleted(), Status.COMPLETED),
        (e.RunFailed(error=ErrorInfo(message="no", code="X")), Status.FAILED),
        (e.RunCanceled(reason="enough"), Status.CANCELED),
    ],
)
def test_an_end_sets_status_and_time_once(folded: Folded, event: Any, status: Status) -> None:
    folded.history.create("r")
    ended = folded.history.run("r", event)
    folded.history.run("r", e.TagsSet(tags={"late": "1"}, late=True))

    run = view(folded)

    assert run.status is status
    assert run.ended_at is not None
    assert round(run.ended_at.timestamp() * 1e6) == ended.recorded_at
    assert run.updated_at > run.ended_at
    assert run.error == (event.error if isinstance(event, e.RunFailed) else None)
    assert run.cancel_reason == (event.reason if isinstance(event, e.RunCanceled) else None)


def test_a_run_that_was_lost_and_adopted_has_started_once(folded: Folded) -> None:
    folded.history.create("r")
    first = view(folded).started_at
    folded.history.run("r", e.RunLost())
    assert view(folded).status is Status.NOT_RESPONDING
    folded.history.run("r", e.RunFound(status=Status.PREPARING))
    assert view(folded).status is Status.PREPARING
    folded.history.start("r")

    assert (view(folded).status, view(folded).started_at) == (Status.RUNNING, first)


def test_details_belong_to_the_status_they_came_with(folded: Folded) -> None:
    folded.history.create("r", start=False)
    folded.history.run("r", e.RunAdvanced(status=Status.QUEUED, details="behind 3 others"))
    assert (view(folded).status, view(folded).status_details) == (Status.QUEUED, "behind 3 others")
    folded.history.start("r")
    assert view(folded).status_details is None


def test_tags_change_and_labels_follow_within_a_batch_and_across(folded: Folded) -> None:
    folded.history.create("r", tags={"a": "1", "b": "2", "c": "3"})
    folded.history.run("r", e.TagsSet(tags={"a": "one", "d": None}))
    folded.history.run("r", e.TagsRemoved(keys=("b", "never")))
    folded.history.run("r", e.TagsRemoved(keys=("c",)))
    folded.history.run("r", e.TagsSet(tags={"c": "30"}))
    tags = {"a": "one", "d": None, "c": "30"}

    assert view(folded).tags == tags
    assert {row[2]: row[4] for row in folded.rows("runs.label")} == tags

    folded.history.run("r", e.TagsRemoved(keys=("c", "d")))
    assert {row[2]: row[4] for row in folded.rows("runs.label")} == {"a": "one"}
    assert view(folded).tags == {"a": "one"}


def test_params_keep_their_types_and_labels_know_numbers_and_texts(folded: Folded) -> None:
    params: Params = {
        "lr": 0.01,
        "n": 3,
        "whole": 1.0,
        "on": True,
        "text": "x",
        "digits": "0010",
        "none": None,
        "big": 2**62,
    }
    folded.history.create("r")
    folded.history.run("r", e.ParamsLogged(params=params))

    found = view(folded).params
    assert found == params
    assert {key: type(value) for key, value in found.items()} == {key: type(v) for key, v in params.items()}
    assert {row[2]: (row[4], row[5]) for row in folded.rows("runs.label")} == {
        "lr": ("0.01", 0.01),
        "n": ("3", 3),
        "whole": ("1.0", 1),
        "on": ("true", None),
        "text": ("x", None),
        "digits": ("0010", 10),
        "none": (None, None),
        "big": (str(2**62), 2**62),
    }


def test_the_rest_of_the_events(folded: Folded) -> None:
    folded.history.create("r")
    folded.history.run("r", e.RunUpdated(display_name="shown"))
    folded.history.run("r", e.RunUpdated(description="text"))
    folded.history.run("r", e.PropertiesAdded(properties={"k": None}))
    folded.history.run("r", e.RunArchived())
    folded.history.run("r", e.CommandsLost(first=4, last=6, reason="full", values=30))
    folded.history.run("r", e.CommandsLost(first=9, last=9, reason="full"))
    folded.history.run("r", e.CommandRejected(command="run.complete", code="x", message="no"))
    folded.history.run("r", e.RunCancelRequested(reason="stop"))
    folded.history.run("r", e.ArtifactRecorded(path="a", sha256="0" * 64, size_bytes=1))

    run = view(folded)
    assert (run.display_name, run.description, run.properties) == ("shown", "text", {"k": None})
    assert (run.archived, run.rejections, run.lost_commands, run.lost_values) == (True, 1, 4, 30)
    assert (run.status, run.cancel_reason) == (Status.CANCEL_REQUESTED, "stop")
    folded.history.run("r", e.RunRestored())
    assert not view(folded).archived


def test_metric_batches_do_not_touch_the_row(folded: Folded) -> None:
    folded.history.create("r")
    before = view(folded).updated_at
    folded.history.log("r", "loss", [1.0])
    assert view(folded).updated_at == before


def test_metrics_are_summarised(folded: Folded) -> None:
    folded.history.create("r")
    folded.history.log("r", "loss", [3.0, float("nan"), 1.0, float("inf")])

    loss = view(folded).metrics["loss"]

    assert (loss.latest, loss.count, loss.nan_count, loss.step) == (float("inf"), 4, 1, 3)
    assert (loss.min, loss.max, loss.kind) == (1.0, float("inf"), "scalar")
    assert loss.time is not None
    assert round(loss.time.timestamp() * 1_000) == START_US // 1_000 + 3


def test_rows_are_summarised_per_column(folded: Folded) -> None:
    folded.history.create("r")
    columns = {
        "x": Column(dtype="i64", values=[4, 2]),
        "ok": Column(dtype="bool", values=[False, True]),
        "text": Column(dtype="str", values=["a", "b"]),
        "any": Column(dtype="any", values=[7, None]),
        "none": Column(dtype="any", values=[None, None]),
    }
    folded.history.metrics("r", table("row", columns, [10, 20], kind="row"))

    found = view(folded).metrics

    assert sorted(found) == ["row.any", "row.ok", "row.text", "row.x"]
    assert [found[f"row.{name}"].latest for name in ("x", "ok", "text", "any")] == [2, True, "b", 7]
    assert [found[f"row.{name}"].count for name in ("x", "ok", "text", "any")] == [2, 2, 2, 1]
    assert (found["row.x"].min, found["row.x"].max, found["row.ok"].min) == (2.0, 4.0, None)
    assert found["row.any"].time is not None
    assert found["row.any"].time.timestamp() == 0.01


def test_the_greatest_integers_stay_exact(folded: Folded) -> None:
    folded.history.create("r")
    cells: list[Any] = [2**63 - 1, -(2**63), 2**53 + 1]
    folded.history.metrics("r", table("n", {"n": Column(dtype="any", values=cells)}, [1, 2, 3]))
    folded.history.metrics("r", table("m", {"m": Column(dtype="i64", values=cells)}, [1, 2, 3]))

    found = view(folded).metrics

    for name in ("n", "m"):
        assert (found[name].latest, found[name].max, found[name].min) == (2**53 + 1, 2.0**63, -(2.0**63))


def test_the_longest_sums_stay_storable(folded: Folded) -> None:
    folded.history.create("r")
    for _ in range(3):
        folded.history.run("r", e.CommandsLost(first=1, last=2**63 - 1, reason="all", values=2**63 - 1))
    assert view(folded).lost_values == 2**63 - 1
