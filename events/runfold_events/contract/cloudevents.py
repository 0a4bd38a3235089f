"""Commands and events as CloudEvents 1.0 in Kafka's binary mode: attributes in ``ce_`` headers, data in the value.

Source: CloudEvents 1.0.2, "Kafka Protocol Binding", sections 3.2 and 3.2.3. The record key is the stream id, so the
default partitioner of the Java client and of aiokafka finds the store's partition.

A command's value is the command as JSON; of ``run.log_metrics`` it is the metric batch itself, in the encoding that
``content-type`` names. An event's value is the stored body, byte for byte; a body that was erased before it was
published is an empty value with ``ce_erased: true`` (a null value would be a tombstone).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import chain
from typing import Any, Final
from uuid import UUID

import msgspec
from msgspec import Struct

from runfold_events.contract import limits
from runfold_events.contract.commands import (
    INTERNAL_COMMANDS,
    Command,
    LogMetrics,
    command_type,
)
from runfold_events.contract.envelope import JSON, MSGPACK, PublicEvent
from runfold_events.contract.errors import Invalid, LimitExceeded
from runfold_events.contract.ids import SYSTEM_PREFIX, is_system_stream, split_stream
from runfold_events.contract.submission import Actor, Submission

Header = tuple[str, bytes]
Headers = Sequence[Header]
Given = Mapping[str, bytes]  # headers by name

TYPE_PREFIX: Final = "dev.runfold."
TYPE_SUFFIX: Final = ".v1"
SOURCE_PREFIX: Final = "/workspaces/"
SYSTEM_SOURCE: Final = "/system"  # of what the store says about itself
REPLY_TOPIC: Final = re.compile(r"runfold\.replies\.[A-Za-z0-9._\-]{1,200}\Z")
SPEC_VERSION: Final = "1.0"
_SECOND: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\Z", re.ASCII)
SEQUENCE_DIGITS: Final = 20
_EPOCH_START: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_LOG_METRICS: Final = "run.log_metrics"
_WRITERS_CACHED_MAX: Final = 16_384

_command_decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(Command)
_command_encoder = msgspec.json.Encoder()


class Record(Struct, frozen=True, gc=False):
    """A Kafka record, without its place."""

    key: bytes
    value: bytes
    headers: tuple[Header, ...]

    @property
    def size_bytes(self) -> int:
        """Key, value and headers; a broker adds less than 100 bytes to that."""
        return len(self.key) + len(self.value) + sum(map(len, chain.from_iterable(self.headers)))


class IncomingCommand(Struct, frozen=True, gc=False):
    """A command read from a record, and where its sender wants the answer."""

    submission: Submission
    reply_to: str | None
    correlation: bytes | None  # as the sender wrote it, echoed in the reply


def ce_type(name: str) -> str:
    """``run.created`` as a CloudEvents type: ``dev.runfold.run.created.v1``."""
    return f"{TYPE_PREFIX}{name}{TYPE_SUFFIX}"


def plain_type(value: str) -> str:
    """The reverse of :func:`ce_type`; raises :class:`Invalid` for a type that is not ours."""
    if not (value.startswith(TYPE_PREFIX) and value.endswith(TYPE_SUFFIX)):
        raise _invalid("ce_type", f"{TYPE_PREFIX}…{TYPE_SUFFIX}", value)
    return value.removeprefix(TYPE_PREFIX).removesuffix(TYPE_SUFFIX)


def rfc3339(time_us: int) -> str:
    """UTC µs since the epoch as RFC 3339, which CloudEvents wants."""
    second, rest = divmod(time_us, 1_000_000)
    return f"{_second(second)}.{rest:06d}Z" if rest else f"{_second(second)}Z"


@lru_cache(maxsize=1_024)
def _second(number: int) -> str:
    """A whole second since the epoch; many events have the same."""
    return (_EPOCH_START + timedelta(seconds=number)).isoformat().removesuffix("+00:00")


def from_rfc3339(text: str, field: str = "ce_time") -> int:
    """The reverse of :func:`rfc3339`; any offset is accepted."""
    try:
        second, rest = _from_second(text[:19]), text[19:]
        if second is not None and len(rest) == 8 and rest[0] == "." and rest[7] == "Z":
            digits = rest[1:7]
            if digits.isdecimal() and digits.isascii():
                return second + int(digits)
        return (datetime.fromisoformat(text) - _EPOCH_START) // _MICROSECOND
    except (ValueError, TypeError):
        raise _invalid(field, "RFC 3339 with an offset", text) from None


@lru_cache(maxsize=1_024)
def _from_second(text: str) -> int | None:
    """µs of a whole second as most senders write it, ``2026-11-28T01:02:03``; many commands have the same."""
    if not _SECOND.match(text):
        return None
    return (datetime.fromisoformat(f"{text}Z") - _EPOCH_START) // _MICROSECOND


# Events


def event_record(event: PublicEvent) -> Record:
    """The record that announces a stored event."""
    said = event.type, event.epoch, event.actor, event.actor_source, event.data_version, event.content_type
    shared = _shared.get((event.stream, event.writer_id))
    if shared is None or shared.said != said:
        shared = _remembered(event, said)
    headers = [
        *shared.of_stream,
        ("ce_id", str(event.id).encode()),
        ("ce_time", rfc3339(event.occurred_at).encode()),
        ("ce_recordedtime", _recorded_time(event.recorded_at)),
        shared.partition_key,
        ("ce_sequence", b"%0*d" % (SEQUENCE_DIGITS, event.pos)),
        ("ce_streamseq", b"%d" % event.stream_seq),
        shared.epoch,
        ("ce_digest", event.digest.hex().encode()),
        *shared.of_writer,
        ("ce_writerseq", b"%d" % event.writer_seq),
        shared.data_version,
    ]
    if event.causation_id is not None:
        headers.append(("ce_causationid", str(event.causation_id).encode()))
    if event.correlation_id is not None:
        headers.append(("ce_correlationid", str(event.correlation_id).encode()))
    if event.body is None:
        headers.append(("ce_erased", b"true"))
    if event.traceparent is not None:
        headers.append(("traceparent", event.traceparent.encode()))
    headers.append(shared.content_type)
    return Record(shared.key, event.body or b"", tuple(headers))


class _Shared(Struct, frozen=True, gc=False):
    """What comes again with every event of a writer on a stream, encoded once, as long as it is ``said`` again."""

    said: tuple[Any, ...]
    key: bytes
    of_stream: tuple[Header, ...]
    partition_key: Header
    epoch: Header
    of_writer: tuple[Header, ...]
    data_version: Header
    content_type: Header


_shared: Final[dict[tuple[str, UUID], _Shared]] = {}


def _remembered(event: PublicEvent, said: tuple[Any, ...]) -> _Shared:
    source, subject = _source_and_subject(event.stream)
    key = event.stream.encode()
    if len(_shared) >= _WRITERS_CACHED_MAX:
        _shared.clear()  # who goes on is remembered again
    shared = _shared[event.stream, event.writer_id] = _Shared(
        said=said,
        key=key,
        of_stream=(
            ("ce_specversion", SPEC_VERSION.encode()),
            ("ce_type", ce_type(event.type).encode()),
            ("ce_source", source.encode()),
            ("ce_subject", subject.encode()),
        ),
        partition_key=("ce_partitionkey", key),
        epoch=("ce_epoch", str(event.epoch).encode()),
        of_writer=(
            ("ce_actor", event.actor.encode()),
            ("ce_actorsource", event.actor_source.encode()),
            ("ce_writerid", str(event.writer_id).encode()),
        ),
        data_version=("ce_dataversion", b"%d" % event.data_version),
        content_type=("content-type", event.content_type.encode()),
    )
    return shared


@lru_cache(maxsize=256)
def _recorded_time(time_us: int) -> bytes:
    """All events of a transaction have the same."""
    return rfc3339(time_us).encode()


def _source_and_subject(stream: str) -> tuple[str, str]:
    """The store's own streams belong to no workspace: their subject is the partition."""
    if is_system_stream(stream):
        return SYSTEM_SOURCE, stream.removeprefix(SYSTEM_PREFIX)
    workspace, _, subject = split_stream(stream)
    return f"{SOURCE_PREFIX}{workspace}", subject


# Commands


def command_record(submission: Submission, *, reply_to: str | None = None) -> Record:
    """The record that carries a command; checked against :data:`limits.COMMAND_BYTES_MAX` before it is sent.

    Raises:
        LimitExceeded: the record would be too large.
        Invalid: ``reply_to`` is no reply topic.
    """
    command = submission.command
    if reply_to is not None and not REPLY_TOPIC.match(reply_to):
        raise _invalid("reply_to", REPLY_TOPIC.pattern, reply_to)
    is_metrics = isinstance(command, LogMetrics)
    headers = {
        "ce_specversion": SPEC_VERSION,
        "ce_type": ce_type(command_type(command)),
        "ce_source": f"{SOURCE_PREFIX}{submission.workspace}",
        "ce_subject": split_stream(submission.stream)[2],
        "ce_id": f"{submission.writer_id}:{submission.writer_seq}",
        "ce_time": rfc3339(submission.occurred_at),
        "ce_partitionkey": submission.stream,
        "ce_writerid": str(submission.writer_id),
        "ce_writerseq": str(submission.writer_seq),
        "ce_correlationid": None if submission.correlation_id is None else str(submission.correlation_id),
        "ce_causationid": None if submission.causation_id is None else str(submission.causation_id),
        "ce_hold": "true" if submission.hold else None,
        "reply_to": reply_to,
        "traceparent": submission.traceparent,
        "content-type": submission.content_type if is_metrics else JSON,
    }
    value = bytes(command.batch) if isinstance(command, LogMetrics) else _command_encoder.encode(command)
    record = Record(submission.stream.encode(), value, _encoded(headers))
    if record.size_bytes > limits.COMMAND_BYTES_MAX:
        raise LimitExceeded(
            f"a command may have {limits.COMMAND_BYTES_MAX} bytes, envelope included; it has {record.size_bytes}",
            facts={"field": "command", "limit": limits.COMMAND_BYTES_MAX, "size": record.size_bytes},
        )
    return record


def read_command(
    key: bytes | None, value: bytes | None, headers: Headers, *, actor: Actor
) -> IncomingCommand:
    """The command of a record.

    Args:
        key: must be the stream id of the command; a record under another key would break the stream's order.
        value: the data.
        headers: attributes and transport headers.
        actor: whom the broker's authentication, or the topic's policy, names as sender.

    Raises:
        Invalid: not one of our commands; ``field`` names the header or the place in the value.
    """
    given = _by_name(headers)
    command, content_type = _command(given, value or b"")
    if isinstance(command, INTERNAL_COMMANDS):
        raise _invalid("ce_type", "a command that services may send", command_type(command))
    submission = Submission(
        workspace=_workspace(given),
        command=command,
        writer_id=_writer_id(_required_bytes(given, "ce_writerid")),
        writer_seq=_number(given, "ce_writerseq"),
        occurred_at=from_rfc3339(_required(given, "ce_time")),
        actor=actor,
        door="kafka",
        content_type=content_type,
        hold=given.get("ce_hold") == b"true",
        correlation_id=_optional_uuid(given, "ce_correlationid"),
        causation_id=_optional_uuid(given, "ce_causationid"),
        traceparent=_optional(given, "traceparent"),
    )
    stream = submission.stream
    if key != stream.encode():
        raise _invalid("key", stream, (key or b"").decode(errors="replace"))
    reply_to = _optional(given, "reply_to")
    if reply_to is not None and not REPLY_TOPIC.match(reply_to):
        raise _invalid("reply_to", REPLY_TOPIC.pattern, reply_to)
    return IncomingCommand(submission, reply_to, given.get("ce_correlationid"))


def _command(given: Given, value: bytes) -> tuple[Command, str]:
    name = _plain_type(_required_bytes(given, "ce_type"))
    content_type = _optional(given, "content-type") or JSON
    if len(value) > limits.COMMAND_BYTES_MAX:
        raise LimitExceeded(
            f"a command may have {limits.COMMAND_BYTES_MAX} bytes; it has {len(value)}",
            facts={"field": "value", "limit": limits.COMMAND_BYTES_MAX, "size": len(value)},
        )
    if name == _LOG_METRICS:
        if content_type not in {JSON, MSGPACK}:
            raise _invalid("content-type", f"{JSON} or {MSGPACK}", content_type)
        return LogMetrics(run_id=_required(given, "ce_subject"), batch=msgspec.Raw(value)), content_type
    if content_type != JSON:
        raise _invalid("content-type", JSON, content_type)
    try:
        command: Command = _command_decoder.decode(value)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise Invalid(
            f"value is not a command: {error}", facts={"field": "value", "limit": "schema"}
        ) from None
    if command_type(command) != name:
        raise _invalid("ce_type", ce_type(command_type(command)), ce_type(name))
    return command, content_type


@lru_cache(maxsize=256)
def _plain_type(value: bytes) -> str:
    return plain_type(_text("ce_type", value))


def _workspace(given: Given) -> str:
    source = _required(given, "ce_source")
    if not source.startswith(SOURCE_PREFIX):
        raise _invalid("ce_source", f"{SOURCE_PREFIX}NAME", source)
    return source.removeprefix(SOURCE_PREFIX)


def _encoded(headers: Mapping[str, str | None]) -> tuple[tuple[str, bytes], ...]:
    return tuple((name, value.encode()) for name, value in headers.items() if value is not None)


# Names in the case in which almost everybody writes them.
_USUAL: Final = frozenset(
    (
        *("ce_specversion", "ce_type", "ce_source", "ce_subject", "ce_id", "ce_time", "ce_partitionkey"),
        *("ce_writerid", "ce_writerseq", "ce_correlationid", "ce_causationid", "ce_hold"),
        *("reply_to", "traceparent", "content-type"),
    )
)


def _by_name(headers: Headers) -> Given:
    """Headers by name in lower case; all are UTF-8, and hardly one is looked at as text."""
    given = dict(headers)
    if not given.keys() <= _USUAL:
        given = {name.lower(): value for name, value in headers}
    if not b"".join(given.values()).isascii():
        for name, value in given.items():
            _text(name, value)
    return given


def _text(name: str, value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise _invalid(name, "UTF-8", value.decode(errors="replace")) from None


def _required_bytes(given: Given, name: str) -> bytes:
    value = given.get(name)
    if value is None:
        raise Invalid(f"the record has no header {name}", facts={"field": name, "limit": "required"})
    return value


def _required(given: Given, name: str) -> str:
    return _text(name, _required_bytes(given, name))


def _optional(given: Given, name: str) -> str | None:
    value = given.get(name)
    return None if value is None else _text(name, value)


def _number(given: Given, name: str) -> int:
    digits = _required_bytes(given, name)
    if not (digits.isdigit() and len(digits) <= SEQUENCE_DIGITS):
        raise _invalid(name, "a whole number", digits.decode(errors="replace"))
    return int(digits)


@lru_cache(maxsize=_WRITERS_CACHED_MAX)
def _writer_id(value: bytes) -> UUID:
    """Each writer's id comes with all of its commands."""
    return _uuid("ce_writerid", _text("ce_writerid", value))


def _optional_uuid(given: Given, name: str) -> UUID | None:
    text = _optional(given, name)
    return None if text is None else _uuid(name, text)


def _uuid(name: str, text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise _invalid(name, "a UUID", text) from None


def _invalid(field: str, wanted: str, got: str) -> Invalid:
    return Invalid(
        f"{field} must be {wanted}; got {got[:80]!r}",
        facts={"field": field, "limit": wanted, "size": got[:80]},
    )
