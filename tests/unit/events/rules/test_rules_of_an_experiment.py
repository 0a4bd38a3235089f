"""Experiments: created once by whoever names them first, then updated."""

from __future__ import annotations

from typing import Any, Final

import pytest

from runfold_events.contract import commands as c
from runfold_events.contract import events as e
from runfold_events.rules.decision import Decision, Rejection
from runfold_events.rules.experiment import ExperimentState, decide, evolve
from tests.support.scenario import EXPERIMENT_ID

CREATED: Final = e.ExperimentCreated(
    experiment="exp", experiment_id=EXPERIMENT_ID, description="text", tags={"a": "1", "b": None}
)


def state_after(*events: e.AnyEvent) -> ExperimentState | None:
    state: ExperimentState | None = None
    for event in events:
        state = evolve(state, event)
    return state


def when(command: c.ExperimentCommand, *history: e.AnyEvent) -> Decision:
    return decide(state_after(*history), command, EXPERIMENT_ID)


def update(**fields: Any) -> c.UpdateExperiment:
    return c.UpdateExperiment(experiment="exp", **fields)


def updated(decision: Decision, *history: e.AnyEvent) -> ExperimentState:
    """The state after what was decided."""
    assert isinstance(decision, tuple)
    after = state_after(*history, *decision)
    assert after is not None
    return after


def test_an_experiment_is_created_as_the_command_says() -> None:
    command = c.EnsureExperiment(experiment="exp", description="text", tags={"a": "1", "b": None})
    assert when(command) == (CREATED,)


def test_an_experiment_that_exists_stays_as_it_is_whatever_the_command_says() -> None:
    assert when(c.EnsureExperiment(experiment="exp", description="other", tags={"a": "2"}), CREATED) == ()


def test_updating_an_unknown_experiment_is_answered_only() -> None:
    decision = when(update(archived=True))
    assert isinstance(decision, Rejection)
    assert (decision.code, decision.recorded, decision.facts) == ("not_found", False, {"experiment": "exp"})


@pytest.mark.parametrize(
    "command",
    [
        update(),
        update(set_tags={"a": "1", "b": None}),
        update(remove_tags=("unknown",)),
        update(description="text"),
        update(archived=False),
    ],
)
def test_an_update_to_what_is_there_changes_nothing(command: c.UpdateExperiment) -> None:
    assert when(command, CREATED) == ()


def test_only_what_changes_is_in_the_event() -> None:
    command = update(
        set_tags={"a": "1", "b": "2", "c": None}, remove_tags=("x",), description="text", archived=True
    )
    decision = when(command, CREATED)
    assert decision == (e.ExperimentUpdated(set_tags={"b": "2", "c": None}, archived=True),)
    state = updated(decision, CREATED)
    assert (state.tags, state.description, state.archived) == (
        {"a": "1", "b": "2", "c": None},
        "text",
        True,
    )


def test_a_description_may_be_taken_away() -> None:
    decision = when(update(description=None), CREATED)
    assert decision == (e.ExperimentUpdated(description=None),)
    assert updated(decision, CREATED).description is None


def test_an_archived_experiment_is_reactivated() -> None:
    archived = e.ExperimentUpdated(archived=True)
    decision = when(update(archived=False), CREATED, archived)
    assert decision == (e.ExperimentUpdated(archived=False),)
    assert not updated(decision, CREATED, archived).archived


def test_tags_are_removed_once_each() -> None:
    decision = when(update(remove_tags=("b", "unknown", "b")), CREATED)
    assert decision == (e.ExperimentUpdated(removed_tags=("b",)),)
    assert updated(decision, CREATED).tags == {"a": "1"}


@pytest.mark.parametrize("key", ["a", "new"])
def test_a_tag_that_is_set_and_removed_at_once_is_gone_whether_it_was_there_or_not(key: str) -> None:
    command = update(set_tags={key: "9"}, remove_tags=(key,), archived=True)
    assert key not in updated(when(command, CREATED), CREATED).tags


def test_an_experiment_takes_1000_tags_and_no_more() -> None:
    full = e.ExperimentUpdated(set_tags={f"k{n}": "v" for n in range(997)})
    assert isinstance(when(update(set_tags={"last": "1"}), CREATED, full), tuple)
    decision = when(update(set_tags={"last": "1", "over": "1"}), CREATED, full)
    assert isinstance(decision, Rejection)
    assert (decision.code, decision.recorded) == ("limit_exceeded", False)
    assert decision.facts == {"field": "tags", "limit": 1_000, "size": 1_001}
