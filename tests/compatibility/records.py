"""One Kafka record of every kind, as files that people can read: key, headers and value.

Samples only grow, as in ``samples``. A value that is JSON stands as its text, any other as base64.
"""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from runfold_events.contract import commands as c
from runfold_events.contract import events as e
from runfold_events.contract.cloudevents import Record, command_record, event_record
from runfold_events.contract.codec import encode_event
from runfold_events.contract.envelope import JSON, MSGPACK, RecordedEvent, body_digest
from runfold_events.contract.ids import experiment_stream, run_stream, slice_of, system_stream
from runfold_events.contract.schemas import PUBLIC_COMMANDS
from runfold_events.contract.submission import Accepted, Actor, EventRef, Outcome, Refused, Submission
from runfold_events.log_door import Reply
from runfold_services.replies import reply_record
from tests.compatibility.samples import COMMANDS, EVENTS, Files
from tests.support.columns import json_batch, msgpack_batch, packed, plain, series

PARTITION: Final = 3
REPLY_TOPIC: Final = "runfold.replies.nightly"
EPOCH: Final = UUID("0190a1b2-c3d4-7e5f-8a6b-00000000000e")
WRITER: Final = UUID("0190a1b2-c3d4-7e5f-8a6b-00000000000a")
CORRELATION: Final = UUID("0190a1b2-c3d4-7e5f-8a6b-00000000000c")
CAUSATION: Final = UUID("0190a1b2-c3d4-7e5f-8a6b-00000000000d")
TRACEPARENT: Final = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
WHEN_US: Final = 1_700_000_000_000_000
TOKEN: Final = f"{EPOCH}:{PARTITION}=18"
MSGPACK_SUFFIX: Final = ".msgpack"
ERASED_SUFFIX: Final = ".erased"


class GoldenRecord(Struct, frozen=True, omit_defaults=True):
    """A record as it stands in a file."""

    key: str
    headers: dict[str, str]
    value: str = ""
    value_base64: bytes = b""

    def record(self) -> Record:
        """The record itself."""
        headers = tuple((name, text.encode()) for name, text in self.headers.items())
        return Record(self.key.encode(), self.value_base64 or self.value.encode(), headers)


def golden(record: Record) -> bytes:
    """A record as a file."""
    headers = {name: value.decode() for name, value in record.headers}
    is_msgpack = headers["content-type"] == MSGPACK
    text, data = ("", record.value) if is_msgpack else (record.value.decode(), b"")
    said = GoldenRecord(record.key.decode(), headers, text, data)
    return msgspec.json.format(msgspec.json.encode(said)) + b"\n"


def read_golden(data: bytes) -> GoldenRecord:
    """The reverse of :func:`golden`."""
    return msgspec.json.decode(data, type=GoldenRecord)


def payload(record: GoldenRecord) -> Any:
    """The value as JSON; bytes inside msgpack as base64 text; of an erased event the empty text."""
    if record.value_base64:
        return msgspec.to_builtins(msgspec.msgpack.decode(record.value_base64))
    return msgspec.json.decode(record.value) if record.value else ""


def command_files() -> Files:
    """A record of every command that services may send."""
    return {f"records/commands/{name}.json": golden(record) for name, record in _commands().items()}


def event_and_reply_files() -> Files:
    """A record of every event, one of an erased event, and replies."""
    events = {
        f"records/events/{name}.json": golden(event_record(event))
        for name, event in recorded_events().items()
    }
    replies = {f"records/replies/{name}.json": golden(reply_record(reply)) for name, reply in REPLIES.items()}
    return events | replies


# Commands


def _commands() -> dict[str, Record]:
    samples = [sample for sample in COMMANDS if type(sample) in PUBLIC_COMMANDS]
    named = {c.command_type(sample): _submission(sample, number) for number, sample in enumerate(samples, 1)}
    metrics = named["run.log_metrics"]
    named["run.log_metrics"] = _with_batch(metrics, _json_batch(), JSON)
    named[f"run.log_metrics{MSGPACK_SUFFIX}"] = _with_batch(metrics, _msgpack_batch(), MSGPACK)
    # Every second one says no more than it must, so that both forms are kept.
    return {
        name: command_record(submission, reply_to=None if number % 2 else REPLY_TOPIC)
        for number, (name, submission) in enumerate(named.items())
    }


def _submission(command: c.Command, number: int) -> Submission:
    if isinstance(command, c.DeclareLost):
        number = command.first
    says_more = number % 2 == 1
    return Submission(
        workspace="w",
        command=command,
        writer_id=WRITER,
        writer_seq=number,
        occurred_at=WHEN_US + number,
        actor=Actor("kafka", "kafka"),
        door="kafka",
        hold=isinstance(command, c.CreateRun),
        correlation_id=CORRELATION if says_more else None,
        causation_id=CAUSATION if says_more else None,
        traceparent=TRACEPARENT if says_more else None,
    )


def _with_batch(submission: Submission, batch: bytes, content_type: str) -> Submission:
    command = c.LogMetrics(run_id="r", batch=Raw(batch))
    return replace(submission, command=command, content_type=content_type)


def _json_batch() -> bytes:
    return json_batch(series(plain("f64", [0.7, "NaN", 0.4])))


def _msgpack_batch() -> bytes:
    return msgpack_batch(series(packed("i64", "raw", [5, 3, 2**40, -1])))


# Events


def recorded_events() -> dict[str, RecordedEvent]:
    """An event of every type as the store has it, by the name of its file."""
    bodies = {e.event_type(sample): encode_event(sample) for sample in EVENTS}
    bodies[e.METRICS_LOGGED] = JSON, _json_batch()
    bodies[e.METRICS_LOGGED + MSGPACK_SUFFIX] = MSGPACK, _msgpack_batch()
    events = {
        name: _recorded(name.removesuffix(MSGPACK_SUFFIX), number, content_type, body)
        for number, (name, (content_type, body)) in enumerate(bodies.items())
    }
    erased = {
        name + ERASED_SUFFIX: replace(events[name], salt=None, body=None)
        for name in ("run.created", e.METRICS_LOGGED + MSGPACK_SUFFIX)
    }
    return events | erased


def _recorded(event_type: str, number: int, content_type: str, body: bytes) -> RecordedEvent:
    stream = _stream_of(event_type)
    is_system = stream.startswith("_system")
    says_more = number % 2 == 0 and not is_system
    salt = bytes(16)
    return RecordedEvent(
        id=UUID(int=0x0190A1B2_C3D4_7E5F_8A6B_000000000100 + number),
        type=event_type,
        stream=stream,
        stream_seq=number + 1,
        partition=PARTITION,
        pos=2**40 + number,
        slice=slice_of(stream),
        epoch=EPOCH,
        occurred_at=WHEN_US - number,
        recorded_at=WHEN_US + number,
        actor="runfold" if is_system else "ann é",
        actor_source="system" if is_system else "token",
        door="system" if is_system else "http",
        writer_id=WRITER,
        writer_seq=number + 1,
        causation_id=CAUSATION if says_more else None,
        correlation_id=CORRELATION if says_more else None,
        traceparent=TRACEPARENT if says_more else None,
        content_type=content_type,
        salt=salt,
        digest=body_digest(salt, body),
        chain=b"",
        body=body,
    )


def _stream_of(event_type: str) -> str:
    if event_type.startswith("experiment."):
        return experiment_stream("w", "diabetes")
    return run_stream("w", "child-1") if event_type.startswith("run.") else system_stream(PARTITION)


# Replies


def _reply(outcome: Outcome, number: int, correlation: bytes | None = str(CORRELATION).encode()) -> Reply:
    return Reply(REPLY_TOPIC, b"w/run/child-1", correlation, WRITER, number, outcome)


def _ref(event_type: str, seq: int) -> EventRef:
    event_id = UUID(int=0x0190A1B2_C3D4_7E5F_8A6B_000000000200 + seq)
    return EventRef(event_id, event_type, "w/run/child-1", seq, PARTITION, 15 + seq)


_CREATED: Final = (_ref("run.created", 1), _ref("run.started", 2))
_REJECTED: Final = Refused(
    code="property_immutable",
    message="property 'author' is 'azureml-user' since event 1; it cannot become 'else'",
    facts={"key": "author", "current": "azureml-user", "attempted": None, "keys": ["author"]},
    token=TOKEN,
    event=_ref("run.command_rejected", 3),
)
REPLIES: Final[dict[str, Reply]] = {
    "accepted": _reply(Accepted(token=TOKEN, events=_CREATED, run_id="child-1"), 1),
    "accepted-without-change": _reply(Accepted(token=TOKEN), 2),
    "accepted-repeated": _reply(Accepted(token=TOKEN, events=_CREATED, repeated=True, run_id="child-1"), 1),
    "refused": _reply(_REJECTED, 3),
    "refused-repeated": _reply(replace(_REJECTED, repeated=True), 3),
    "refused-without-event": _reply(
        Refused(code="not_found", message="there is no run 'r'", facts={"run_id": "r"}), 4, correlation=None
    ),
}
