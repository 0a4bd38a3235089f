"""Who holds a run, by the store's clock, and what that means for the commands that others send."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from uuid import UUID

import pytest

from runfold_events.contract import commands as c
from runfold_events.contract.commands import Command
from runfold_events.contract.statuses import Status
from runfold_events.contract.submission import Outcome
from runfold_events.sync import run_sync
from tests.support.checker import check_store
from tests.support.ledgers import A, B, Desk, desk, event_types, refused, run, taken

LEASE_S: Final = 120
KEEPER: Final = UUID(int=0xEEE)
C: Final = UUID(int=0xCCC)
CREATE: Final = c.CreateRun(run_id="r", experiment="exp")
RESUME: Final = c.CreateRun(run_id="r", experiment="exp", resume=True)
START: Final = c.StartRun(run_id="r")
LOST: Final = c.MarkLost(run_id="r")
FOUND: Final = c.MarkFound(run_id="r")
CANCEL: Final = c.RequestCancel(run_id="r")


class Held(Desk):
    """A desk whose commands number themselves, and whose processes have leases."""

    def say(self, writer: UUID, command: Command, hold: bool = False) -> Outcome:
        stream = self.submission(writer, 1, command).stream
        mark = self.mark(stream, writer)
        return self.send(writer, 1 + (mark.highest if mark else 0), command, hold=hold)

    def beat(self, process: UUID) -> None:
        run_sync(self.store.renew_lease(process, LEASE_S * 1_000_000))

    def gone(self) -> list[str]:
        return run_sync(self.store.without_live_holder(10))

    def back(self) -> list[str]:
        return run_sync(self.store.lost_with_live_holder(10))


@pytest.fixture(params=[1, 16], ids=["one partition", "16 partitions"])
def store(request: pytest.FixtureRequest) -> Iterator[Held]:
    """A store on which A lives and holds the run ``r``, Running."""
    with desk(partitions=request.param) as opened:
        held = Held(opened.store, opened.clock)
        held.ensure()
        held.beat(A)
        assert event_types(taken(held.say(A, CREATE, hold=True))) == ["created", "started"]
        yield held
        check_store(opened.store)


def test_another_process_cannot_start_a_run_that_is_held(store: Held) -> None:
    assert refused(store.say(B, START, hold=True), "conflict").facts["status"] == "Running"
    assert store.types("r")[-1] == "command_rejected"
    assert run_sync(store.store.held_by(B)) == []


def test_its_own_process_starts_it_again_without_effect(store: Held) -> None:
    assert event_types(taken(store.say(A, START, hold=True))) == []


def test_a_process_that_resumes_holds_it_too(store: Held) -> None:
    store.beat(B)
    assert event_types(taken(store.say(B, RESUME, hold=True))) == []
    store.clock.advance(LEASE_S - 1)
    store.beat(B)
    store.clock.advance(2)  # A is gone, B is not
    assert store.gone() == []
    assert event_types(taken(store.say(KEEPER, LOST))) == []


def test_a_process_that_only_attaches_holds_nothing(store: Held) -> None:
    store.beat(B)
    taken(store.say(B, c.SetTags(run_id="r", tags={"k": "1"})))
    taken(store.say(B, RESUME))
    assert run_sync(store.store.held_by(B)) == []
    assert run_sync(store.store.held_by(A)) == [run("r")]


def test_a_run_is_lost_when_its_last_lease_ends_and_found_when_it_lives_again(store: Held) -> None:
    store.clock.advance(LEASE_S)
    assert store.gone() == [run("r")]
    assert event_types(taken(store.say(KEEPER, LOST))) == ["lost"]
    assert (store.gone(), store.back()) == ([], [])
    store.beat(A)
    assert store.back() == [run("r")]
    assert event_types(taken(store.say(KEEPER, FOUND))) == ["found"]
    assert (store.gone(), store.back()) == ([], [])


def test_the_ledger_reads_the_leases_again_when_it_marks(store: Held) -> None:
    """Between the keeper's look and its command a heartbeat may have come."""
    store.clock.advance(LEASE_S)
    assert store.gone() == [run("r")]
    store.beat(A)
    assert event_types(taken(store.say(KEEPER, LOST))) == []
    store.clock.advance(LEASE_S)
    taken(store.say(KEEPER, LOST))
    assert event_types(taken(store.say(KEEPER, FOUND))) == []


@pytest.mark.parametrize("seconds", [1, LEASE_S - 1])
def test_a_run_is_not_lost_while_the_lease_lasts(store: Held, seconds: int) -> None:
    store.clock.advance(seconds)
    assert store.gone() == []
    assert event_types(taken(store.say(KEEPER, LOST))) == []


def test_a_run_that_nobody_ever_held_is_never_lost(store: Held) -> None:
    taken(store.say(A, c.CreateRun(run_id="s", experiment="exp")))
    store.clock.advance(10 * LEASE_S)
    assert store.gone() == [run("r")]
    assert event_types(taken(store.say(KEEPER, c.MarkLost(run_id="s")))) == []


def test_another_process_adopts_a_run_whose_holder_is_gone(store: Held) -> None:
    store.clock.advance(LEASE_S)
    taken(store.say(KEEPER, LOST))
    store.beat(B)
    assert event_types(taken(store.say(B, START, hold=True))) == ["started"]
    refused(store.say(A, START, hold=True), "conflict")
    assert (store.gone(), store.back()) == ([], [])


def test_who_comes_back_does_not_hold_what_another_process_has_adopted(store: Held) -> None:
    """Else the run would not be lost when who executes it is gone."""
    store.clock.advance(LEASE_S)
    taken(store.say(KEEPER, LOST))
    store.beat(B)
    taken(store.say(B, START, hold=True))
    store.beat(A)
    assert run_sync(store.store.held_by(A)) == []
    assert event_types(taken(store.say(B, c.AdvanceRun(run_id="r", status=Status.QUEUED)))) == ["advanced"]
    assert event_types(taken(store.say(B, START, hold=True))) == ["started"], "A is not in its way"
    store.clock.advance(LEASE_S - 1)
    store.beat(A)
    store.clock.advance(2)
    assert store.gone() == [run("r")]


@pytest.mark.parametrize("yields", [True, False])
def test_who_was_away_does_not_fail_what_another_process_has_adopted(store: Held, yields: bool) -> None:
    """The control, a command that does not ask, fails it."""
    store.clock.advance(LEASE_S)
    taken(store.say(KEEPER, LOST))
    store.beat(B)
    taken(store.say(B, START, hold=True))
    store.beat(A)
    advance = c.AdvanceRun(run_id="r", status=Status.QUEUED, unless_adopted=yields)
    fail = c.FailRun(run_id="r", unless_adopted=yields)
    if yields:
        for command in (advance, fail):
            assert (
                refused(store.say(A, command), "conflict").facts["reason"] == "another process holds the run"
            )
        assert event_types(taken(store.say(B, fail))) == ["failed"]
    else:
        assert event_types(taken(store.say(A, advance))) == ["advanced"]
        assert event_types(taken(store.say(A, fail))) == ["failed"]


def test_a_cancel_is_a_request_while_somebody_holds_the_run(store: Held) -> None:
    assert event_types(taken(store.say(B, CANCEL))) == ["cancel_requested"]
    assert event_types(taken(store.say(B, CANCEL))) == []
    assert event_types(taken(store.say(A, c.CancelRun(run_id="r")))) == ["canceled"]


def test_a_holder_that_ends_otherwise_after_a_cancel_stands(store: Held) -> None:
    taken(store.say(B, CANCEL))
    assert event_types(taken(store.say(A, c.CompleteRun(run_id="r")))) == ["completed"]
    refused(store.say(B, CANCEL), "run_ended")


@pytest.mark.parametrize("marked", [True, False])
def test_a_cancel_without_a_live_holder_ends_the_run_at_once(store: Held, marked: bool) -> None:
    store.clock.advance(LEASE_S)
    if marked:
        taken(store.say(KEEPER, LOST))
    assert event_types(taken(store.say(B, CANCEL))) == ["canceled"]
    assert (store.gone(), store.back()) == ([], [])


def test_losing_the_last_holder_after_a_cancel_ends_the_run(store: Held) -> None:
    taken(store.say(B, CANCEL))
    store.clock.advance(LEASE_S)
    assert store.gone() == [run("r")]
    assert event_types(taken(store.say(KEEPER, LOST))) == ["canceled"]
    assert store.gone() == []


def test_a_lease_that_is_given_back_ends_at_once(store: Held) -> None:
    assert run_sync(store.store.end_lease(A)) == [run("r")]
    assert event_types(taken(store.say(KEEPER, LOST))) == ["lost"]


@pytest.mark.parametrize(
    "end", [c.CompleteRun(run_id="r"), c.FailRun(run_id="r"), c.CancelRun(run_id="r"), c.EraseRun(run_id="r")]
)
def test_a_run_that_has_ended_is_held_by_nobody(store: Held, end: Command) -> None:
    taken(store.say(A, end))
    assert run_sync(store.store.held_by(A)) == []
    store.clock.advance(LEASE_S)
    assert (store.gone(), store.back()) == ([], [])


def test_a_lost_run_may_end_by_the_word_of_its_late_holder(store: Held) -> None:
    store.clock.advance(LEASE_S)
    taken(store.say(KEEPER, LOST))
    assert event_types(taken(store.say(A, c.CompleteRun(run_id="r")))) == ["completed"]
    store.beat(A)
    assert store.back() == []


def test_a_refused_start_holds_nothing(store: Held) -> None:
    taken(store.say(A, c.CompleteRun(run_id="r")))
    store.beat(B)
    refused(store.say(B, RESUME, hold=True), "run_ended")
    assert run_sync(store.store.held_by(B)) == []


# Submitted runs: created by one process, claimed by another

SUBMITTED: Final = c.CreateRun(run_id="s", experiment="exp", start=False)
CLAIM: Final = c.AdvanceRun(run_id="s", status=Status.PREPARING, claim=True)


def submitted(store: Held) -> None:
    """A creates a run that is not started, and hands it in."""
    taken(store.say(A, SUBMITTED, hold=True))
    taken(store.say(A, c.AdvanceRun(run_id="s", status=Status.STARTING)))


def test_who_only_creates_a_run_does_not_hold_it(store: Held) -> None:
    submitted(store)
    store.clock.advance(LEASE_S + 1)
    assert not any(stream.endswith("/s") for stream in store.gone())


def test_of_two_agents_that_claim_a_run_one_holds_it(store: Held) -> None:
    submitted(store)
    store.beat(B)
    store.beat(C)
    assert event_types(taken(store.say(B, CLAIM, hold=True))) == ["advanced"]
    assert [stream.rpartition("/")[2] for stream in run_sync(store.store.held_by(B))] == ["s"]
    refused(store.say(C, CLAIM, hold=True), "conflict")
    assert run_sync(store.store.held_by(C)) == []
    assert store.types("s") == ["created", "advanced", "advanced"], "a lost race is nobody's offence"


def test_who_will_not_hold_a_run_cannot_claim_it(store: Held) -> None:
    """As with curl, or through the door of Kafka: nobody would notice that it is gone."""
    submitted(store)
    store.beat(B)
    refused(store.say(B, CLAIM), "conflict")
    taken(store.say(B, CLAIM, hold=True))
    assert store.types("s") == ["created", "advanced", "advanced"]


def test_a_late_agent_cannot_claim_what_another_one_lost_or_ended(store: Held) -> None:
    submitted(store)
    store.beat(B)
    taken(store.say(B, CLAIM, hold=True))
    store.clock.advance(LEASE_S + 1)
    taken(store.say(KEEPER, c.MarkLost(run_id="s")))
    store.beat(C)
    refused(store.say(C, CLAIM, hold=True), "conflict")
    taken(store.say(C, c.FailRun(run_id="s")))
    refused(store.say(C, CLAIM, hold=True), "run_ended")
    assert run_sync(store.store.held_by(C)) == []
