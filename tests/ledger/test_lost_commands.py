"""DeclareLost(a..b): the sender no longer holds these commands. Numbered a, moves the mark to b, stands for all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import pytest

from runfold_events.contract import commands as c
from runfold_events.contract.submission import Refused
from tests.support.ledgers import A, B, Desk, desk, event_types, refused, run, taken

TAG: Final = c.SetTags(run_id="r", tags={"k": "1"})


@pytest.fixture
def store() -> Iterator[Desk]:
    """A store with the run ``r``, on which A has sent number 1."""
    with desk() as opened:
        opened.ensure()
        opened.create("r")
        taken(opened.send(A, 1, TAG))
        yield opened


def lost(first: int, last: int, **more: Any) -> c.DeclareLost:
    return c.DeclareLost(run_id="r", first=first, last=last, reason="the spool was full", **more)


def test_it_moves_the_mark_to_its_last_number(store: Desk) -> None:
    assert event_types(taken(store.send(A, 2, lost(2, 5)))) == ["commands_lost"]
    mark: Any = store.mark(run("r"), A)
    assert (mark.highest, mark.lost) == (5, ((2, 5),))
    assert refused(store.send(A, 7, TAG), "sequence_gap").facts["expected"] == 6
    taken(store.send(A, 6, c.ArchiveRun(run_id="r")))


def test_the_event_says_which_numbers_and_why(store: Desk) -> None:
    store.send(A, 2, lost(2, 5, values=17))
    event = store.stream_events(run("r"))[-1]
    assert (event.type, event.causes) == ("run.commands_lost", (A, 2))
    for part in (b'"first":2', b'"last":5', b'"the spool was full"', b'"values":17'):
        assert part in (event.body or b"")


@pytest.mark.parametrize("number", [3, 4, 5])
def test_what_it_stands_for_answers_as_declared_lost(store: Desk, number: int) -> None:
    store.send(A, 2, lost(2, 5))
    before = store.all_events()
    answer = refused(store.send(A, number, c.CompleteRun(run_id="r")), "declared_lost")
    assert answer.repeated
    assert store.all_events() == before


@pytest.mark.parametrize("last", [2, 5])
def test_the_command_that_had_its_number_answers_as_declared_lost_too(store: Desk, last: int) -> None:
    """Number 2 was a CompleteRun that got lost; when it comes after all, it must not hear that it took effect."""
    taken(store.send(A, 2, lost(2, last)))
    before = store.all_events()
    answer = store.send(A, 2, c.CompleteRun(run_id="r"))
    assert isinstance(answer, Refused)
    assert answer.code in ("declared_lost", "idempotency_conflict")
    assert store.all_events() == before


@pytest.mark.parametrize("last", [2, 5])
def test_it_is_idempotent_itself(store: Desk, last: int) -> None:
    first = taken(store.send(A, 2, lost(2, last)))
    before = store.all_events()
    again = taken(store.send(A, 2, lost(2, last)))
    assert (again.events, again.repeated) == (first.events, True)
    assert store.all_events() == before


def test_the_same_number_with_another_range_is_a_conflict(store: Desk) -> None:
    """Else the sender would go on behind 9, while the mark stands at 5."""
    taken(store.send(A, 2, lost(2, 5)))
    refused(store.send(A, 2, lost(2, 9)), "idempotency_conflict")


def test_it_is_numbered_by_its_first_command(store: Desk) -> None:
    answer = refused(store.send(A, 2, lost(3, 5)), "invalid")
    assert answer.facts["field"] == "writer_seq"
    assert refused(store.send(A, 3, lost(3, 5)), "sequence_gap").facts["expected"] == 2


def test_what_is_known_cannot_be_declared_lost(store: Desk) -> None:
    taken(store.send(A, 2, c.ArchiveRun(run_id="r")))
    refused(store.send(A, 1, lost(1, 9)), "idempotency_conflict")
    refused(store.send(A, 2, lost(2, 9)), "idempotency_conflict")
    mark: Any = store.mark(run("r"), A)
    assert (mark.highest, mark.lost) == (2, ())


def test_adjacent_losses_are_one_range_and_others_are_not(store: Desk) -> None:
    store.send(A, 2, lost(2, 3))
    store.send(A, 4, lost(4, 4))
    store.send(A, 5, c.ArchiveRun(run_id="r"))
    store.send(A, 6, lost(6, 8))
    mark: Any = store.mark(run("r"), A)
    assert (mark.highest, mark.lost) == (8, ((2, 4), (6, 8)))


def test_another_writer_has_lost_nothing(store: Desk) -> None:
    store.send(A, 2, lost(2, 5))
    taken(store.send(B, 1, c.ArchiveRun(run_id="r")))
    assert store.mark(run("r"), B) is not None


def test_it_stands_for_a_command_that_was_refused_without_an_event(store: Desk) -> None:
    over = c.SetTags(run_id="r", tags={"k" * 257: "1"})
    refused(store.send(A, 2, over), "limit_exceeded")
    taken(store.send(A, 2, lost(2, 2)))
    taken(store.send(A, 3, c.CompleteRun(run_id="r")))


def test_losses_may_be_declared_after_the_end(store: Desk) -> None:
    store.send(B, 1, c.CompleteRun(run_id="r"))
    assert event_types(taken(store.send(A, 2, lost(2, 9)))) == ["commands_lost"]


def test_a_loss_and_what_follows_may_come_in_one_batch(store: Desk) -> None:
    answers = store.handle(
        store.submission(A, 2, lost(2, 4)),
        store.submission(A, 5, c.ArchiveRun(run_id="r")),
        store.submission(A, 3, TAG),
    )
    assert event_types(answers[0]) == ["commands_lost"]
    assert event_types(answers[1]) == ["archived"]
    refused(answers[2], "declared_lost")
