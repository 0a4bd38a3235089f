"""One key makes commands idempotent: (stream, writer, number). Each answer as the design states it, and one effect."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import pytest
from msgspec import Raw
from msgspec.structs import replace

from runfold_events.contract import commands as c
from runfold_events.contract.submission import Accepted, Outcome, Refused
from runfold_events.contract.tokens import parse_token
from runfold_events.sync import run_sync
from tests.support.ledgers import A, B, Desk, desk, event_types, experiment, refused, run, taken

TAG: Final = c.SetTags(run_id="r", tags={"k": "1"})
PROPERTY: Final = c.AddProperties(run_id="r", properties={"p": "1"})
OTHER_PROPERTY: Final = c.AddProperties(run_id="r", properties={"p": "2"})
METRICS: Final = c.LogMetrics(run_id="r", batch=Raw(b'{"series":[]}'))


@pytest.fixture(params=[1, 16], ids=["one partition", "16 partitions"])
def store(request: pytest.FixtureRequest) -> Iterator[Desk]:
    """A store with an experiment and the run ``r``, Running."""
    with desk(partitions=request.param) as opened:
        opened.ensure()
        opened.create("r")
        yield opened


def as_repeated(first: Outcome, again: Outcome) -> Outcome:
    """The first answer with what a repetition may say differently: that it is one, and the end it saw."""
    return replace(first, repeated=True, token=again.token)


# ── known numbers ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_repeated_number_gets_the_first_answer_and_has_no_effect(store: Desk) -> None:
    first = store.send(A, 1, TAG)
    before = store.all_events()
    again = store.send(A, 1, TAG)
    assert again == as_repeated(first, again)
    assert event_types(again) == ["tags_set"]
    assert store.all_events() == before


def test_a_number_below_the_highest_gets_the_first_answer_too(store: Desk) -> None:
    answers = [
        store.send(A, 1, TAG),
        store.send(A, 2, PROPERTY),
        store.send(A, 3, c.CompleteRun(run_id="r")),
    ]
    before = store.all_events()
    again = [
        store.send(A, 2, PROPERTY),
        store.send(A, 1, TAG),
        store.send(A, 3, c.CompleteRun(run_id="r")),
    ]
    assert again == [as_repeated(answers[n - 1], answer) for n, answer in zip((2, 1, 3), again, strict=True)]
    assert store.all_events() == before


def test_a_repeated_rejection_is_the_same_rejection(store: Desk) -> None:
    store.send(A, 1, PROPERTY)
    first = refused(store.send(A, 2, OTHER_PROPERTY), "property_immutable")
    before = store.all_events()
    again = refused(store.send(A, 2, OTHER_PROPERTY), "property_immutable")
    assert again == as_repeated(first, again)
    assert (again.message, again.facts, again.event) == (first.message, first.facts, first.event)
    assert store.all_events() == before


def test_a_repeated_no_op_changes_nothing_whatever_happened_since(store: Desk) -> None:
    taken(store.send(B, 1, TAG))
    first = taken(store.send(A, 1, TAG))
    assert first.events == ()
    taken(store.send(B, 2, c.RemoveTags(run_id="r", keys=("k",))))
    before = store.all_events()
    again = taken(store.send(A, 1, TAG))
    assert again == as_repeated(first, again)
    assert store.all_events() == before


def test_a_repeated_metric_batch_is_stored_once(store: Desk) -> None:
    """Its answer names no event: no index holds those of metrics."""
    first = taken(store.send(A, 1, METRICS))
    assert event_types(first) == ["metrics_logged"]
    again = taken(store.send(A, 1, METRICS))
    assert (again.repeated, again.events) == (True, ())
    assert store.types("r").count("metrics_logged") == 1


def test_a_repeated_creation_names_the_run_and_both_events(store: Desk) -> None:
    command = c.CreateRun(run_id="s", experiment="exp")
    first = taken(store.send(A, 1, command))
    again = taken(store.send(A, 1, command))
    assert again == as_repeated(first, again)
    assert (again.run_id, event_types(again)) == ("s", ["created", "started"])


def test_a_repeated_answer_carries_the_end_of_the_partition_as_token(store: Desk) -> None:
    store.send(A, 1, TAG)
    store.send(B, 1, PROPERTY)
    again = store.send(A, 1, TAG)
    assert again.token is not None
    token = parse_token(again.token)
    assert token.epoch == store.store.epoch
    assert [store.ends()[partition] for partition in token.ends] == list(token.ends.values())


def test_repeated_commands_on_an_experiment_have_one_effect(store: Desk) -> None:
    update = c.UpdateExperiment(experiment="exp", set_tags={"t": "1"})
    first = store.send(A, 1, update)
    again = store.send(A, 1, update)
    assert again == as_repeated(first, again)
    assert [event.type for event in store.stream_events(experiment())] == [
        "experiment.created",
        "experiment.updated",
    ]


def test_two_writers_have_their_own_numbers(store: Desk) -> None:
    for writer in (A, B):
        taken(store.send(writer, 1, c.SetTags(run_id="r", tags={str(writer): "1"})))
    assert store.types("r").count("tags_set") == 2


def test_one_writer_numbers_each_stream_by_itself(store: Desk) -> None:
    taken(store.send(A, 1, TAG))
    taken(store.send(A, 1, c.CreateRun(run_id="s", experiment="exp")))
    taken(store.send(A, 1, c.UpdateExperiment(experiment="exp", archived=True)))
    taken(store.send(A, 2, c.SetTags(run_id="s", tags={"k": "1"})))


def test_the_clock_and_the_trace_of_a_repetition_do_not_matter(store: Desk) -> None:
    first = store.send(A, 1, TAG, traceparent="00-a", correlation_id=UUID(int=1))
    store.clock.advance(3600)
    again = store.send(A, 1, TAG, traceparent="00-b", correlation_id=UUID(int=2), door="http")
    assert again == as_repeated(first, again)


# ── jumps ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("sent", "expected"), [(2, 1), (7, 1), (2**63 - 1, 1)])
def test_a_jump_is_refused_with_the_number_expected(store: Desk, sent: int, expected: int) -> None:
    before = store.all_events()
    answer = refused(store.send(A, sent, TAG), "sequence_gap")
    assert (answer.facts["expected"], answer.event) == (expected, None)
    assert store.all_events() == before
    taken(store.send(A, expected, TAG))


def test_a_jump_after_some_commands_names_the_next_one(store: Desk) -> None:
    store.send(A, 1, TAG)
    store.send(A, 2, PROPERTY)
    assert refused(store.send(A, 4, TAG), "sequence_gap").facts["expected"] == 3
    taken(store.send(A, 3, c.ArchiveRun(run_id="r")))


def test_a_jump_on_a_run_that_does_not_exist_is_a_jump(store: Desk) -> None:
    answer = refused(store.send(A, 2, c.SetTags(run_id="unknown", tags={})), "sequence_gap")
    assert answer.facts["expected"] == 1


@pytest.mark.parametrize("number", [0, -1, 2**63])
def test_numbers_count_from_1(store: Desk, number: int) -> None:
    assert refused(store.send(A, number, TAG), "invalid").facts["field"] == "writer_seq"


# ── other content ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "other",
    [
        c.SetTags(run_id="r", tags={"k": "2"}),
        c.SetTags(run_id="r", tags={"k": None}),
        c.CompleteRun(run_id="r"),
        METRICS,
        c.DeclareLost(run_id="r", first=1, last=1, reason="lost"),
    ],
    ids=lambda command: type(command).__name__,
)
def test_the_highest_number_with_other_content_is_a_conflict(store: Desk, other: c.Command) -> None:
    store.send(A, 1, TAG)
    before = store.all_events()
    answer = refused(store.send(A, 1, other), "idempotency_conflict")
    assert answer.event is None
    assert store.all_events() == before
    taken(store.send(A, 2, PROPERTY))


def test_a_metric_batch_with_one_byte_changed_is_a_conflict(store: Desk) -> None:
    store.send(A, 1, METRICS)
    other = c.LogMetrics(run_id="r", batch=Raw(b'{"series": []}'))
    refused(store.send(A, 1, other), "idempotency_conflict")


def test_other_content_for_a_refused_number_is_a_conflict(store: Desk) -> None:
    store.send(A, 1, PROPERTY)
    refused(store.send(A, 2, OTHER_PROPERTY), "property_immutable")
    refused(store.send(A, 2, TAG), "idempotency_conflict")


def test_other_content_for_a_number_that_changed_nothing_is_a_conflict(store: Desk) -> None:
    store.send(B, 1, TAG)
    assert event_types(store.send(A, 1, TAG)) == []
    refused(store.send(A, 1, PROPERTY), "idempotency_conflict")


def test_a_retry_with_its_keys_in_another_order_is_no_conflict(store: Desk) -> None:
    first = store.send(A, 1, c.SetTags(run_id="r", tags={"a": "1", "b": "2"}))
    again = store.send(A, 1, c.SetTags(run_id="r", tags={"b": "2", "a": "1"}))
    assert again == as_repeated(first, again)


# ── refusals ──────────────────────────────────────────────────────────────────────────────────────────────

UNRECORDED: Final[dict[str, tuple[str, c.Command]]] = {
    "unknown run": ("not_found", c.SetTags(run_id="unknown", tags={"k": "1"})),
    "unknown experiment": ("not_found", c.CreateRun(run_id="unknown", experiment="unknown")),
    "unknown parent": ("not_found", c.CreateRun(run_id="unknown", experiment="exp", parent_run_id="nobody")),
    "over a limit": ("limit_exceeded", c.SetTags(run_id="unknown", tags={"k" * 257: "1"})),
    "bad schema": ("invalid", c.LogMetrics(run_id="unknown", batch=Raw(b"{}"))),
}


@pytest.mark.parametrize("why", UNRECORDED)
def test_an_unrecorded_refusal_leaves_its_number_free(store: Desk, why: str) -> None:
    code, command = UNRECORDED[why]
    before = store.all_events()
    for _ in range(2):
        answer = refused(store.send(A, 1, command), code)
        assert (answer.event, answer.repeated) == (None, False)
    assert store.all_events() == before
    taken(store.send(A, 1, c.CreateRun(run_id="unknown", experiment="exp")))


def test_a_limit_of_the_run_leaves_the_number_free(store: Desk) -> None:
    tags: dict[str, str | None] = {f"k{n}": "v" for n in range(1_000)}
    taken(store.send(A, 1, c.SetTags(run_id="r", tags=tags)))
    refused(store.send(A, 2, c.SetTags(run_id="r", tags={"over": "1"})), "limit_exceeded")
    taken(store.send(A, 2, c.RemoveTags(run_id="r", keys=("k0",))))
    taken(store.send(A, 3, c.SetTags(run_id="r", tags={"over": "1"})))


def test_a_recorded_refusal_consumes_its_number(store: Desk) -> None:
    store.send(A, 1, PROPERTY)
    answer = refused(store.send(A, 2, OTHER_PROPERTY), "property_immutable")
    assert event_types(answer) == ["command_rejected"]
    assert store.types("r")[-1] == "command_rejected"
    assert refused(store.send(A, 4, TAG), "sequence_gap").facts["expected"] == 3
    taken(store.send(A, 3, TAG))


def test_the_rejection_says_who_tried_what(store: Desk) -> None:
    store.send(A, 1, PROPERTY)
    first = store.stream_events(run("r"))[-1]
    store.send(A, 2, OTHER_PROPERTY, door="http")
    event = store.stream_events(run("r"))[-1]
    assert (event.actor, event.actor_source, event.door, event.causes) == ("ann", "os", "http", (A, 2))
    for part in (b'"run.add_properties"', b'"property_immutable"', b'"1"', b'"2"', str(first.id).encode()):
        assert part in (event.body or b"")


# ── a refused creation ────────────────────────────────────────────────────────────────────────────────────


def test_a_refused_creation_blocks_its_writer_on_the_stream(store: Desk) -> None:
    conflict = c.CreateRun(run_id="r", experiment="exp", name="other")
    first = refused(store.send(A, 1, conflict), "conflict")
    assert event_types(first) == ["command_rejected"]
    before = store.all_events()
    for number in (2, 3):
        for command in (TAG, METRICS, c.CompleteRun(run_id="r")):
            assert isinstance(store.send(A, number, command), Refused)
    assert store.all_events() == before


def test_a_refused_creation_blocks_nobody_else(store: Desk) -> None:
    refused(store.send(A, 1, c.CreateRun(run_id="r", experiment="exp", name="other")), "conflict")
    taken(store.send(B, 1, TAG))
    taken(store.send(A, 1, c.CreateRun(run_id="s", experiment="exp")))
    taken(store.send(A, 2, c.SetTags(run_id="s", tags={"k": "1"})))


def test_a_refused_creation_is_answered_again_as_it_was(store: Desk) -> None:
    conflict = c.CreateRun(run_id="r", experiment="exp", name="other")
    first = store.send(A, 1, conflict)
    again = store.send(A, 1, conflict)
    assert again == as_repeated(first, again)


def test_a_creation_that_was_refused_without_an_event_takes_nothing_more_until_it_succeeds(
    store: Desk,
) -> None:
    create = c.CreateRun(run_id="s", experiment="later")
    refused(store.send(A, 1, create), "not_found")
    assert isinstance(store.send(A, 2, c.SetTags(run_id="s", tags={"k": "1"})), Refused)
    taken(store.send(B, 1, c.EnsureExperiment(experiment="later")))
    taken(store.send(A, 1, create))
    taken(store.send(A, 2, c.SetTags(run_id="s", tags={"k": "1"})))


def test_a_refused_resumption_blocks_its_writer_too(store: Desk) -> None:
    taken(store.send(B, 1, c.CompleteRun(run_id="r")))
    refused(store.send(A, 1, c.CreateRun(run_id="r", experiment="exp", resume=True)), "run_ended")
    assert isinstance(store.send(A, 2, METRICS), Refused)
    assert "metrics_logged" not in store.types("r")


# ── what another process asks ─────────────────────────────────────────────────────────────────────────────


def test_an_outcome_can_be_asked_for_by_its_key(store: Desk) -> None:
    answers: list[Outcome] = [store.send(A, 1, PROPERTY), store.send(A, 2, OTHER_PROPERTY)]
    for number, first in enumerate(answers, start=1):
        found = run_sync(store.ledger.outcome((run("r"), A, number)))
        assert found is not None
        assert found == as_repeated(first, found)
    for key in ((run("r"), A, 3), (run("r"), B, 1), (run("unknown"), A, 1)):
        assert run_sync(store.ledger.outcome(key)) is None


def test_answers_survive_the_process(tmp_path: Path) -> None:
    commands: list[c.Command] = [PROPERTY, OTHER_PROPERTY, TAG, TAG]
    with desk(tmp_path / "ledger.db") as first:
        first.ensure()
        first.create("r")
        answers: list[Outcome] = [first.send(A, n, command) for n, command in enumerate(commands, start=1)]
        before = first.all_events()
    with desk(tmp_path / "ledger.db", first_id=1_000) as second:
        again: list[Outcome] = [second.send(A, n, command) for n, command in enumerate(commands, start=1)]
        assert again == [as_repeated(one, two) for one, two in zip(answers, again, strict=True)]
        assert [type(answer) for answer in again] == [Accepted, Refused, Accepted, Accepted]
        assert second.all_events() == before
        assert refused(second.send(A, 9, TAG), "sequence_gap").facts["expected"] == 5
        refused(second.send(A, 4, PROPERTY), "idempotency_conflict")
        taken(second.send(A, 5, PROPERTY))


def test_the_mark_says_how_far_a_writer_has_come(store: Desk) -> None:
    assert store.mark(run("r"), A) is None
    store.send(A, 1, PROPERTY)
    store.send(A, 2, OTHER_PROPERTY)
    mark: Any = store.mark(run("r"), A)
    assert (mark.highest, mark.gaps, mark.lost, mark.refused_creation) == (2, (), (), False)
    assert len(mark.digest) == 32


def test_a_creation_that_another_writer_made_first_gets_the_same_answer_every_time(store: Desk) -> None:
    """Whether the answer of the second creator was lost on its way makes no difference to it."""
    command = c.CreateRun(run_id="s", experiment="exp")
    made = taken(store.send(A, 1, command))
    first = taken(store.send(B, 1, command))
    again = taken(store.send(B, 1, command))
    assert (first.events, first.run_id) == (made.events, "s")
    assert (again.events, again.run_id) == (first.events, first.run_id)
