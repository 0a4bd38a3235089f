"""``…/runs/{id}/stream`` and ``…/stream``: server-sent events, spoken after the views have committed.

Every group of messages ends with one that carries the position as its ``id``, so a client that was cut off in the
middle of a group gets all of it again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Final

import msgspec

from runfold_events.contract.errors import Unavailable
from runfold_events.contract.tokens import Token, parse_token
from runfold_services.api.call import Call
from runfold_services.api.changes import Message, metrics_message, run_message
from runfold_services.api.live import Follower, Group, StreamEnded
from runfold_services.api.operations import Answer, Operation
from runfold_services.api.routes.runs import RUN

EVENT_STREAM: Final = "text/event-stream"


async def follow_run(call: Call) -> Answer:
    workspace, run_id = call.workspace, call.run_id
    await call.look_up(
        lambda views: views.run(workspace, run_id)
    )  # an unknown run is a 404, not a silent stream
    return await _follow(call, Follower(workspace, run_id))


async def follow_workspace(call: Call) -> Answer:
    return await _follow(call, Follower(call.workspace, None))


async def _follow(call: Call, follower: Follower) -> Answer:
    last = call.headers.get("last-event-id")
    seen = parse_token(last, "Last-Event-ID") if last else None
    if not call.runtime.live.has_room:
        raise Unavailable("too many live streams; ask again later", facts={"retry_after": 5.0})
    # What was committed before the request is no news: the stream begins where the views stand now.
    views = call.runtime.backend.views
    call.runtime.live.advance(await call.runtime.threads.query(lambda: views.reach(None)))
    return Answer(content_type=EVENT_STREAM, stream=_stream(call, follower, seen))


async def _stream(call: Call, follower: Follower, seen: Token | None) -> AsyncIterator[bytes]:
    live, wait_s = call.runtime.live, call.runtime.settings.stream_keep_alive_s
    live.join(follower)
    try:
        yield _keep_alive(None)  # the client learns at once that it is heard
        start = await follower.start
        if start is None:
            return
        if seen is None:
            yield await _snapshot(call, follower, start)
        elif seen != start:
            yield render(await live.changes(seen, start, follower))
        while True:
            group = await follower.next(wait_s)
            yield _keep_alive(live.told) if group is None else render(group)
    except StreamEnded:
        return
    finally:
        live.leave(follower)


async def _snapshot(call: Call, follower: Follower, start: Token) -> bytes:
    """What a client needs before it can follow: the run as it is, or only where the stream begins."""
    run_id = follower.run_id
    if run_id is None:
        return _text("ready", msgspec.json.encode({"position": str(start)}), start)
    views = call.runtime.backend.views
    run = await call.runtime.threads.query(lambda: views.run(follower.workspace, run_id))
    return render(Group(start, (run_message(run), metrics_message(run))))


def _keep_alive(position: Token | None) -> bytes:
    """A comment; with the position, so that a client whose subject is quiet resumes near the end."""
    return b": still here\n\n" if position is None else f": still here\nid: {position}\n\n".encode()


def render(group: Group) -> bytes:
    """A group as text of an event stream."""
    if group.resync:
        return _text("resync", msgspec.json.encode({"position": str(group.token)}), group.token)
    return _texts(group.messages, group.token)


def _texts(messages: Sequence[Message], token: Token) -> bytes:
    if not messages:
        return f"id: {token}\n\n".encode()
    *before, last = messages
    texts = [_text(message.event, message.data, None) for message in before]
    return b"".join([*texts, _text(last.event, last.data, token)])


def _text(event: str, data: bytes, token: Token | None) -> bytes:
    # JSON holds no line breaks, so one data line is enough.
    end = b"\n\n" if token is None else f"\nid: {token}\n\n".encode()
    return b"event: " + event.encode() + b"\ndata: " + data + end


OPERATIONS: Final = (
    Operation(
        method="GET",
        path=RUN + "/stream",
        name="followRun",
        tag="streams",
        summary="Follow a run: events run, metrics, history, and resync (load anew)",
        run=follow_run,
        answer_type=EVENT_STREAM,
        is_stream=True,
    ),
    Operation(
        method="GET",
        path="/api/v1/workspaces/{workspace}/stream",
        name="followWorkspace",
        tag="streams",
        summary="Follow a workspace: events ready, run, metrics, experiment, and resync (load anew)",
        run=follow_workspace,
        answer_type=EVENT_STREAM,
        is_stream=True,
    ),
)
