"""Creating runs: experiments and parents must exist, ids are idempotent, resuming re-opens."""

from __future__ import annotations

from typing import Any, Final

import pytest

from runfold_events.contract import commands as c
from runfold_events.contract import events as e
from runfold_events.contract.statuses import Status
from runfold_events.rules.decision import ParentFacts
from tests.support.scenario import (
    EXPERIMENT_ID,
    GONE,
    OTHER,
    RUN,
    created,
    event_id,
    given,
    given_status,
)

KNOWN: Final[dict[str, Any]] = {"experiment_id": EXPERIMENT_ID, "run_number": 7}
CONTENT: Final[dict[str, Any]] = {
    "name": "n",
    "display_name": "d",
    "description": "text",
    "tags": {"t": None},
    "properties": {"p": "1", "null": None},
    "target": "gpu",
    "run_type": "sweep",
}


def create(**fields: Any) -> c.CreateRun:
    known: dict[str, Any] = {"run_id": RUN, "experiment": "exp"}
    return c.CreateRun(**(known | fields))


def ancestors(count: int) -> ParentFacts:
    path = tuple(f"a{index}" for index in range(count))
    return ParentFacts(path[-1], path[0], path)


def test_a_run_is_created_and_not_started() -> None:
    state = given().when(create(start=False), **KNOWN).events(created())
    assert state.status is Status.NOT_STARTED


def test_a_run_is_created_and_started_by_one_command() -> None:
    state = given().when(create(), **KNOWN).events(created(start=True), e.RunStarted())
    assert state.status is Status.RUNNING


def test_everything_the_command_says_is_in_the_event() -> None:
    state = given().when(create(start=False, **CONTENT), **KNOWN).events(created(**CONTENT))
    assert {name: written.value for name, written in state.properties.items()} == CONTENT["properties"]
    assert {written.event for written in state.properties.values()} == {event_id(1)}
    assert (state.tags, state.display_name, state.description) == ({"t": None}, "d", "text")


def test_an_unknown_experiment_is_answered_only() -> None:
    given().when(create(), run_number=7).refused("not_found", recorded=False, field="experiment", size="exp")


def test_an_unknown_parent_is_answered_only() -> None:
    answer = given().when(create(parent_run_id="p"), **KNOWN)
    answer.refused("not_found", recorded=False, field="parent_run_id", size="p")


def test_a_child_stands_below_its_parent_in_the_tree() -> None:
    parent = ParentFacts("p", "root", ("root", "p"))
    expected = created(parent_run_id="p", root_run_id="root", path=("root", "p", RUN))
    given().when(create(start=False, parent_run_id="p"), parent=parent, **KNOWN).events(expected)


def test_a_tree_may_be_32_runs_deep() -> None:
    parent = ancestors(31)
    expected = created(parent_run_id="a30", root_run_id="a0", path=(*parent.path, RUN))
    given().when(create(start=False, parent_run_id="a30"), parent=parent, **KNOWN).events(expected)


def test_a_tree_may_not_be_33_runs_deep() -> None:
    answer = given().when(create(parent_run_id="a31"), parent=ancestors(32), **KNOWN)
    answer.refused("limit_exceeded", recorded=False, field="path", limit=32, size=33)


# ── the same id again ─────────────────────────────────────────────────────────────────────────────────────


def test_the_same_content_again_changes_nothing() -> None:
    given(created(start=True, **CONTENT), e.RunStarted()).when(create(**CONTENT), **KNOWN).nothing()


def test_the_same_content_again_changes_nothing_whatever_became_of_the_run() -> None:
    since = (
        e.RunStarted(),
        e.TagsSet(tags={"t": "other", "u": "1"}),
        e.PropertiesAdded(properties={"q": "2"}),
        e.RunUpdated(display_name="renamed", description=None),
        e.RunArchived(),
        e.RunFailed(),
    )
    given(created(start=True, **CONTENT), *since).when(create(**CONTENT), **KNOWN).nothing()


def test_the_same_child_again_changes_nothing() -> None:
    history = created(parent_run_id="p", root_run_id="root", path=("root", "p", RUN))
    parent = ParentFacts("p", "root", ("root", "p"))
    given(history).when(create(start=False, parent_run_id="p"), parent=parent, **KNOWN).nothing()


@pytest.mark.parametrize(
    ("field", "other"),
    [
        ("name", "other"),
        ("display_name", None),
        ("description", "other"),
        ("tags", {"t": "1"}),
        ("tags", {}),
        ("properties", {"p": "2", "null": None}),
        ("properties", {"p": "1", "null": None, "more": "1"}),
        ("target", "local"),
        ("run_type", None),
        ("parent_run_id", "p"),
        ("experiment", "other"),
        ("start", False),
    ],
)
def test_other_content_is_a_conflict_that_names_what_differs(field: str, other: Any) -> None:
    history = given(created(start=True, **CONTENT), e.RunStarted())
    answer = history.when(create(**(CONTENT | {field: other})), **KNOWN)
    rejection = answer.refused("conflict", run_id=RUN, event=str(event_id(1)))
    differing = rejection.facts["differing"]
    assert set(differing) == {field}
    assert differing[field]["attempted"] == other
    assert differing[field]["current"] == ({"start": True, "experiment": "exp"} | CONTENT).get(field)


def test_a_parent_of_another_name_is_a_conflict_even_when_it_is_unknown() -> None:
    given(created(start=True)).when(create(parent_run_id="p"), **KNOWN).refused("conflict")


# ── resuming ──────────────────────────────────────────────────────────────────────────────────────────────


def test_resuming_a_run_that_does_not_exist_creates_it() -> None:
    given().when(create(resume=True), **KNOWN).events(created(start=True), e.RunStarted())


def test_resuming_is_no_part_of_a_run_s_content() -> None:
    given(created(start=True), e.RunStarted()).when(create(), **KNOWN).nothing()


def test_resuming_a_run_that_another_process_holds_opens_it_too() -> None:
    given_status(Status.RUNNING).when(create(resume=True), **KNOWN, **OTHER).nothing()


def test_resuming_a_run_of_another_experiment_is_a_conflict() -> None:
    answer = given_status(Status.RUNNING).when(create(experiment="other", resume=True), **KNOWN)
    rejection = answer.refused("conflict", run_id=RUN)
    assert rejection.facts["differing"] == {"experiment": {"current": "exp", "attempted": "other"}}


@pytest.mark.parametrize("status", [Status.COMPLETED, Status.FAILED, Status.CANCELED])
def test_resuming_an_ended_run_is_refused(status: Status) -> None:
    answer = given_status(status).when(create(resume=True), **KNOWN, **GONE)
    answer.refused("run_ended", status=status, event=str(event_id(3)))


def test_resuming_a_run_that_was_lost_before_it_started_starts_it() -> None:
    """After ``resume`` with ``start`` the run is Running, as from NotStarted, also with a loss in between."""
    answer = given(created(), e.RunLost()).when(create(resume=True), will_hold=True, **KNOWN, **GONE)
    assert isinstance(answer.decision, tuple)
    assert answer.events(*answer.decision).status is Status.RUNNING
