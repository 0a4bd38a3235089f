"""Properties and parameters are written once; tags change; artifacts keep their content; all have bounds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import pytest

from runfold_events.contract import commands as c
from runfold_events.contract import events as e
from runfold_events.contract.statuses import TERMINAL, Status
from tests.support.scenario import RUN, created, event_id, given, given_status

WRITE_ONCE: Final = ("properties", "params")
CODES: Final = {"properties": "property_immutable", "params": "parameter_immutable"}
KEYS_MAX: Final = {"properties": 1_000, "params": 5_000}


def add(what: str, values: Mapping[str, Any]) -> c.RunCommand:
    if what == "params":
        return c.LogParams(run_id=RUN, params=dict(values))
    return c.AddProperties(run_id=RUN, properties=dict(values))


def added(what: str, values: Mapping[str, Any], late: bool = False) -> e.AnyEvent:
    if what == "params":
        return e.ParamsLogged(params=dict(values), late=late)
    return e.PropertiesAdded(properties=dict(values), late=late)


def many(count: int, first: int = 0) -> dict[str, str]:
    return {f"k{index}": "v" for index in range(first, first + count)}


@pytest.mark.parametrize("what", WRITE_ONCE)
def test_the_same_value_again_changes_nothing(what: str) -> None:
    given(created(), added(what, {"k": "v", "n": None})).when(add(what, {"k": "v", "n": None})).nothing()


@pytest.mark.parametrize("what", WRITE_ONCE)
def test_only_new_keys_are_in_the_event(what: str) -> None:
    answer = given(created(), added(what, {"k": "v"})).when(add(what, {"k": "v", "new": "w"}))
    answer.events(added(what, {"new": "w"}))


@pytest.mark.parametrize("what", WRITE_ONCE)
@pytest.mark.parametrize(("first", "second"), [("v", "w"), ("v", None), (None, "v"), ("v", "V"), ("", None)])
def test_another_value_is_refused_with_both_values_and_the_first_event(
    what: str, first: str | None, second: str | None
) -> None:
    answer = given(created(), e.RunStarted(), added(what, {"k": first})).when(add(what, {"k": second}))
    answer.refused(CODES[what], key="k", current=first, attempted=second, event=str(event_id(3)))


@pytest.mark.parametrize("what", WRITE_ONCE)
def test_one_wrong_key_refuses_the_whole_command(what: str) -> None:
    answer = given(created(), added(what, {"k": "v"})).when(add(what, {"new": "1", "k": "w"}))
    answer.refused(CODES[what], key="k")


@pytest.mark.parametrize("what", WRITE_ONCE)
def test_every_wrong_key_is_named(what: str) -> None:
    history = given(created(), added(what, {"a": "1", "b": "1", "c": "1"}))
    rejection = history.when(add(what, {"c": "2", "a": "2", "b": "1"})).refused(CODES[what])
    assert rejection.facts["keys"] == ["a", "c"]


@pytest.mark.parametrize("what", WRITE_ONCE)
def test_the_first_event_is_named_for_ever(what: str) -> None:
    history = (created(), added(what, {"k": "v"}), added(what, {"l": "v"}), e.RunCompleted())
    given(*history).when(add(what, {"k": "w"})).refused(CODES[what], event=str(event_id(2)))


def test_a_property_given_at_creation_is_written_once_too() -> None:
    history = given(created(properties={"k": "v"}), e.RunStarted())
    history.when(add("properties", {"k": "v"})).nothing()
    history.when(add("properties", {"k": "w"})).refused("property_immutable", event=str(event_id(1)))


@pytest.mark.parametrize(
    ("first", "second"),
    [(1, True), (True, 1), (0, False), (1, 1.0), (1.0, 1), (1, "1"), (0.1, "0.1"), (None, False), (None, 0)],
)
def test_parameters_of_different_types_are_different(first: Any, second: Any) -> None:
    answer = given(created(), added("params", {"k": first})).when(add("params", {"k": second}))
    rejection = answer.refused("parameter_immutable")
    facts = rejection.facts
    assert (type(facts["current"]), type(facts["attempted"])) == (type(first), type(second))


@pytest.mark.parametrize("value", [True, False, 0, -(2**63), 2**63 - 1, 0.1, 5e-324, -0.0, "", "é", None])
def test_parameters_of_every_type_may_be_repeated(value: Any) -> None:
    given(created(), added("params", {"k": value})).when(add("params", {"k": value})).nothing()


def test_properties_and_parameters_of_one_name_are_independent() -> None:
    given(created(), added("params", {"k": 1})).when(add("properties", {"k": "v"})).events(
        added("properties", {"k": "v"})
    )


@pytest.mark.parametrize("what", WRITE_ONCE)
def test_nothing_given_changes_nothing(what: str) -> None:
    given_status(Status.RUNNING).when(add(what, {})).nothing()


@pytest.mark.parametrize("what", WRITE_ONCE)
def test_a_run_takes_as_many_keys_as_the_limit_and_no_more(what: str) -> None:
    limit = KEYS_MAX[what]
    history = given(created(), added(what, many(limit - 1)))
    history.when(add(what, {"last": "v"})).events(added(what, {"last": "v"}))
    answer = history.when(add(what, {"last": "v", "over": "v"}))
    answer.refused("limit_exceeded", recorded=False, field=what, limit=limit, size=limit + 1)


@pytest.mark.parametrize("what", WRITE_ONCE)
def test_a_full_run_still_takes_what_it_has(what: str) -> None:
    everything = many(KEYS_MAX[what])
    given(created(), added(what, everything)).when(add(what, everything)).nothing()


# ── tags ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_tag_may_be_changed_and_only_what_changes_is_in_the_event() -> None:
    history = given(created(tags={"same": "1", "other": "1", "null": None}))
    answer = history.when(c.SetTags(run_id=RUN, tags={"same": "1", "other": "2", "null": None, "new": None}))
    assert answer.events(e.TagsSet(tags={"other": "2", "new": None})).tags == {
        "same": "1",
        "other": "2",
        "null": None,
        "new": None,
    }


def test_setting_tags_to_what_they_are_changes_nothing() -> None:
    history = given(created(tags={"k": None}))
    history.when(c.SetTags(run_id=RUN, tags={"k": None})).nothing()
    history.when(c.SetTags(run_id=RUN, tags={})).nothing()


def test_removing_tags_ignores_unknown_and_repeated_keys() -> None:
    history = given(created(tags={"a": "1", "b": None, "c": "1"}))
    answer = history.when(c.RemoveTags(run_id=RUN, keys=("b", "unknown", "a", "b")))
    assert answer.events(e.TagsRemoved(keys=("b", "a"))).tags == {"c": "1"}


def test_a_run_takes_1000_tags_and_no_more() -> None:
    history = given(created(tags=many(999)))
    history.when(c.SetTags(run_id=RUN, tags={"last": "1"})).events(e.TagsSet(tags={"last": "1"}))
    history.when(c.SetTags(run_id=RUN, tags={"last": "1", "over": "1"})).refused(
        "limit_exceeded", recorded=False, field="tags", limit=1_000, size=1_001
    )
    given(created(tags=many(1_000))).when(c.SetTags(run_id=RUN, tags={"k0": "2"})).events(
        e.TagsSet(tags={"k0": "2"})
    )


@pytest.mark.parametrize("status", sorted(Status))
def test_removed_tags_are_marked_late_after_the_end(status: Status) -> None:
    history = given_status(status, e.TagsSet(tags={"k": "1"}))
    answer = history.when(c.RemoveTags(run_id=RUN, keys=("k",)))
    answer.events(e.TagsRemoved(keys=("k",), late=status in TERMINAL))


# ── names, archive, artifacts ─────────────────────────────────────────────────────────────────────────────


def test_absent_fields_of_an_update_stay() -> None:
    history = given(created(display_name="d", description="text"))
    state = history.when(c.UpdateRun(run_id=RUN, description=None)).events(e.RunUpdated(description=None))
    assert (state.display_name, state.description) == ("d", None)


def test_an_update_to_what_is_there_changes_nothing() -> None:
    history = given(created(display_name="d"))
    history.when(c.UpdateRun(run_id=RUN, display_name="d", description=None)).nothing()
    history.when(c.UpdateRun(run_id=RUN)).nothing()


def test_a_run_is_archived_and_restored() -> None:
    archived = given_status(Status.COMPLETED, e.RunArchived())
    archived.when(c.ArchiveRun(run_id=RUN)).nothing()
    assert not archived.when(c.RestoreRun(run_id=RUN)).events(e.RunRestored()).archived


def test_an_artifact_keeps_its_content() -> None:
    first = e.ArtifactRecorded(path="m.bin", sha256="a" * 64, size_bytes=3)
    history = given(created(), first)
    again = c.RecordArtifact(run_id=RUN, path="m.bin", sha256="a" * 64, size_bytes=3)
    history.when(again).nothing()
    for sha256, size in (("b" * 64, 3), ("a" * 64, 4)):
        other = c.RecordArtifact(run_id=RUN, path="m.bin", sha256=sha256, size_bytes=size)
        history.when(other).refused("conflict", run_id=RUN)


def test_a_run_takes_10_000_artifacts_and_no_more() -> None:
    files = [e.ArtifactRecorded(path=f"f{n}", sha256="a" * 64, size_bytes=1) for n in range(3)]
    full = given(created(), *files)
    assert full.state is not None
    full.state.artifacts.update({f"more{n}": full.state.artifacts["f0"] for n in range(10_000 - 4)})
    command = c.RecordArtifact(run_id=RUN, path="last", sha256="a" * 64, size_bytes=1)
    last = e.ArtifactRecorded(path="last", sha256="a" * 64, size_bytes=1)
    full.when(command).events(last)
    full.state.artifacts["last"] = full.state.artifacts["f0"]
    over = c.RecordArtifact(run_id=RUN, path="over", sha256="a" * 64, size_bytes=1)
    full.when(over).refused("limit_exceeded", recorded=False, field="artifacts", limit=10_000, size=10_001)


# ── cancel, between the lines of the table ────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("details", [None, "pulling image"])
def test_a_station_may_be_reported_again_with_details(details: str | None) -> None:
    command = c.AdvanceRun(run_id=RUN, status=Status.PREPARING, details=details)
    answer = given_status(Status.PREPARING).when(command)
    if details is None:
        answer.nothing()
    else:
        answer.events(e.RunAdvanced(status=Status.PREPARING, details=details))


@pytest.mark.parametrize(
    ("command", "event"),
    [
        (c.CompleteRun(run_id=RUN), e.RunCompleted()),
        (c.FailRun(run_id=RUN), e.RunFailed()),
        (c.CancelRun(run_id=RUN), e.RunCanceled()),
    ],
)
def test_an_explicit_end_stands_after_a_cancel_request_and_after_a_loss(
    command: c.RunCommand, event: e.AnyEvent
) -> None:
    given_status(Status.CANCEL_REQUESTED).when(command).events(event)
    given_status(Status.NOT_RESPONDING).when(command).events(event)


def test_a_run_that_is_lost_finalizing_after_a_cancel_request_is_not_started_again_by_being_found() -> None:
    history = given_status(Status.CANCEL_REQUESTED, e.RunAdvanced(status=Status.FINALIZING), e.RunLost())
    answer = history.when(c.MarkFound(run_id=RUN), writer_holds=True, ever_held=True)
    answer.events(e.RunFound(status=Status.FINALIZING))
