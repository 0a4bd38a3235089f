"""Recorded events as they are, of a partition for services that fill holes, of a run for auditors."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Awaitable, Callable
from typing import Any, Final

from msgspec import Raw

from runfold_events.contract.envelope import JSON, MSGPACK, RecordedEvent
from runfold_events.contract.errors import Invalid
from runfold_services.api.bodies import EventOut, EventsPage, RunEvents
from runfold_services.api.call import Call
from runfold_services.api.negotiation import encode
from runfold_services.api.operations import Answer, Operation
from runfold_services.api.parameters import EventsParams, RunEventsParams
from runfold_services.api.routes.runs import RUN

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
        events, _ = await _read(
            lambda done, count: backend.events(params.partition, params.from_pos + done, count), params.limit
        )
        page = EventsPage(
            partition=params.partition,
            next=events[-1].pos + 1 if events else params.from_pos,
            end=token.ends[params.partition],
            events=[_out(event, media) for event in events],
        )
        return Answer(body=encode(page, media), content_type=media)

    return await call.runtime.threads.query(work)


async def list_run_events(call: Call) -> Answer:
    """Asked of the store, not of a view: what a run's history was made from, with what proves it."""
    params: RunEventsParams = call.query
    workspace, run_id = call.workspace, call.run_id
    media, backend = call.format, call.runtime.backend

    async def work() -> Answer:
        events, is_end = await _read(
            lambda done, count: backend.run_events(workspace, run_id, params.from_seq + done, count),
            params.limit,
        )
        page = RunEvents(
            next=None if is_end else events[-1].stream_seq + 1,
            events=[_out(event, media) for event in events],
        )
        return Answer(body=encode(page, media), content_type=media)

    return await call.runtime.threads.query(work)


async def _read(
    read: Callable[[int, int], Awaitable[list[RecordedEvent]]], limit: int
) -> tuple[list[RecordedEvent], bool]:
    """Events up to a page's limits, and whether there are no more.

    Args:
        read: answers events after so many that were read already, at most so many.
        limit: the most events of the page.
    """
    events: list[RecordedEvent] = []
    size = 0
    while len(events) < limit and size < PAGE_BYTES_MAX:
        wanted = min(_READ_EVENTS, limit - len(events))
        more = await read(len(events), wanted)
        for event in more:
            events.append(event)
            size += len(event.body or b"")
            if size >= PAGE_BYTES_MAX:
                return events, False
        if len(more) < wanted:
            return events, True
    return events, False


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
    Operation(
        method="GET",
        path=RUN + "/events",
        name="listRunEvents",
        tag="events",
        summary="Recorded events of a run in order, metric batches too, with what the hash chain covers",
        run=list_run_events,
        query=RunEventsParams,
        answer=RunEvents,
    ),
)
