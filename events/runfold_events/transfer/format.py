"""The lines of an exported ledger, version 1: structs, bytes, and events to lines and back.

Every line is one JSON object whose ``kind`` says what it is. A file is a header, then for each stream its events, its
run numbers and its writer marks, then a trailer. What stands here is read by every later version.
"""

from __future__ import annotations

from typing import Final
from uuid import UUID

import msgspec
from msgspec import Struct

from runfold_events.contract import limits
from runfold_events.contract.envelope import JSON, RecordedEvent
from runfold_events.contract.errors import Invalid
from runfold_events.contract.events import ArtifactRecorded
from runfold_events.ports import Range, WriterMark

FORMAT: Final = "runfold-ledger"
VERSION: Final = 1
# JSON text may take six bytes for one of a body; base64 takes less.
LINE_BYTES_MAX: Final = 6 * limits.EVENT_BODY_BYTES_MAX + limits.EVENT_ENVELOPE_BYTES_MAX


class _Line(
    Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, tag_field="kind"
):
    """One line. An unknown field is refused: what cannot be kept must not be dropped in silence."""


class Header(_Line, frozen=True, kw_only=True, tag="header"):
    """The first line: what the file is, and where its store stood."""

    format: str
    version: int
    epoch: UUID
    partitions: int
    ends: tuple[int, ...]  # by partition, exclusive; of the whole store
    chain_heads: tuple[str, ...]  # hex; chain value of the event before each end
    workspace: str | None = None  # None: the whole ledger
    events: int  # in this file


class EventLine(_Line, frozen=True, kw_only=True, tag="event"):
    """One event: its envelope field by field, and its body as the bytes that were hashed."""

    id: UUID
    type: str
    stream: str
    stream_seq: int
    partition: int
    pos: int
    slice: int
    epoch: UUID
    occurred_at: int  # UTC µs, as all times here
    recorded_at: int
    actor: str
    actor_source: str
    door: str
    writer_id: UUID
    writer_seq: int
    causation_id: UUID | None = None
    correlation_id: UUID | None = None
    traceparent: str | None = None
    data_version: int
    content_type: str
    subject: str | None = None
    key_id: str | None = None
    digest: str  # hex
    chain: str  # hex
    salt: bytes | None = None  # base64; absent with the body: the event was erased
    body_text: str | None = None  # JSON as it stands, where the body is that and UTF-8
    body_base64: bytes | None = None  # any other body


class NumbersLine(_Line, frozen=True, kw_only=True, tag="run_numbers"):
    """How far an experiment has given out run numbers."""

    stream: str
    next_number: int


class MarkLine(_Line, frozen=True, kw_only=True, tag="writer_mark"):
    """How far one writer has come on one stream."""

    stream: str
    writer_id: UUID
    highest: int
    digest: str | None = None  # hex
    gaps: tuple[Range, ...] = ()
    lost: tuple[Range, ...] = ()
    refused_creation: bool = False
    announced: int = 0


class Trailer(_Line, frozen=True, kw_only=True, tag="trailer"):
    """The last line: a file without it was cut, and one whose digest differs was changed."""

    events: int
    run_numbers: int
    writer_marks: int
    sha256: str  # hex; over the bytes of all lines before this one, their line ends included


Line = Header | EventLine | NumbersLine | MarkLine | Trailer


class _Probe(Struct):
    """Enough of a first line to tell which version it is of."""

    format: str
    version: int


_encode = msgspec.json.Encoder().encode
_lines: msgspec.json.Decoder[Line] = msgspec.json.Decoder(Line)
_probes: msgspec.json.Decoder[_Probe] = msgspec.json.Decoder(_Probe)


def encode_line(line: Line) -> bytes:
    """The bytes of a line, its end included."""
    return _encode(line) + b"\n"


def decode_line(data: bytes) -> Line:
    """The line of ``data``.

    Raises:
        Invalid: it is none of this version.
    """
    try:
        return _lines.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid(str(error), facts={"field": "line"}) from None


def decode_header(data: bytes) -> Header:
    """The header of a file that begins with ``data``.

    Raises:
        Invalid: the file is something else, or of another version.
    """
    try:
        probe = _probes.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        probe = None
    if probe is None or probe.format != FORMAT:
        raise Invalid(
            "this is no exported ledger; `runfold ledger export` writes one", facts={"field": "format"}
        )
    if probe.version != VERSION:
        raise Invalid(
            f"the file has format version {probe.version}; this program reads version {VERSION}: "
            "import it with the runfold that wrote it, or upgrade",
            facts={"field": "version", "limit": VERSION, "size": probe.version},
        )
    line = decode_line(data)
    if not isinstance(line, Header):
        raise Invalid("the first line is no header", facts={"field": "kind"})
    return line


def event_line(event: RecordedEvent) -> EventLine:
    """The line of an event; its body can be had back byte for byte."""
    text = _text(event)
    return EventLine(
        id=event.id,
        type=event.type,
        stream=event.stream,
        stream_seq=event.stream_seq,
        partition=event.partition,
        pos=event.pos,
        slice=event.slice,
        epoch=event.epoch,
        occurred_at=event.occurred_at,
        recorded_at=event.recorded_at,
        actor=event.actor,
        actor_source=event.actor_source,
        door=event.door,
        writer_id=event.writer_id,
        writer_seq=event.writer_seq,
        causation_id=event.causation_id,
        correlation_id=event.correlation_id,
        traceparent=event.traceparent,
        data_version=event.data_version,
        content_type=event.content_type,
        subject=event.subject,
        key_id=event.key_id,
        digest=event.digest.hex(),
        chain=event.chain.hex(),
        salt=event.salt,
        body_text=text,
        body_base64=event.body if text is None else None,
    )


def _text(event: RecordedEvent) -> str | None:
    if event.body is None or event.content_type != JSON:
        return None
    try:
        return event.body.decode()
    except UnicodeDecodeError:
        return None


def event_of(line: EventLine) -> RecordedEvent:
    """The event of a line, with the place it had in its store.

    Raises:
        Invalid: a digest is no hex, or the body is there twice.
    """
    if line.body_text is not None and line.body_base64 is not None:
        raise Invalid("the event has two bodies", facts={"field": "body_text"})
    return RecordedEvent(
        id=line.id,
        type=line.type,
        stream=line.stream,
        stream_seq=line.stream_seq,
        partition=line.partition,
        pos=line.pos,
        slice=line.slice,
        epoch=line.epoch,
        occurred_at=line.occurred_at,
        recorded_at=line.recorded_at,
        actor=line.actor,
        actor_source=line.actor_source,
        door=line.door,
        writer_id=line.writer_id,
        writer_seq=line.writer_seq,
        causation_id=line.causation_id,
        correlation_id=line.correlation_id,
        traceparent=line.traceparent,
        data_version=line.data_version,
        content_type=line.content_type,
        subject=line.subject,
        key_id=line.key_id,
        salt=line.salt,
        digest=_from_hex(line.digest, "digest"),
        chain=_from_hex(line.chain, "chain"),
        body=line.body_base64 if line.body_text is None else _bytes(line.body_text),
    )


def _from_hex(text: str, field: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise Invalid(
            f"{field} must be hex digits, not {text[:80]!r}", facts={"field": field, "size": text[:80]}
        ) from None


def _bytes(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise Invalid("body_text holds half a surrogate pair", facts={"field": "body_text"}) from None


def mark_line(mark: WriterMark) -> MarkLine:
    """The line of a writer mark."""
    return MarkLine(
        stream=mark.stream,
        writer_id=mark.writer_id,
        highest=mark.highest,
        digest=None if mark.digest is None else mark.digest.hex(),
        gaps=mark.gaps,
        lost=mark.lost,
        refused_creation=mark.refused_creation,
        announced=mark.announced,
    )


def mark_of(line: MarkLine) -> WriterMark:
    """The writer mark of a line."""
    return WriterMark(
        line.stream,
        line.writer_id,
        line.highest,
        None if line.digest is None else _from_hex(line.digest, "digest"),
        line.gaps,
        line.lost,
        line.refused_creation,
        line.announced,
    )


_ARTIFACT_RECORDED: Final = str(ArtifactRecorded.__struct_config__.tag)


def records_content(event: RecordedEvent) -> bool:
    """Whether an event says that there is a file, whose content is kept elsewhere."""
    return event.type == _ARTIFACT_RECORDED and not event.is_erased
