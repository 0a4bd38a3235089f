"""Rows of the parity table: workspaces and experiments. Over both transports."""

from __future__ import annotations

import re
import types
from collections.abc import Callable
from typing import Any

import pytest

from runfold import (
    Conflict,
    Experiment,
    Invalid,
    NotFound,
    Run,
    RunEnded,
    Workspace,
)
from runfold.exceptions import ServiceException, UserErrorException
from tests.support.sdk_handles import ids

UUID_TEXT = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")


# ── workspace ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parity("WS-04")
def test_experiments_of_a_workspace_by_name_active_only(workspace: Workspace) -> None:
    assert workspace.experiments == {}
    for name in ("first", "second", "third"):
        Experiment(workspace, name)
    Experiment(workspace, "second").archive()

    assert set(workspace.experiments) == {"first", "third"}
    assert workspace.experiments["first"].workspace is workspace


@pytest.mark.parity("WS-05")
def test_a_run_of_any_experiment(workspace: Workspace, experiment: Experiment) -> None:
    run = experiment.start_logging()
    other = Experiment(workspace, "other").start_logging()

    assert workspace.get_run(run.id).experiment.name == "explore-runs"
    assert Run.get(workspace, other.id).experiment.name == "other"
    with pytest.raises(ServiceException, match="no run 'missing'"):
        workspace.get_run("missing")
    with pytest.raises(NotFound):
        Run.get(workspace, "missing")


def test_details_of_a_workspace(workspace: Workspace) -> None:
    details = workspace.get_details()

    assert details["name"] == workspace.name
    assert details["location"] == workspace.location
    assert repr(workspace).startswith(f"Workspace(Name: {workspace.name}")


# ── experiment ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parity("EX-01")
def test_an_experiment_is_gotten_or_created(workspace: Workspace) -> None:
    first, second = Experiment(workspace, "e"), Experiment(workspace, "e")

    assert first.id == second.id
    assert UUID_TEXT.match(first.id)
    assert list(workspace.experiments) == ["e"]
    assert repr(first) == f"Experiment(Name: e,\nWorkspace: {workspace.name})"
    assert first.workspace_object is first.workspace is workspace


@pytest.mark.parity("EX-02")
@pytest.mark.parametrize("name", ["", "a b", "a.b", "-a", "_a", "a" * 256, "a\n", "é", "a/b", "a\x00"])
def test_a_name_that_cannot_be(workspace: Workspace, name: str) -> None:
    with pytest.raises(UserErrorException, match="Experiment name must be between 1 and 255 characters long"):
        Experiment(workspace, name)
    assert workspace.experiments == {}


@pytest.mark.parity("EX-02")
@pytest.mark.parametrize("name", ["a", "0", "a" * 255, "a-b_c", "Aé"])
def test_a_name_that_can_be(workspace: Workspace, name: str) -> None:
    Experiment(workspace, name)
    assert list(workspace.experiments) == [name]


@pytest.mark.parity("EX-03")
def test_start_logging_gives_a_running_run(experiment: Experiment) -> None:
    run = experiment.start_logging()

    assert run.status == "NotStarted"
    assert run.get_status() == "Running"
    assert UUID_TEXT.match(run.id)
    assert run.get_details()["target"] == "local"


@pytest.mark.parity("EX-04")
def test_start_logging_takes_azures_options(experiment: Experiment) -> None:
    run = experiment.start_logging(
        run_id="my-run_1.0",
        name="a name",
        display_name="For people",
        description="What it is about",
        tags={"k": "v", "bare": None, "number": 1},
        properties={"p": 2},
        outputs=False,
        snapshot_directory=None,
    )
    again = Run(experiment, "my-run_1.0")

    assert (again.id, again.name) == ("my-run_1.0", "a name")
    assert (run.display_name, run.description) == ("For people", "What it is about")
    assert run.tags == again.tags == {"k": "v", "bare": None, "number": "1"}
    assert run.properties == again.properties == {"p": "2"}


@pytest.mark.parity("EX-04")
def test_start_logging_refuses_what_it_does_not_know_or_cannot_do(experiment: Experiment) -> None:
    with pytest.raises(TypeError):
        experiment.start_logging(colour="red")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    impossible: list[dict[str, Any]] = [{"outputs": 7}, {"outputs": ""}, {"snapshot_directory": "nowhere"}]
    for asked in impossible:
        with pytest.raises(Invalid, match=next(iter(asked))):
            experiment.start_logging(**asked)
    for run_id in ("", "a/b", "a b", "é", "a" * 257, "..", "a\n"):
        with pytest.raises(Invalid):
            experiment.start_logging(run_id=run_id)
    assert list(experiment.get_runs()) == []


def test_the_same_id_and_content_is_the_same_run_and_other_content_is_a_conflict(
    experiment: Experiment,
) -> None:
    experiment.start_logging(run_id="x", tags={"k": "v"})
    again = experiment.start_logging(run_id="x", tags={"k": "v"})
    with pytest.raises(Conflict, match="exists with other content: tags"):
        experiment.start_logging(run_id="x", tags={"k": "w"})

    again.log("loss", 1.0)
    assert ids(experiment.get_runs()) == ["x"]
    assert again.get_metrics() == {"loss": 1.0}


def test_resume_opens_a_run_that_has_not_ended(experiment: Experiment) -> None:
    first = experiment.start_logging(run_id="x", tags={"k": "v"})
    resumed = experiment.start_logging(run_id="x", resume=True)
    resumed.log("loss", 1.0)
    fresh = experiment.start_logging(run_id="y", resume=True)

    assert resumed.get_tags() == {"k": "v"}
    assert fresh.get_status() == "Running"
    first.complete()
    with pytest.raises(RunEnded):
        experiment.start_logging(run_id="x", resume=True)
    first.tag("still", "reachable")
    assert first.get_tags() == {"k": "v", "still": "reachable"}


@pytest.mark.parity("EX-06")
def test_get_runs_is_lazy_newest_first_and_roots_only(experiment: Experiment) -> None:
    runs = [experiment.start_logging() for _ in range(3)]
    runs[0].child_run()
    found = experiment.get_runs()

    assert isinstance(found, types.GeneratorType)
    assert [run.id for run in experiment.get_runs()] == ids(reversed(runs))
    assert ids(experiment.get_runs(include_children=True))[1:] == ids(reversed(runs))


def test_get_runs_goes_on_over_pages(experiment: Experiment) -> None:
    parent = experiment.start_logging()
    children = parent.create_children(count=120)

    assert len(ids(parent.get_children())) == len(set(ids(parent.get_children()))) == 120
    assert set(ids(parent.get_children())) == set(ids(children))
    assert len(list(experiment.query(include_children=True, limit=75))) == 75


@pytest.fixture
def labelled(experiment: Experiment) -> dict[str, Run]:
    """Runs with tags and properties to be found by."""
    return {
        "great": experiment.start_logging(
            tags={"quality": "great run"}, properties={"author": "azureml-user"}
        ),
        "fantastic": experiment.start_logging(
            tags={"quality": "fantastic run", "worth another look": None},
            properties={"author": "azureml-user", "n": 1},
        ),
        "other": experiment.start_logging(tags={"quality": None, "n": 1}, properties={"author": "different"}),
    }


FILTERS: list[tuple[dict[str, Any], set[str]]] = [
    ({"properties": {"author": "azureml-user"}}, {"great", "fantastic"}),
    ({"properties": {"author": "azureml-user", "n": "1"}}, {"fantastic"}),
    ({"properties": {"author": "azureml-user", "n": 1}}, {"fantastic"}),
    ({"properties": "n"}, {"fantastic"}),
    ({"tags": {"quality": "great run"}}, {"great"}),
    ({"tags": {"quality": "fantastic run", "worth another look": None}}, {"fantastic"}),
    ({"tags": {"quality": None}}, {"other"}),
    ({"tags": {"n": 1}}, {"other"}),
    ({"tags": {"n": "1"}}, {"other"}),
    ({"tags": "quality"}, {"great", "fantastic", "other"}),
    ({"tags": "worth another look"}, {"fantastic"}),
    ({"tags": "nobody has it"}, set()),
    ({"tags": {}}, {"great", "fantastic", "other"}),
    ({"tags": "quality", "properties": {"author": "different"}}, {"other"}),
    ({"tags": {"quality": "great run"}, "properties": {"author": "different"}}, set()),
    ({"tags": {'"; drop table runs; --': "x' or 1=1"}}, set()),
]


@pytest.mark.parity("EX-07")
@pytest.mark.parity("EX-08")
@pytest.mark.parity("EX-09")
@pytest.mark.parity("EX-10")
@pytest.mark.parametrize(
    ("filters", "expected"),
    FILTERS,
)
def test_filters(
    experiment: Experiment, labelled: dict[str, Run], filters: dict[str, Any], expected: set[str]
) -> None:
    parent = experiment.start_logging(name="parent of copies")
    found = [run for run in experiment.get_runs(**filters) if run.id != parent.id]

    assert {name for name, run in labelled.items() if run.id in ids(found)} == expected
    assert len(found) == len(expected)
    assert list(parent.get_children(**filters)) == []
    assert ids(Run.list(experiment, **filters)) == ids(experiment.get_runs(**filters))


@pytest.mark.parity("EX-11")
def test_get_runs_by_type(workspace: Workspace, experiment: Experiment) -> None:
    run = experiment.start_logging()

    assert list(experiment.get_runs(type="azureml.scriptrun")) == []
    assert list(experiment.get_runs(type="azureml.scriptrun", include_children=True)) == []
    assert ids(experiment.get_runs(type=None)) == [run.id]


@pytest.mark.parity("EX-12")
def test_list_archive_reactivate(workspace: Workspace) -> None:
    first, second = Experiment(workspace, "first"), Experiment(workspace, "second")
    first.tag("k", "v")
    second.archive()

    def names(**arguments: Any) -> list[str]:
        return sorted(experiment.name for experiment in Experiment.list(workspace, **arguments))

    assert names() == ["first"]
    assert names(view_type="ArchivedOnly") == ["second"]
    assert names(view_type="All") == ["first", "second"]
    assert names(view_type="All", experiment_name="second") == ["second"]
    assert names(tags={"k": "v"}) == names(tags="k") == ["first"]
    assert names(tags={"k": "w"}) == []
    with pytest.raises(Invalid, match="view_type"):
        Experiment.list(workspace, view_type="Some")
    with pytest.raises(UserErrorException, match="Cannot rename an experiment"):
        second.reactivate(new_name="third")
    second.reactivate()
    second.refresh()
    assert not second.archived
    assert names() == ["first", "second"]


@pytest.mark.parity("EX-13")
def test_an_experiments_tags_are_merged_and_seen_after_refresh(experiment: Experiment) -> None:
    assert experiment.tags == {}
    experiment.tag("k", "v")
    experiment.set_tags({"bare": None, "n": 1})

    assert experiment.tags == {}
    experiment.refresh()
    assert experiment.tags == {"k": "v", "bare": None, "n": "1"}
    experiment.remove_tags(["k", "unknown"])
    experiment.refresh()
    assert experiment.tags == {"bare": None, "n": "1"}
    experiment.description = "what it is for"
    assert experiment.description == "what it is for"


@pytest.mark.parity("EX-14")
@pytest.mark.parametrize("filters", [["k"], 1, {"k"}])
def test_a_filter_of_a_wrong_type_is_an_error_at_the_call(experiment: Experiment, filters: Any) -> None:
    run = experiment.start_logging()
    calls: list[Callable[..., object]] = [experiment.get_runs, run.get_children]
    for call in calls:
        for what in ("tags", "properties"):
            with pytest.raises(ValueError, match=f"Unknown filter type for run {what}: <class "):
                call(**{what: filters})
    with pytest.raises(Invalid, match="no status 'running'"):
        run.get_children(status="running")
