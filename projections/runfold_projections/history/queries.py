"""Read audit trails."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec

from runfold_events.contract.codec import decode_event
from runfold_events.contract.envelope import JSON, RecordedEvent
from runfold_events.contract.errors import Invalid
from runfold_events.contract.events import ERASED, AnyEvent
from runfold_projections.history.words import is_late, words_for
from runfold_projections.model import HistoryEntry
from runfold_projections.projection import Row, ViewSnapshot
from runfold_projections.values import as_datetime

_NIL = UUID(int=0)


async def entries(view: ViewSnapshot, stream: str, from_seq: int, limit: int) -> list[HistoryEntry]:
    """The entries of a stream from ``from_seq`` on, at most ``limit``."""
    return [_entry(_recorded(stream, row)) for row in await view.fetch("entries", (stream, from_seq, limit))]


def _recorded(stream: str, row: Row) -> RecordedEvent:
    """The event that the row was made from, as far as the row keeps it."""
    seq, event_id, kind, recorded_at, occurred_at, actor, source, door, data_version, content_type, body = row
    return RecordedEvent(
        id=UUID(bytes=event_id),
        type=kind,
        stream=stream,
        stream_seq=seq,
        partition=0,
        pos=0,
        slice=0,
        epoch=_NIL,
        occurred_at=occurred_at,
        recorded_at=recorded_at,
        actor=actor,
        actor_source=source,
        door=door,
        writer_id=_NIL,
        writer_seq=0,
        data_version=data_version,
        content_type=content_type,
        salt=None,
        digest=b"",
        chain=b"",
        body=body,
    )


def _entry(event: RecordedEvent) -> HistoryEntry:
    body = _read(event)
    return HistoryEntry(
        event_id=event.id,
        stream_seq=event.stream_seq,
        type=event.type,
        recorded_at=as_datetime(event.recorded_at),
        occurred_at=as_datetime(event.occurred_at),
        actor=event.actor,
        actor_source=event.actor_source,
        door=event.door,
        words=words_for(event.actor, event.actor_source, event.type, body),
        late=is_late(body),
        erased=event.type == ERASED,
        body=_facts(event),
    )


def _read(event: RecordedEvent) -> AnyEvent | None:
    """The body; None of a type that this version does not know: it is listed all the same."""
    try:
        return decode_event(event)
    except (Invalid, msgspec.DecodeError):
        return None


def _facts(event: RecordedEvent) -> dict[str, Any] | None:
    if event.content_type != JSON or event.body is None:
        return None
    try:
        return msgspec.json.decode(event.body, type=dict[str, Any])
    except msgspec.DecodeError:
        return None
