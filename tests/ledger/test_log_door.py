"""The door that reads a command log: exactly once by the store's cursor, gaps recorded, nothing unreadable dropped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final
from uuid import UUID, uuid4

import msgspec
import pytest

from runfold_events.contract import commands as c
from runfold_events.contract.cloudevents import Record, command_record
from runfold_events.contract.codec import decode_event, encode_event
from runfold_events.contract.commands import Command
from runfold_events.contract.envelope import CHAIN_START, RecordedEvent, check_events
from runfold_events.contract.events import AnyEvent, CommandUnreadable, TagsSet
from runfold_events.contract.submission import Accepted, Actor, Refused, Submission
from runfold_events.ids_source import SystemIds
from runfold_events.ledger import Ledger
from runfold_events.log_door import CursorAhead, Handled, LogDoor, LogRecord
from runfold_events.ports import WriterMark
from runfold_events.sync import run_sync
from tests.support.ledgers import new_store

SENDER: Final = Actor("trainer", "kafka")


class Log:
    """A partition's records, as a broker would deliver them."""

    def __init__(self) -> None:
        self.store = new_store()
        self.ledger = Ledger(self.store, SystemIds())
        self.door = LogDoor(self.ledger, lambda record: SENDER, uuid4())
        self.writer = uuid4()
        self.records: list[LogRecord] = []

    def add(self, command: Command, number: int, *, reply_to: str | None = None) -> LogRecord:
        submission = Submission(
            workspace="w",
            command=command,
            writer_id=self.writer,
            writer_seq=number,
            occurred_at=1_700_000_000_000_000,
            actor=SENDER,
            door="kafka",
        )
        return self.add_record(command_record(submission, reply_to=reply_to))

    def add_record(self, record: Record, *, hole: int = 0) -> LogRecord:
        offset = (self.records[-1].offset + 1 if self.records else 0) + hole
        found = LogRecord(0, offset, 5, record.key, record.value, record.headers)
        self.records.append(found)
        return found

    def handle(self, records: Sequence[LogRecord] | None = None, from_offset: int = 0) -> Handled:
        return run_sync(self.door.handle(self.records if records is None else records, from_offset))

    def events(self) -> list[RecordedEvent]:
        return run_sync(self.store.read(0, 0, 1_000))

    def types(self) -> list[str]:
        return [event.type for event in self.events()]

    def start(self) -> None:
        self.add(c.EnsureExperiment(experiment="exp"), 1)
        self.add(c.CreateRun(run_id="r", experiment="exp"), 1)


@pytest.fixture
def log() -> Iterator[Log]:
    log = Log()
    yield log
    damage, _ = check_events(log.events(), partition=0, from_pos=0, previous_chain=CHAIN_START)
    assert damage == []
    run_sync(log.store.close())


def test_records_are_handled_once_however_often_they_come(log: Log) -> None:
    log.start()
    first = log.handle()
    again = log.handle()
    assert (first.next_offset, first.records, first.events) == (2, 2, 3)
    assert (again.next_offset, again.records, again.events) == (2, 0, 0)
    assert log.types() == ["experiment.created", "run.created", "run.started"]


def test_a_batch_that_overlaps_the_cursor_is_handled_from_there(log: Log) -> None:
    log.start()
    log.handle(log.records[:1])
    assert log.handle().records == 1
    assert log.types() == ["experiment.created", "run.created", "run.started"]


def test_holes_between_offsets_are_no_loss(log: Log) -> None:
    log.start()
    submission = Submission(
        workspace="w",
        command=c.CompleteRun(run_id="r"),
        writer_id=log.writer,
        writer_seq=2,
        occurred_at=0,
        actor=SENDER,
        door="kafka",
    )
    log.add_record(command_record(submission), hole=7)
    assert log.handle().next_offset == 10
    assert log.types()[-1] == "run.completed"


def test_records_beyond_the_cursor_are_refused_until_those_before_come(log: Log) -> None:
    log.start()
    with pytest.raises(CursorAhead) as caught:
        log.handle(log.records[1:], from_offset=1)
    assert caught.value.facts["next_offset"] == 0
    assert log.types() == []


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"value": b"{"}, "value"),
        ({"value": b'{"type":"run.complete","run_id":"r","extra":1}'}, "value"),
        ({"value": None}, "value"),
        ({"headers": ()}, "ce_type"),
        ({"key": b"w/run/another"}, "key"),
        ({"key": None}, "key"),
    ],
)
def test_what_cannot_be_read_is_kept_and_the_cursor_moves_on(
    log: Log, change: dict[str, object], field: str
) -> None:
    log.start()
    broken = msgspec.structs.replace(log.add(c.CompleteRun(run_id="r"), 2), **change)
    log.records[-1] = broken
    log.add(c.SetTags(run_id="r", tags={"a": "b"}), 3)
    handled = log.handle()
    assert (handled.next_offset, handled.unreadable) == (4, 1)
    kept = next(event for event in log.events() if event.type == "command.unreadable")
    body = decode_event(kept)
    assert isinstance(body, CommandUnreadable)
    assert (kept.stream, body.offset, body.facts["field"]) == ("_system/0", 2, field)
    assert (body.key, body.value, body.headers) == (broken.key, broken.value, broken.headers)
    assert log.types()[-1] == "run.tags_set"


def test_a_refusal_without_an_event_is_kept_like_poison(log: Log) -> None:
    log.add(c.CreateRun(run_id="orphan", experiment="nobody-made-it"), 1)
    assert log.handle().unreadable == 1
    body = decode_event(log.events()[0])
    assert isinstance(body, CommandUnreadable)
    assert body.code == "not_found"


def test_a_refusal_with_an_event_is_in_the_run(log: Log) -> None:
    log.start()
    log.add(c.AddProperties(run_id="r", properties={"a": "1"}), 2)
    log.add(c.AddProperties(run_id="r", properties={"a": "2"}), 3)
    assert log.handle().unreadable == 0
    assert log.types()[-1] == "run.command_rejected"


def test_a_jump_is_a_gap_that_later_data_may_close(log: Log) -> None:
    log.start()
    log.add(c.SetTags(run_id="r", tags={"late": "1"}), 4)
    log.handle()
    assert _mark(log).gaps == ((2, 3),)
    log.add(c.SetTags(run_id="r", tags={"middle": "1"}), 3)
    log.handle(from_offset=3)
    assert (_mark(log).gaps, _mark(log).highest) == (((2, 2),), 4)
    log.add(c.SetTags(run_id="r", tags={"again": "1"}), 3)
    log.add(c.DeclareLost(run_id="r", first=2, last=2, reason="disk"), 2)
    log.handle(from_offset=4)
    assert (_mark(log).gaps, _mark(log).highest, _mark(log).lost) == ((), 4, ((2, 2),))
    assert log.types().count("run.tags_set") == 2, "number 3 came twice and took effect once"


def test_replies_go_to_who_asked(log: Log) -> None:
    log.start()
    log.add(c.CompleteRun(run_id="r"), 2, reply_to="runfold.replies.trainer")
    log.add(c.FailRun(run_id="r"), 3, reply_to="runfold.replies.trainer")
    replies = log.handle().replies
    assert [type(reply.outcome) for reply in replies] == [Accepted, Refused]
    assert {(reply.topic, reply.key) for reply in replies} == {("runfold.replies.trainer", b"w/run/r")}


def test_a_poisoned_command_is_found_and_its_neighbours_commit(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.start()
    for number in range(2, 9):
        log.add(c.SetTags(run_id="r", tags={"n": str(number)}), number)

    def poisoned(event: AnyEvent) -> tuple[str, bytes]:
        if isinstance(event, TagsSet) and event.tags == {"n": "5"}:
            raise RuntimeError("poison")
        return encode_event(event)

    monkeypatch.setattr("runfold_events.work.encode_event", poisoned)
    handled = log.handle()
    assert (handled.next_offset, handled.unreadable) == (9, 1)
    assert log.types().count("run.tags_set") == 6
    assert _mark(log).gaps == ((5, 5),)


def test_the_same_commands_give_the_same_events_as_by_the_other_door(log: Log) -> None:
    other = new_store()
    log.start()
    log.add(c.AddProperties(run_id="r", properties={"a": "1"}), 2)
    log.add(c.AddProperties(run_id="r", properties={"a": "2"}), 3)
    log.add(c.CompleteRun(run_id="r"), 4)
    log.handle()
    commands: list[tuple[Command, int]] = [
        (c.EnsureExperiment(experiment="exp"), 1),
        (c.CreateRun(run_id="r", experiment="exp"), 1),
        (c.AddProperties(run_id="r", properties={"a": "1"}), 2),
        (c.AddProperties(run_id="r", properties={"a": "2"}), 3),
        (c.CompleteRun(run_id="r"), 4),
    ]
    submissions = [
        Submission(
            workspace="w",
            command=command,
            writer_id=log.writer,
            writer_seq=number,
            occurred_at=0,
            actor=SENDER,
            door="http",
        )
        for command, number in commands
    ]
    run_sync(Ledger(other, SystemIds()).handle(submissions))
    assert _story(run_sync(other.read(0, 0, 100))) == _story(log.events())


def test_a_log_names_no_admin_so_nobody_erases_by_it(log: Log) -> None:
    log.start()
    log.add(c.EraseRun(run_id="r"), 2, reply_to="runfold.replies.a")
    (reply,) = log.handle().replies
    assert isinstance(reply.outcome, Refused)
    assert reply.outcome.code == "forbidden"
    assert log.types() == ["experiment.created", "run.created", "run.started", "command.unreadable"]
    assert all(event.body is not None for event in log.events())
    admin = LogDoor(log.ledger, lambda record: Actor("root", "kafka", admin=True), uuid4())
    log.add(c.EraseRun(run_id="r"), 2)
    run_sync(admin.handle(log.records[-1:], log.records[-1].offset))
    assert log.types()[-1] == "run.erased"


def _story(events: Sequence[RecordedEvent]) -> list[tuple[str, str, int, UUID, int]]:
    return [
        (event.type, event.stream, event.stream_seq, event.writer_id, event.writer_seq) for event in events
    ]


def _mark(log: Log) -> WriterMark:
    return next(mark for mark in run_sync(log.store.writers("w/run/r")) if mark.writer_id == log.writer)
