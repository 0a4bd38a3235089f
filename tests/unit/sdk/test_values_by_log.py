"""Values by a command log: what is on its way, what the ledger says of it, and what keeps to which door."""

from __future__ import annotations

from pathlib import Path

import pytest

from runfold import _log_delivery
from runfold._drain import drain_spool
from runfold._leases import Leases
from runfold._log_delivery import NO_LOG, POST_AGAIN_S, SLOW_S
from runfold._spool import IN_MEMORY, Place, spools_in
from runfold._spool_kept import read_receipts, read_refused
from runfold._streams import Pending
from runfold._verify import verify
from runfold_events.contract import commands as c
from runfold_events.contract import limits, metrics
from runfold_events.contract.errors import Invalid
from runfold_events.contract.limits import HEARTBEAT_INTERVAL_S
from runfold_events.contract.submission import Accepted
from tests.support.sdk import Desk, lose_answer, lose_request
from tests.support.sdk_log import LogWire


class LogDesk(Desk):
    """A desk over a :class:`LogWire`, with one run."""

    def __init__(self, place: Place = IN_MEMORY) -> None:
        self.log_wire = LogWire()
        super().__init__(place, self.log_wire)
        self.topic = self.log_wire.memory
        self.r = self.run("r")
        self.deliver()

    def step(self, times: int = 1) -> None:
        """Let the sender do what is due."""
        for _ in range(times):
            self.now_s += self.sender.wait_s()
            self.sender.deliver()

    def numbers(self) -> list[tuple[int, ...]]:
        """By writer: (highest, and the ends of gaps)."""
        marks = self.wire.writers("w", "r")
        return sorted((mark.highest, *(n for gap in mark.gaps for n in gap)) for mark in marks)


def test_values_go_by_the_log_and_everything_else_does_not() -> None:
    desk = LogDesk()
    desk.log(desk.r, "loss", 1.0, 2.0)
    tagged = desk.put(desk.r, c.SetTags(run_id="r", tags={"a": "1"}))
    desk.log(desk.r, "loss", 3.0)
    desk.deliver()

    assert isinstance(tagged.outcome, Accepted)
    assert desk.values("r", "loss") == [1.0, 2.0, 3.0]
    assert [len(batch.items) for batch in desk.topic.posted] == [1, 1]
    assert all("run.log_metrics" not in name for sent in desk.wire.sent for name, _ in sent)
    assert desk.numbers() == [(2,), (2,)]  # create and tag; two batches


def test_what_was_said_behind_values_is_sent_when_the_ledger_has_them() -> None:
    desk = LogDesk()
    desk.topic.reads = False
    desk.log(desk.r, "loss", 1.0)
    ended = desk.put(desk.r, c.CompleteRun(run_id="r"))
    requests = len(desk.wire.batches)
    desk.step(5)
    assert (len(desk.wire.batches), ended.outcome) == (requests, None)

    desk.topic.reads = True
    desk.deliver()
    assert isinstance(ended.outcome, Accepted)
    assert [event.late for event in desk.wire.history("w", "r", 1, 100, None)] == [False] * 3


def test_a_mark_is_reached_when_the_ledger_has_answered_and_not_before() -> None:
    desk = LogDesk()
    desk.topic.reads = False
    desk.log(desk.r, "loss", 1.0)
    mark = Pending(None, None)
    desk.journal.add_mark(mark)
    desk.step(5)
    assert (len(desk.topic.records), mark.outcome) == (1, None)  # the broker has it

    desk.topic.reads = True
    desk.deliver()
    assert mark.outcome is not None


def test_nobody_asks_often_unless_somebody_waits() -> None:
    desk = LogDesk()
    desk.topic.reads = False
    desk.log(desk.r, "loss", 1.0)
    desk.step()
    assert desk.sender.wait_s() == pytest.approx(_log_delivery.ASK_S)
    desk.log(desk.r, "loss", 2.0)  # gathers
    assert desk.sender.wait_s() == pytest.approx(_log_delivery.ASK_S)
    desk.put(desk.r, c.SetTags(run_id="r", tags={"a": "1"}))
    assert desk.sender.wait_s() == pytest.approx(_log_delivery.ASK_SOON_S)


def test_values_that_gathered_go_as_soon_as_the_last_batch_is_answered() -> None:
    desk = LogDesk()
    desk.log(desk.r, "loss", 1.0)
    desk.step()
    desk.log(desk.r, "loss", 2.0)
    desk.step()
    assert desk.sender.has_more
    desk.step()
    assert len(desk.topic.posted) == 2
    desk.deliver()
    assert not desk.sender.has_more


def test_a_lost_post_and_a_lost_word_of_the_broker_change_nothing() -> None:
    desk = LogDesk()
    desk.wire.faults += [lose_request, lose_answer]
    desk.log(desk.r, "loss", 1.0)
    desk.deliver()
    assert desk.values("r", "loss") == [1.0]
    assert len(desk.topic.records) == 2  # it came twice, and counted once
    assert desk.numbers() == [(1,), (1,)]


def test_while_questions_are_not_answered_nothing_is_posted_again() -> None:
    desk = LogDesk()
    desk.topic.is_deaf = True
    desk.log(desk.r, "loss", 1.0)
    desk.step(8)
    assert desk.sender.outage_since is not None
    assert len(desk.topic.records) == 1
    desk.topic.is_deaf = False
    desk.deliver()
    assert (desk.values("r", "loss"), len(desk.topic.records)) == ([1.0], 1)


def test_a_ledger_that_is_far_behind_counts_as_gone_until_it_is_not(caplog: pytest.LogCaptureFixture) -> None:
    desk = LogDesk()
    desk.topic.reads = False
    desk.log(desk.r, "loss", 1.0)
    desk.step()
    desk.now_s += SLOW_S + 1
    desk.step()
    assert desk.sender.outage_since is not None
    assert "is a decider at work" in caplog.text
    desk.topic.reads = True
    desk.deliver()
    assert (desk.values("r", "loss"), len(desk.topic.records)) == ([1.0], 1)


def test_a_topic_that_was_made_anew_gets_what_the_old_one_had() -> None:
    desk = LogDesk()
    desk.topic.reads = False
    desk.log(desk.r, "loss", 1.0)
    desk.step()
    desk.topic.records.clear()
    desk.now_s += POST_AGAIN_S + 1
    desk.step(2)
    desk.topic.reads = True
    desk.deliver()
    assert desk.values("r", "loss") == [1.0]


def test_what_the_topic_lost_is_sent_again() -> None:
    """The reader went past the place without finding it, as after a loss that an operator accepted."""
    desk = LogDesk()
    desk.topic.reads = False
    desk.log(desk.r, "loss", 1.0)
    desk.step()
    lost = desk.topic.records[-1]
    garbage = (("content-type", b"text/plain"),)
    desk.topic.records[-1] = type(lost)(lost.partition, lost.offset, 0, lost.key, b"x", garbage)
    desk.topic.reads = True
    desk.deliver()
    assert (desk.values("r", "loss"), len(desk.topic.posted)) == ([1.0], 2)


def test_what_the_ledger_refuses_without_an_event_is_told_with_its_reason(tmp_path: Path) -> None:
    desk = LogDesk()
    desk.put(desk.r, c.EraseRun(run_id="r", reason="test"))
    nobody = desk.run("nobody", create=False)
    desk.log(nobody, "loss", 1.0, 2.0)
    desk.deliver()
    (rejection,) = nobody.rejections
    assert (rejection.code, rejection.values, rejection.command) == ("not_found", 2, "run.log_metrics")
    assert "nobody" in rejection.message


def test_a_refusal_uses_no_number_and_leaves_no_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ledger is stricter than its sender, as one of another release may be."""
    desk = LogDesk()
    monkeypatch.setattr(limits, "METRIC_NAME_CHARS_MAX", 4, raising=True)
    monkeypatch.setattr(metrics, "_SIMPLE_NAME_CHARS_MAX", 4)
    desk.log(desk.r, "loss", 1.0)
    desk.log(desk.r, "accuracy", 0.5)
    desk.deliver()
    desk.log(desk.r, "loss", 2.0)
    desk.deliver()

    assert desk.values("r", "loss") == [1.0, 2.0]
    (rejection,) = desk.r.rejections
    assert (rejection.code, rejection.values) == ("limit_exceeded", 1)
    assert desk.wire.run("w", "r", None).lost_values == 1
    assert all(len(numbers) == 1 for numbers in desk.numbers())


def test_values_behind_a_refused_creation_go_nowhere() -> None:
    desk = LogDesk()
    other = desk.run("r", create=False)
    desk.put(other, c.CreateRun(run_id="r", experiment="e", display_name="another"))
    desk.log(other, "loss", 1.0)
    desk.deliver()
    assert desk.topic.records == []
    assert {rejection.command for rejection in other.rejections} == {"run.create", "run.log_metrics"}


def test_commands_of_many_runs_share_requests() -> None:
    desk = LogDesk()
    runs = [desk.run(f"r{number}") for number in range(20)]
    for run in runs:
        desk.log(run, "loss", 1.0)
        desk.put(run, c.CompleteRun(run_id=run.run_id or ""))
    requests = len(desk.wire.batches)
    desk.deliver()
    assert [len(batch.items) for batch in desk.topic.posted] == [20]
    assert len(desk.wire.batches) - requests == 2  # those before and those behind the values


def test_who_drains_goes_by_the_same_door_or_waits(tmp_path: Path) -> None:
    place = Place(folder=tmp_path)
    desk = LogDesk(place)
    desk.topic.reads = False
    desk.log(desk.r, "loss", 1.0)
    desk.step()  # on its way
    desk.log(desk.r, "loss", 2.0)
    desk.die()
    (spool,) = spools_in(tmp_path)

    wire, topic = desk.log_wire, desk.topic
    wire.log = None
    told = drain_spool(spool, lambda: wire, patience_s=0.0)
    assert told is not None
    assert told.problem == NO_LOG

    wire.log = topic
    topic.reads = True
    told = drain_spool(spool, lambda: wire)
    assert told is not None
    assert (told.is_done, told.values) == (True, 2)
    assert desk.values("r", "loss") == [1.0, 2.0]
    assert len({batch.writer_id for batch in topic.posted[:2]}) == 1  # what was on its way kept its number
    assert all(one.is_complete and one.sent for one in verify(tmp_path, wire))
    assert len(list(read_receipts(tmp_path))) == 2
    assert list(read_refused(tmp_path)) == []


def test_a_request_that_is_too_large_as_a_whole_is_halved() -> None:
    desk = LogDesk()
    runs = [desk.run(f"r{number}") for number in range(4)]
    desk.deliver()
    for run in runs:
        desk.log(run, "loss", 1.0)

    def too_large(batch: object, submit: object) -> object:
        raise Invalid("too large")

    desk.wire.faults.append(too_large)  # type: ignore[arg-type]
    desk.deliver()
    assert [desk.values(f"r{number}", "loss") for number in range(4)] == [[1.0]] * 4


def test_a_tail_that_does_not_come_on_is_announced() -> None:
    """With every other heartbeat at most, since there is hardly ever one."""
    desk = LogDesk()
    leases = Leases(lambda: desk.wire, {}, lambda: desk.now_s)
    leases.ensure(desk.writer_id)
    desk.topic.reads = False
    desk.log(desk.r, "loss", 1.0)
    desk.step()

    def announced() -> list[int]:
        desk.now_s += HEARTBEAT_INTERVAL_S + 1
        leases.beat_if_due(desk.sender.last_numbers())
        twin = desk.r.values_twin
        assert twin is not None
        return [mark.announced for mark in desk.wire.writers("w", "r") if mark.writer_id == twin.writer_id]

    assert announced() == []
    assert announced() == [1]
    heartbeats = len(desk.wire.heartbeats)
    assert announced() == [1]
    assert len(desk.wire.heartbeats) == heartbeats + 1  # it was told


def test_at_the_end_what_was_not_delivered_is_announced_to_whom_it_will_be_counted() -> None:
    desk = LogDesk()
    desk.log(desk.r, "loss", 1.0)
    desk.deliver()
    leases = Leases(lambda: desk.wire, {}, lambda: desk.now_s)
    leases.ensure(desk.writer_id)
    desk.log(desk.r, "loss", 2.0)
    leases.end(desk.sender.last_numbers([desk.r]))
    marks = {mark.writer_id: (mark.highest, mark.announced) for mark in desk.wire.writers("w", "r")}
    twin = desk.r.values_twin
    assert twin is not None
    assert (marks[desk.writer_id], marks[twin.writer_id]) == ((1, 0), (1, 2))
