"""A door that knows its senders does with every log what a door does that reads each record anew."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final
from unittest.mock import ANY, patch
from uuid import UUID

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct
from msgspec.structs import replace

from runfold_events.clock import ManualClock
from runfold_events.contract import commands as c
from runfold_events.contract.cloudevents import Headers, Record, command_record
from runfold_events.contract.columns import Column
from runfold_events.contract.envelope import JSON, MSGPACK, RecordedEvent
from runfold_events.contract.ids import partition_of, run_stream
from runfold_events.contract.metrics import MetricBatch, Series, encode_batch
from runfold_events.contract.submission import Actor, Submission
from runfold_events.ledger import Ledger
from runfold_events.log_door import Handled, LogDoor, LogRecord
from runfold_events.ports import Head, WriterMark
from runfold_events.senders import HEADERS_BYTES_MAX, Sender, Senders
from runfold_events.stores.sqlite import SqliteStore
from runfold_events.sync import run_sync
from runfold_events.testing.builders import CountingIds
from runfold_events.work import Work

PARTITIONS: Final = 2
TIME_US: Final = 1_700_000_000_123_456
OURS: Final = UUID(int=0xD00)
SETUP: Final = UUID(int=0x5E7)
NOBODY: Final = Actor("", "")
ENSURE: Final = c.EnsureExperiment(experiment="exp")
EPOCH: Final = UUID(int=0xE)
WRITERS: Final = (UUID(int=0xA), UUID(int=0xB))
_NAMED: Final = [f"r{number}" for number in range(20)]
HERE: Final = [name for name in _NAMED if partition_of(run_stream("w", name), PARTITIONS) == 0]
ELSEWHERE: Final = next(name for name in _NAMED if name not in HERE)
STARTED: Final = HERE[:2]
RUNS: Final = (*STARTED, HERE[2], ELSEWHERE)  # the third is never made


def _batch(*values: float) -> bytes:
    count = len(values)
    times = Column(dtype="i64", values=list(range(count)))
    column = Column(dtype="f64", values=list(values))
    return encode_batch([Series(name="loss", times=times, columns={"loss": column})])


def _as_json(body: bytes) -> bytes:
    return msgspec.json.encode(msgspec.msgpack.decode(body, type=MetricBatch))


BODIES: Final = {
    "packed": (MSGPACK, _batch(1.0)),
    "other": (MSGPACK, _batch(1.0, 2.0)),
    "json": (JSON, _as_json(_batch(3.0))),
    "uneven": (MSGPACK, _batch().replace(b"\xa6values\x90", b"\xa6values\x91\x01", 1)),
    "garbage": (MSGPACK, b"\xff"),
    "foreign": ("text/plain", b"loss 1.0"),
}

Change = Callable[[Record], Record]


def _headers(change: Callable[[list[tuple[str, bytes]]], Sequence[tuple[str, bytes]]]) -> Change:
    return lambda record: replace(record, headers=tuple(change(list(record.headers))))


def _says(name: str, value: bytes | None) -> Change:
    """A header with another value, at its place; None: without it."""

    def change(headers: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
        if value is None:
            return [pair for pair in headers if pair[0] != name]
        if name not in dict(headers):
            return [*headers, (name, value)]
        return [(name, value) if pair[0] == name else pair for pair in headers]

    return _headers(change)


CHANGES: Final[dict[str, Change]] = {
    "none": lambda record: record,
    "tombstone": lambda record: Record(record.key, None, record.headers),  # type: ignore[arg-type]
    "key of another": lambda record: replace(record, key=b"w/run/other"),
    "capitals": _headers(lambda pairs: [(name.upper(), value) for name, value in pairs]),
    "turned round": _headers(lambda pairs: pairs[::-1]),
    "time twice": _headers(lambda pairs: [*pairs, ("ce_time", b"2001-01-01T00:00:00Z")]),
    "number twice": _headers(lambda pairs: [*pairs, ("CE_WRITERSEQ", b"1")]),
    "no id": _says("ce_id", None),
    "no time": _says("ce_time", None),
    "no content type": _says("content-type", None),
    "id that is no text": _says("ce_id", b"\xff"),
    "time to the second": _says("ce_time", b"2023-11-14T22:13:20+01:00"),
    "time that is none": _says("ce_time", b"yesterday"),
    "time without zone": _says("ce_time", b"2023-11-14T22:13:20.000001"),
    "number 0": _says("ce_writerseq", b"0"),
    "number with a sign": _says("ce_writerseq", b"+1"),
    "long number": _says("ce_writerseq", b"9" * 20),
    "largest number": _says("ce_writerseq", b"%d" % (2**63)),
    "another writer": _says("ce_writerid", b"\xc3\xa4"),
    "another workspace": _says("ce_source", b"/workspaces/other"),
    "another type": _says("ce_type", b"dev.runfold.run.log_metrics.v2"),
    "holds": _says("ce_hold", b"true"),
    "correlated": _says("ce_correlationid", str(UUID(int=7)).encode()),
    "traced": _says("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    "traced by garbage": _says("traceparent", b"\xff"),
    "wants an answer": _says("reply_to", b"runfold.replies.team"),
    "wants it elsewhere": _says("reply_to", b"elsewhere"),
    "unknown header": _says("x-team", b"vision"),
    "sent again": _says("ce_redriveof", b"0-0"),
}


class Step(Struct, frozen=True):
    """One record of a log: what its sender does next, and what is wrong with the record."""

    run: int = 0
    writer: int = 0
    body: str = "packed"
    command: str = "log"
    number: str = "next"
    change: str = "none"
    is_admin: bool = False


# Most of a log is what senders usually do: otherwise nobody would be known.
def _mostly(usual: str, *others: str) -> st.SearchStrategy[str]:
    return st.sampled_from((usual,) * (2 * len(others)) + others)


STEPS: Final = st.builds(
    Step,
    run=st.sampled_from((0, 0, 0, 0, 1, 1, 2, 3)),
    writer=st.sampled_from((0, 0, 0, 1)),
    body=_mostly("packed", *BODIES),
    command=_mostly("log", "tag", "complete", "erase", "lose"),
    number=_mostly("next", "again", "jump", "back"),
    change=_mostly("none", *CHANGES),
    is_admin=st.sampled_from((False, False, False, True)),
)


def _command(step: Step, number: int) -> tuple[c.Command, str]:
    run_id = RUNS[step.run]
    content_type, body = BODIES[step.body]
    others: dict[str, c.Command] = {
        "tag": c.SetTags(run_id=run_id, tags={"n": str(number)}),
        "complete": c.CompleteRun(run_id=run_id),
        "erase": c.EraseRun(run_id=run_id, reason="asked for"),
        "lose": c.DeclareLost(run_id=run_id, first=number, last=number + 1, reason="gone", values=2),
    }
    return others.get(step.command) or c.LogMetrics(run_id, msgspec.Raw(body)), content_type


def _records(steps: Sequence[Step]) -> list[LogRecord]:
    """The log. The actor of a record is told by its timestamp: 1 for an admin."""
    created = [c.CreateRun(run_id=run_id, experiment="exp", start=True) for run_id in STARTED]
    made: list[tuple[Record, int]] = [(_record(command, SETUP, 1, JSON), 0) for command in created]
    numbers: dict[tuple[int, int], int] = {}
    for step in steps:
        place = (step.run, step.writer)
        moved = {"next": 1, "again": 0, "jump": 3, "back": -1}[step.number]
        number = numbers[place] = max(1, numbers.get(place, 0) + moved)
        record = _record(_command(step, number)[0], WRITERS[step.writer], number, _command(step, number)[1])
        made.append((CHANGES[step.change](record), int(step.is_admin)))
    return [
        LogRecord(0, offset, stamp, record.key, record.value, record.headers)
        for offset, (record, stamp) in enumerate(made)
    ]


def _record(command: c.Command, writer_id: UUID, number: int, content_type: str) -> Record:
    return command_record(_submission(command, writer_id, number, content_type))


def _submission(command: c.Command, writer_id: UUID, number: int, content_type: str) -> Submission:
    return Submission(
        workspace="w",
        command=command,
        writer_id=writer_id,
        writer_seq=number,
        occurred_at=TIME_US + number,
        actor=NOBODY,
        door="kafka",
        content_type=content_type,
    )


class Story(Struct, frozen=True):
    """All that comes of a log."""

    handled: list[Handled]
    events: list[RecordedEvent]
    heads: dict[str, Head]
    marks: list[WriterMark]


def _told(records: Sequence[LogRecord], together: int, senders: Senders) -> Story:
    """The log, read by a door with ``together`` records of a transaction at most.

    For who knows nobody the rules decide everything.
    """
    if isinstance(senders, Forgetful):
        with patch.object(Work, "log_metrics", return_value=None):
            return _read(records, together, senders)
    return _read(records, together, senders)


def _read(records: Sequence[LogRecord], together: int, senders: Senders) -> Story:
    with patch("runfold_events.stores.sqlite.store.uuid4", lambda: EPOCH):
        store = SqliteStore.open(":memory:", clock=ManualClock(), partitions=PARTITIONS)
    try:
        ledger = Ledger(store, CountingIds())
        # In whatever partition the experiment lies: so it is made at another door.
        door = LogDoor(ledger, lambda it: Actor("team", "kafka", it.timestamp_ms == 1), OURS, senders)
        run_sync(ledger.handle([_submission(ENSURE, SETUP, 1, JSON)]))
        handled = [
            run_sync(door.handle(records[start : start + together], records[start].offset))
            for start in range(0, len(records), together)
        ]
        streams = {str(run_stream("w", run_id)) for run_id in RUNS}
        return Story(
            handled,
            [
                event
                for partition in range(PARTITIONS)
                for event in run_sync(store.read(partition, 0, 10_000))
            ],
            run_sync(store.heads(streams)),
            [mark for stream in sorted(streams) for mark in run_sync(store.writers(stream))],
        )
    finally:
        run_sync(store.close())


class Forgetful(Senders):
    """Knows nobody."""

    def learn(self, partition: int, key: bytes | None, headers: Headers, said: Submission) -> None: ...


class Counting(Senders):
    """Counts how many records were those of known senders."""

    count = 0

    def read(
        self, partition: int, key: bytes | None, value: bytes | None, headers: Headers, actor: Actor
    ) -> tuple[Sender, Submission] | None:
        found = super().read(partition, key, value, headers, actor)
        self.count += found is not None
        return found


class Gullible(Senders):
    """Knows a sender by its key and writer alone."""

    def learn(self, partition: int, key: bytes | None, headers: Headers, said: Submission) -> None:
        super().learn(partition, key, headers, said)
        for sender in self._known.values():
            sender.headers = ANY


@given(steps=st.lists(STEPS, max_size=30), together=st.sampled_from((1, 3, 50)))
@settings(max_examples=60)
def test_who_is_known_is_understood_as_who_is_not(steps: list[Step], together: int) -> None:
    records = _records(steps)
    assert _told(records, together, Senders()) == _told(records, together, Forgetful())


def test_whatever_a_known_sender_changes_is_noticed() -> None:
    """Every change, in the middle of what the sender usually says."""
    usual = [Step(), Step(), Step(body="other")]
    for name in CHANGES:
        for body in BODIES:
            records = _records([*usual, Step(change=name, body=body), *usual])
            known = Counting()
            assert _told(records, 50, known) == _told(records, 50, Forgetful()), (name, body)
            assert known.count >= len(usual), (name, body)


def test_a_door_that_does_not_compare_what_is_repeated_is_found_out() -> None:
    records = _records([Step(), Step(body="json"), Step(change="another workspace")])
    assert _told(records, 50, Gullible()) != _told(records, 50, Forgetful())


def test_one_record_makes_a_sender_known() -> None:
    known = Counting()
    story = _told(_records([Step()] * 10), 50, known)
    assert known.count == 9
    assert [event.writer_seq for event in story.events if event.type == "run.metrics_logged"] == list(
        range(1, 11)
    )


def test_so_many_senders_are_known_and_no_more() -> None:
    senders = Senders(senders_max=2)
    submissions = [_submission(_command(Step(), 1)[0], UUID(int=number), 1, MSGPACK) for number in (1, 2, 3)]
    records = [command_record(submission) for submission in submissions]
    for record, submission in zip(records, submissions, strict=True):
        senders.learn(0, record.key, record.headers, submission)
    found = [senders.read(0, record.key, record.value, record.headers, NOBODY) for record in records]
    assert [it is not None for it in found] == [False, False, True]


@pytest.mark.parametrize(("excess", "is_known"), [(0, True), (1, False)])
def test_of_a_sender_only_so_much_is_kept(excess: int, is_known: bool) -> None:
    senders = Senders()
    submission = _submission(_command(Step(), 1)[0], WRITERS[0], 1, MSGPACK)
    record = command_record(submission)
    repeated = sum(
        len(value) for name, value in record.headers if name not in {"ce_id", "ce_time", "ce_writerseq"}
    )
    filling = b"1" * (HEADERS_BYTES_MAX - repeated + len(b"1.0") + excess)
    record = _says("ce_specversion", filling)(record)
    senders.learn(0, record.key, record.headers, submission)
    found = senders.read(0, record.key, record.value, record.headers, NOBODY)
    assert (found is not None) is is_known
