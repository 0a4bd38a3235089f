"""Experiments, and what their runs add up to."""

from __future__ import annotations

import pytest

from runfold_events.contract import events as e
from runfold_events.contract.errors import NotFound
from runfold_events.contract.statuses import Status
from runfold_events.sync import run_sync
from runfold_projections.model import ExperimentView
from runfold_projections.testing.history import WORKSPACE, History, MemorySource
from tests.projections.support import Folded


@pytest.fixture(params=[1, 4])
def folded(request: pytest.FixtureRequest) -> Folded:
    return Folded(MemorySource(partitions=request.param))


def view(folded: Folded, name: str = "exp") -> ExperimentView:
    return run_sync(folded.views.experiment(WORKSPACE, name))


def test_an_experiment_changes_as_its_events_say(folded: Folded) -> None:
    folded.history.experiment(tags={"a": "1", "b": "2"})
    folded.history.update_experiment(set_tags={"a": "3", "c": None}, removed_tags=("b",), description="text")

    assert (view(folded).tags, view(folded).description) == ({"a": "3", "c": None}, "text")

    folded.history.update_experiment(archived=True, description=None)
    assert (view(folded).archived, view(folded).description) == (True, None)
    archived_at = view(folded).archived_at
    assert archived_at is not None
    folded.history.update_experiment(archived=True)
    assert view(folded).archived_at == archived_at
    assert run_sync(folded.views.experiments(WORKSPACE)) == []
    assert run_sync(folded.views.experiments(WORKSPACE, include_archived=True)) == [view(folded)]


def test_runs_are_counted_by_status_children_included(folded: Folded) -> None:
    folded.history.experiment()
    folded.history.create("a")
    folded.history.create("b", "a", start=False)
    folded.history.create("c", "a")
    folded.catch_up()
    folded.history.complete("c")

    assert view(folded).runs == {Status.RUNNING: 1, Status.NOT_STARTED: 1, Status.COMPLETED: 1}


def test_the_newest_activity_is_of_the_experiment_or_of_any_run(folded: Folded) -> None:
    for name in ("one", "two"):
        folded.history.experiment(name)
        folded.history.create(f"run-{name}", experiment=name)
    assert [x.experiment for x in run_sync(folded.views.experiments(WORKSPACE))] == ["two", "one"]

    last = folded.history.run("run-one", e.TagsSet(tags={"x": "1"}))

    assert [x.experiment for x in run_sync(folded.views.experiments(WORKSPACE))] == ["one", "two"]
    assert round(view(folded, "one").last_activity_at.timestamp() * 1e6) == last.recorded_at
    folded.history.log("run-two", "loss", [1.0])
    assert [x.experiment for x in run_sync(folded.views.experiments(WORKSPACE))] == ["one", "two"]


def test_an_experiment_outlives_its_erased_runs(folded: Folded) -> None:
    folded.history.experiment()
    folded.history.create("a")
    folded.history.erase("a")
    assert view(folded).runs == {Status.RUNNING: 1}


def test_workspaces_are_apart(folded: Folded) -> None:
    folded.history.experiment()
    other = History(folded.source, "other")
    other.experiment("theirs")

    assert run_sync(folded.views.workspaces()) == ["default", "other"]
    assert [x.experiment for x in run_sync(folded.views.experiments("other"))] == ["theirs"]
    with pytest.raises(NotFound):
        view(folded, "theirs")
