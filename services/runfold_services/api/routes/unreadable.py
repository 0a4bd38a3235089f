"""``GET /api/v1/unreadable``: what was kept of the command topic because nobody could handle it. Admins alone: the
bytes are whatever somebody sent, into any workspace."""

from __future__ import annotations

from typing import Final

from msgspec import structs

from runfold_events.unreadable import EntryPage, EntryQuery, EntryRecord
from runfold_services.api.call import Call
from runfold_services.api.negotiation import encode
from runfold_services.api.operations import Answer, Operation
from runfold_services.api.parameters import UnreadableParams


async def list_unreadable(call: Call) -> Answer:
    call.require_admin()
    params: UnreadableParams = call.query
    media, backend = call.format, call.runtime.backend
    query = EntryQuery(**structs.asdict(params))

    async def work() -> Answer:
        return Answer(body=encode(await backend.unreadable(query), media), content_type=media)

    return await call.runtime.threads.query(work)


async def show_unreadable(call: Call) -> Answer:
    call.require_admin()
    media, backend, name = call.format, call.runtime.backend, call.path["name"]

    async def work() -> Answer:
        return Answer(body=encode(await backend.unreadable_record(name), media), content_type=media)

    return await call.runtime.threads.query(work)


OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/api/v1/unreadable",
        name="listUnreadable",
        tag="events",
        summary="Records of the command topic that could not be handled, and losses of the topic; only an admin may",
        run=list_unreadable,
        query=UnreadableParams,
        answer=EntryPage,
        is_admin=True,
    ),
    Operation(
        method="GET",
        path="/api/v1/unreadable/{name}",
        name="showUnreadable",
        tag="events",
        summary="One of these records with its bytes; only an admin may",
        run=show_unreadable,
        answer=EntryRecord,
        is_admin=True,
    ),
)
