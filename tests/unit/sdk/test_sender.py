"""Delivery: numbers, order, retries, refusals. A real ledger, over a wire that loses what it is told to lose."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from itertools import pairwise
from uuid import uuid4

import pytest
from msgspec.structs import replace

from runfold._journal_reader import Reader
from runfold._packing import Packer
from runfold._spool import Place
from runfold._streams import Block, Pending, Series, Stream
from runfold._transport import Answer, Batch
from runfold_events.contract import commands as c
from runfold_events.contract.envelope import MSGPACK
from runfold_events.contract.errors import Invalid, RunfoldError, RunRejected, Unauthorized, Unavailable
from runfold_events.contract.metrics import decode_batch
from runfold_events.contract.submission import Accepted, Refused
from tests.support.sdk import Desk, Fault, Submit, lose_answer, lose_request, refuse_whole


@pytest.fixture
def desk() -> Iterator[Desk]:
    desk = Desk()
    yield desk
    desk.wire.close()


@pytest.fixture
def small_desk() -> Iterator[Desk]:
    """With room for one segment of values."""
    desk = Desk(Place(bytes_max=400 * 1024))
    yield desk
    desk.wire.close()


# ── numbers and order ─────────────────────────────────────────────────────────────────────────────────────


def test_every_stream_is_numbered_from_one_and_values_go_before_the_command_after_them(desk: Desk) -> None:
    a, b = desk.run("a"), desk.run("b")
    desk.log(a, "loss", 1.0, 2.0)
    desk.log(b, "loss", 3.0)
    desk.put(a, c.CompleteRun(run_id="a"))
    desk.deliver()

    assert desk.wire.sent == [
        [
            ("experiment.ensure", 1),
            ("run.create", 1),
            ("run.create", 1),
            ("run.log_metrics", 2),
            ("run.complete", 3),
            ("run.log_metrics", 2),
        ]
    ]
    assert desk.history("a") == ["run.created", "run.started", "run.completed"]
    assert desk.values("a", "loss") == [1.0, 2.0]


def test_numbers_go_on_from_request_to_request(desk: Desk) -> None:
    a = desk.run("a")
    for value in (1.0, 2.0, 3.0):
        desk.log(a, "loss", value)
        desk.deliver()

    assert [numbers[-1] for numbers in desk.wire.sent] == [("run.log_metrics", n) for n in (2, 3, 4)]
    assert desk.values("a", "loss") == [1.0, 2.0, 3.0]


@pytest.mark.parity("MT-18")
@pytest.mark.parametrize("fault", [lose_request, lose_answer])
def test_what_was_not_answered_goes_again_under_the_same_numbers_and_takes_effect_once(
    desk: Desk, fault: Fault
) -> None:
    a = desk.run("a")
    desk.deliver()
    desk.wire.faults.extend([fault, fault, fault])
    desk.log(a, "loss", 1.0, 2.0)
    tag = desk.put(a, c.SetTags(run_id="a", tags={"k": "v"}), waited=True)
    desk.deliver()

    assert desk.wire.sent[1:] == [[("run.log_metrics", 2), ("run.set_tags", 3)]] * 4
    first, *others = [[item.command for item in batch.items] for batch in desk.wire.batches[1:]]
    assert all(other == first for other in others)
    assert isinstance(tag.outcome, Accepted)
    assert desk.values("a", "loss") == [1.0, 2.0]
    assert desk.history("a").count("run.tags_set") == 1


def test_back_off_grows_and_a_server_may_ask_for_more(desk: Desk) -> None:
    desk.run("a")
    busy = Unavailable("busy", facts={"retry_after": 20.0})
    desk.wire.faults.extend([lose_request] * 6 + [refuse_whole(busy)])
    waits: list[float] = []
    while not desk.sender.is_idle:
        waits.append(desk.sender.wait_s())
        desk.now_s += waits[-1]
        desk.sender.deliver()

    assert waits[0] == 0.0
    assert all(earlier < later for earlier, later in pairwise(waits))
    assert waits[7] == pytest.approx(20.0)
    assert desk.sender.outage_since is None


def test_an_attempt_before_its_time_sends_nothing(desk: Desk) -> None:
    desk.run("a")
    desk.wire.faults.append(lose_request)
    desk.sender.deliver()
    desk.sender.deliver()

    assert len(desk.wire.batches) == 1


def test_a_fault_of_ours_does_not_end_delivery(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    a = desk.run("a")

    def broken(batch: Batch, submit: Submit) -> Answer:
        raise ZeroDivisionError

    desk.wire.faults.append(broken)
    desk.deliver()

    assert desk.history("a") == ["run.created", "run.started"]
    assert "ZeroDivisionError" in caplog.text
    assert a.next_seq == 2


# ── refusals ──────────────────────────────────────────────────────────────────────────────────────────────


def test_a_recorded_refusal_uses_its_number_up(desk: Desk) -> None:
    a = desk.run("a")
    desk.put(a, c.AddProperties(run_id="a", properties={"p": "1"}))
    refused = desk.put(a, c.AddProperties(run_id="a", properties={"p": "2"}), waited=True)
    desk.put(a, c.SetTags(run_id="a", tags={"k": "v"}))
    desk.deliver()

    assert isinstance(refused.outcome, RunRejected)
    assert refused.outcome.code == "property_immutable"
    assert len(desk.wire.batches) == 1
    assert desk.history("a")[-2:] == ["run.command_rejected", "run.tags_set"]
    assert a.rejections == []


def test_a_refusal_that_is_not_recorded_leaves_its_number_to_the_next_command(desk: Desk) -> None:
    a = desk.run("a")
    too_many: c.Tags = {f"k{index}": "" for index in range(1_000)}
    desk.put(a, c.SetTags(run_id="a", tags=too_many))
    over = desk.put(a, c.SetTags(run_id="a", tags={"one more": "x"}), waited=True)
    desk.log(a, "loss", 1.0)
    desk.put(a, c.CompleteRun(run_id="a"))
    desk.deliver()

    assert isinstance(over.outcome, RunfoldError)
    assert over.outcome.code == "limit_exceeded"
    assert desk.wire.sent[1] == [("run.log_metrics", 3), ("run.complete", 4)]
    assert desk.values("a", "loss") == [1.0]


def test_a_refusal_nobody_waits_for_is_kept_for_rejections(desk: Desk) -> None:
    a = desk.run("a")
    desk.put(a, c.AddProperties(run_id="a", properties={"p": "1"}))
    desk.put(a, c.AddProperties(run_id="a", properties={"p": "2"}))
    desk.deliver()

    (rejection,) = a.rejections
    assert (rejection.command, rejection.code) == ("run.add_properties", "property_immutable")
    assert rejection.event_id is not None
    assert rejection.facts["attempted"] == "2"


def test_what_follows_a_refused_creation_is_parked_and_reported(desk: Desk) -> None:
    """Values meant for a run that could not be created must not land in the one that has its id."""
    first, other = desk.run("a"), desk.run("a", create=False)
    other.writer_id = uuid4()
    desk.deliver()
    desk.put(other, c.CreateRun(run_id="a", experiment="e", display_name="another"))
    desk.log(other, "loss", 1.0, 2.0)
    desk.put(other, c.CompleteRun(run_id="a"))
    desk.deliver()

    assert [r.command for r in other.rejections] == ["run.create", "run.log_metrics", "run.complete"]
    assert other.rejections[1].values == 2
    assert desk.values("a", "loss") == []
    assert "run.completed" not in desk.history("a")
    assert first.rejections == []


def test_whoever_heard_of_a_refused_creation_may_go_on_with_that_run(desk: Desk) -> None:
    desk.run("a")
    desk.deliver()
    again = desk.run("a", create=False)
    again.writer_id = uuid4()
    writer = again.writer_id
    refused = desk.put(again, c.CreateRun(run_id="a", experiment="e", display_name="another"), waited=True)
    desk.deliver()
    resumed = desk.put(again, c.CreateRun(run_id="a", experiment="e", resume=True), waited=True)
    desk.log(again, "loss", 1.0)
    desk.deliver()

    assert isinstance(refused.outcome, RunRejected)
    assert isinstance(resumed.outcome, Accepted)
    assert again.writer_id != writer
    assert desk.values("a", "loss") == [1.0]


def test_a_request_refused_as_a_whole_is_halved_until_the_one_to_blame_is_alone(desk: Desk) -> None:
    a = desk.run("a")
    tags = [desk.put(a, c.SetTags(run_id="a", tags={str(n): ""})) for n in range(6)]
    bad = tags[3].command

    def picky(batch: Batch, submit: Submit) -> Answer:
        if any(item.command == bad for item in batch.items):
            raise Invalid("no")
        return submit(batch)

    desk.wire.faults.extend([picky] * 20)
    desk.deliver()

    assert [isinstance(tag.outcome, Accepted) for tag in tags] == [True] * 3 + [False] + [True] * 2
    assert [r.command for r in a.rejections] == ["run.set_tags"]
    assert desk.history("a").count("run.tags_set") == 5


def test_bad_credentials_are_told_to_whoever_waits_and_values_wait_for_better_ones(desk: Desk) -> None:
    a = desk.run("a")
    desk.deliver()
    desk.wire.faults.append(refuse_whole(Unauthorized("who are you?")))
    desk.log(a, "loss", 1.0)
    tag = desk.put(a, c.SetTags(run_id="a", tags={"k": "v"}), waited=True)
    desk.deliver()

    assert isinstance(tag.outcome, Unauthorized)
    assert desk.values("a", "loss") == [1.0]
    assert "run.tags_set" not in desk.history("a")


def test_a_number_that_was_used_for_something_else_is_not_sent_for_ever(desk: Desk) -> None:
    a = desk.run("a")
    desk.put(a, c.SetTags(run_id="a", tags={"k": "v"}))
    desk.deliver()
    a.next_seq = 2  # as if this process had forgotten what it sent
    again = desk.put(a, c.SetTags(run_id="a", tags={"k": "w"}), waited=True)
    after = desk.put(a, c.SetTags(run_id="a", tags={"l": "x"}), waited=True)
    desk.deliver()

    assert isinstance(again.outcome, Accepted)
    assert isinstance(after.outcome, Accepted)
    assert desk.wire.run("w", "a", None).tags == {"k": "w", "l": "x"}


def test_a_number_that_may_be_used_up_goes_to_nobody_else(desk: Desk) -> None:
    """The first attempt took effect and its answer was lost; the second is refused before anybody looks at it."""
    a = desk.run("a")
    desk.deliver()
    desk.wire.faults.extend([lose_answer, refuse_whole(Invalid("no"))])
    first = desk.put(a, c.SetTags(run_id="a", tags={"k": "v"}), waited=True)
    desk.sender.deliver()
    second = desk.put(a, c.SetTags(run_id="a", tags={"k": "w"}), waited=True)
    desk.deliver()

    assert isinstance(first.outcome, Invalid)
    assert isinstance(second.outcome, Accepted)
    assert desk.wire.sent[-1] == [("run.declare_lost", 2), ("run.set_tags", 3)]
    assert desk.wire.run("w", "a", None).tags == {"k": "w"}


def test_what_may_have_taken_effect_is_not_given_up_for_bad_credentials(desk: Desk) -> None:
    a = desk.run("a")
    desk.deliver()
    desk.wire.faults.extend([lose_answer, refuse_whole(Unauthorized("expired"))])
    tag = desk.put(a, c.SetTags(run_id="a", tags={"k": "v"}), waited=True)
    desk.deliver()

    assert isinstance(tag.outcome, Accepted)
    assert desk.wire.sent[1:] == [[("run.set_tags", 2)]] * 3


# ── values that do not arrive ─────────────────────────────────────────────────────────────────────────────


def test_values_without_room_are_counted_and_declared_lost(
    small_desk: Desk,
) -> None:
    desk = small_desk
    a = desk.run("a")
    desk.log(a, "loss", *[float(n) for n in range(8_000)])
    desk.deliver()
    desk.log(a, "loss", 99.0)
    desk.deliver()

    lost = 8_000 - len(desk.values("a", "loss")) + 1
    assert desk.wire.sent == [
        [("experiment.ensure", 1), ("run.create", 1), ("run.log_metrics", 2), ("run.declare_lost", 3)],
        [("run.log_metrics", 4)],
    ]
    assert 1_000 < lost < 2_000  # 256 KiB hold some 6,500 numbers
    assert desk.wire.run("w", "a", None).lost_values == lost
    assert desk.journal.values == 0


def test_room_is_given_back_when_values_arrive(small_desk: Desk) -> None:
    desk = small_desk
    a = desk.run("a")
    table = Series(a, "t", "table")
    for _ in range(20):
        desk.log(a, "loss", *[1.0] * 2_000)
        block = Block({"x": [1] * 30, "y": ["text"] * 30}, 30)
        assert desk.journal.add_wide(table, None, block, values=30)
        assert desk.journal.values == 2_030
        desk.deliver()
        assert desk.journal.values == 0

    assert len(desk.values("a", "loss")) == 40_000
    assert desk.wire.run("w", "a", None).lost_values == 0


def test_texts_count_by_what_they_weigh(small_desk: Desk) -> None:
    series = Series(small_desk.run("a"), "message", "scalar")

    assert small_desk.journal.add_wide(series, None, "x" * 150_000, values=1)
    assert not small_desk.journal.add_wide(series, None, "x" * 150_000, values=1)


def test_commands_find_room_where_values_do_not(small_desk: Desk) -> None:
    desk = small_desk
    a = desk.run("a")
    desk.log(a, "loss", *[1.0] * 8_000)
    for number in range(500):
        desk.put(a, c.SetTags(run_id="a", tags={"k": str(number)}))
    desk.deliver()

    assert desk.wire.run("w", "a", None).tags == {"k": "499"}


def _series_names(command: c.Command) -> list[str]:
    if not isinstance(command, c.LogMetrics):
        return []
    return [series.name for series in decode_batch(MSGPACK, bytes(command.batch))]


@pytest.mark.parity("MT-21")
@pytest.mark.parametrize("is_named", [True, False])
def test_a_refused_batch_loses_only_the_series_to_blame(desk: Desk, is_named: bool) -> None:
    """As by an older server, with smaller limits than those this SDK checks."""
    a = desk.run("a")
    desk.deliver()

    def smaller(batch: Batch, submit: Submit) -> Answer:
        for index, item in enumerate(batch.items):
            names = _series_names(item.command)
            if "bad" in names:
                place = f"series[{names.index('bad')}] ('bad')" if is_named else "batch"
                before = submit(replace(batch, items=batch.items[:index]))
                refused = Refused(code="limit_exceeded", message="too much", facts={"field": place})
                gap = Refused(code="sequence_gap", message="", facts={"expected": item.writer_seq})
                after = [gap] * len(batch.items[index + 1 :])
                return Answer([*before.outcomes, refused, *after], before.token)
        return submit(batch)

    desk.wire.faults.extend([smaller] * 20)
    for name in ("first", "second", "bad", "third", "fourth"):
        desk.log(a, name, 1.0, 2.0)
    desk.put(a, c.CompleteRun(run_id="a"))
    desk.deliver()

    assert {name: desk.values("a", name) for name in ("first", "second", "third", "fourth")} == {
        name: [1.0, 2.0] for name in ("first", "second", "third", "fourth")
    }
    assert desk.values("a", "bad") == []
    (rejection,) = a.rejections
    assert (rejection.code, rejection.values) == ("limit_exceeded", 2)
    assert desk.wire.run("w", "a", None).lost_values == 2
    assert desk.history("a")[-1] == "run.completed"


def test_a_store_restored_from_a_backup_is_told_what_it_no_longer_has(desk: Desk) -> None:
    a = desk.run("a")
    desk.put(a, c.SetTags(run_id="a", tags={"k": "v"}))
    desk.deliver()
    a.next_seq = 6  # 3, 4 and 5 were acknowledged by a store that has forgotten them
    desk.log(a, "loss", 1.0)
    desk.deliver()

    assert desk.wire.sent[-1] == [("run.declare_lost", 3), ("run.log_metrics", 6)]
    assert desk.values("a", "loss") == [1.0]
    (mark,) = desk.wire.writers("w", "a")
    assert mark.lost == ((3, 5),)


# ── requests ──────────────────────────────────────────────────────────────────────────────────────────────


def test_a_request_is_for_one_workspace(desk: Desk) -> None:
    a = desk.run("a")
    other = Stream("other", "other/run/x", "x", desk.writer_id)
    desk.deliver()
    desk.log(a, "loss", 1.0)
    desk.log(other, "loss", 1.0)
    desk.log(a, "loss", 2.0)
    desk.deliver()

    assert [batch.workspace for batch in desk.wire.batches] == ["w", "w", "other", "w"]
    assert desk.values("a", "loss") == [1.0, 2.0]
    assert [r.code for r in other.rejections] == ["not_found"]


def test_many_values_become_several_requests(desk: Desk) -> None:
    a = desk.run("a")
    desk.log(a, "loss", *[float(n) for n in range(250_000)])
    desk.deliver()

    assert len(desk.wire.batches) == 3
    assert desk.values("a", "loss") == [float(n) for n in range(250_000)]


def test_a_name_has_one_kind_per_batch(desk: Desk) -> None:
    a = desk.run("a")
    desk.log(a, "x", 1.0)
    rows = Series(a, "x", "row")
    desk.journal.add_wide(rows, None, {"u": 1}, values=1)
    desk.log(a, "x", 2.0)
    desk.deliver()

    assert desk.wire.sent[0][2:] == [("run.log_metrics", 2), ("run.log_metrics", 3), ("run.log_metrics", 4)]
    (series,) = desk.wire.metrics("w", "a", ("x",), False, None, None)
    assert series.columns == {"x": [1.0, None, 2.0], "u": [None, 1, None]}


def test_times_never_decrease(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    a = desk.run("a")
    clock = iter([3_000_000_000, 1_000_000_000, 4_000_000_000])
    monkeypatch.setattr(time, "time_ns", lambda: next(clock))
    desk.log(a, "loss", 1.0, 2.0, 3.0)
    monkeypatch.undo()
    desk.deliver()

    (series,) = desk.wire.metrics("w", "a", ("loss",), False, None, None)
    assert series.times_ms == [3_000, 3_000, 4_000]


def test_what_is_being_packed_is_not_done_yet(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise a flush at the wrong moment would return before its values were sent."""
    a = desk.run("a")
    desk.log(a, "loss", 1.0)
    pack, seen = Packer.pack, list[bool]()

    def watched(packer: Packer, reader: Reader, before: Sequence[Pending] = ()) -> list[Pending]:
        packed = pack(packer, reader, before)
        seen.append(desk.sender.is_idle)
        return packed

    monkeypatch.setattr(Packer, "pack", watched)
    desk.deliver()

    assert seen == [False]
    assert desk.sender.is_idle


def test_a_withdrawn_command_is_not_sent(desk: Desk) -> None:
    a = desk.run("a")
    desk.put(a, c.SetTags(run_id="a", tags={"k": "v"})).withdrawn = True
    desk.deliver()

    assert desk.history("a") == ["run.created", "run.started"]


def test_numbers_about_to_be_used_can_be_announced(desk: Desk) -> None:
    a, b = desk.run("a"), desk.run("b")
    desk.deliver()
    desk.wire.is_gone = True
    desk.log(a, "loss", 1.0)
    desk.put(a, c.SetTags(run_id="a", tags={"k": "v"}))
    desk.sender.deliver()
    desk.log(b, "loss", 1.0)

    assert desk.sender.last_numbers() == {a: 3}
    assert desk.sender.last_numbers([a, b]) == {a: 3, b: 2}
    assert desk.sender.undelivered() == (2, 1)
