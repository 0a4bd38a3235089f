"""``GET /api/v1/events``: recorded events as they are, for services that fill holes and for auditors."""

from __future__ import annotations

from base64 import b64encode
from typing import Any, Final

from msgspec import Raw

from runfold_events.contract.envelope import JSON, MSGPACK, RecordedEvent
from runfold_events.contract.errors import Invalid
from runfold_services.api.bodies import EventOut, EventsPage
from runfold_services.api.call import Call
from runfold_services.api.negotiation import encode
from runfold_services.api.operations import Answer, Operation
from runfold_services.api.parameters import EventsParams
from runfold_services.backend import Backend

PAGE_BYTES_MAX: Final = 8 * 1024 * 1024  # of bodies; a page ends after the event that crosses it
_READ_EVENTS: Final = 20  # at a time, so that a page of large bodies is never held many times over


async def list_events(call: Call) -> Answer:
    params: EventsParams = call.query
    media, backend = call.format, call.runtime.backend

    async def work() -> Answer:
        token = await backend.token()
        if params.partition not in token.ends:
            raise Invalid(
                f"there is no partition {params.partition}",
                facts={"field": "partition", "limit": len(token.ends) - 1, "size": params.partition},
            )
        events = await _read(backend, params)
        page = EventsPage(
            partition=params.partition,
            next=events[-1].pos + 1 if events else params.from_pos,
            end=token.ends[params.partition],
            events=[_out(event, media) for event in events],
        )
        return Answer(body=encode(page, media), content_type=media)

    return await call.runtime.threads.query(work)


async def _read(backend: Backend, params: EventsParams) -> list[RecordedEvent]:
    events: list[RecordedEvent] = []
    size = 0
    while len(events) < params.limit and size < PAGE_BYTES_MAX:
        wanted = min(_READ_EVENTS, params.limit - len(events))
        more = await backend.events(params.partition, params.from_pos + len(events), wanted)
        for event in more:
            events.append(event)
            size += len(event.body or b"")
            if size >= PAGE_BYTES_MAX:
                break
        if len(more) < wanted:
            break
    return events


def _out(event: RecordedEvent, media: str) -> EventOut:
    envelope = {name: getattr(event, name) for name in EventOut.__struct_fields__ if name != "body"}
    return EventOut(**envelope, body=_body(event, media))


def _body(event: RecordedEvent, media: str) -> Any:
    """In JSON a JSON body stands as stored, byte for byte; in msgpack every body is its bytes."""
    if event.body is None or media == MSGPACK:
        return event.body
    return Raw(event.body) if event.content_type == JSON else b64encode(event.body).decode()


OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/api/v1/events",
        name="listEvents",
        tag="events",
        summary="Recorded events of a partition in order of position",
        run=list_events,
        query=EventsParams,
        answer=EventsPage,
    ),
)
