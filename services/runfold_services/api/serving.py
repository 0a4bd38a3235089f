"""Running an operation over ASGI: read, decode, run, answer; and every error as a problem."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import nullcontext
from typing import Any, Final

import msgspec
import structlog
from structlog.contextvars import bound_contextvars

from runfold_events.contract.envelope import JSON, MSGPACK
from runfold_events.contract.errors import RunfoldError, Unavailable
from runfold_events.contract.submission import Actor
from runfold_services.api.call import Call
from runfold_services.api.negotiation import request_format
from runfold_services.api.operations import Answer, Operation, Received
from runfold_services.api.parameters import NoParams, read_parameters
from runfold_services.api.problems import (
    Problem,
    RefusedCommand,
    encode_problem,
    invalid_body,
    problem_headers,
    problem_of,
)
from runfold_services.api.reading import BodyStream, ClientGone, TooLargeBody, linger, read_body
from runfold_services.runtime import Runtime
from runfold_services.telemetry import trace_id_of

ACTOR_KEY: Final = "runfold_actor"  # where the gate leaves the actor in an ASGI scope
HEADERS_KEY: Final = "runfold_headers"  # and the headers, read once
PATH_KEY: Final = "runfold_path"  # and the path as it was sent, apart from its %-escapes
NOBODY: Final = Actor("anonymous", "anonymous")
_log = structlog.stdlib.get_logger("runfold.api")
_STDLIB_LOG: Final = logging.getLogger("runfold.api")


class Endpoint:
    """An ASGI application for one operation."""

    def __init__(self, operation: Operation, runtime: Runtime) -> None:
        self.operation = operation
        self._runtime = runtime
        self._query_type = operation.query or NoParams
        body = operation.body
        if body is None or operation.body_is_raw:
            self._decoders: dict[str, Any] = {}
        else:
            self._decoders = {
                JSON: msgspec.json.Decoder(body),
                MSGPACK: msgspec.msgpack.Decoder(body),
            }

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        began = time.perf_counter()
        trace_id = trace_id_of(scope[HEADERS_KEY].get("traceparent"))
        with nullcontext() if trace_id is None else bound_contextvars(trace_id=trace_id):
            status = await self._answer(scope, receive, send)
            if status is None:
                return
            seconds = time.perf_counter() - began
            self._runtime.tally.request(
                self.operation.name, status, None if self.operation.is_stream else seconds
            )
            if _STDLIB_LOG.isEnabledFor(logging.DEBUG):
                _log.debug("request", operation=self.operation.name, status=status, seconds=round(seconds, 6))

    async def _answer(self, scope: Any, receive: Any, send: Any) -> int | None:
        """Answer; the status, or None when nobody waited for it any more."""
        call: Call | None = None
        try:
            call = await self._read(scope, receive)
            await self._runtime.scopes.check(call)
            answer = await (self.operation.run(call) if call.stream is None else self._receive(call))
        except ClientGone:
            return None
        except asyncio.CancelledError:
            # Only a server that stops cancels: the request took longer than that may take. Its commands, if it had
            # any, may have been committed; the same numbers tell.
            error = Unavailable("the server stopped before it had an answer", facts={"retry_after": 1.0})
            return await send_problem(error, scope, send)
        except TooLargeBody as error:
            return await send_problem(error, scope, send, unread=receive)
        except Exception as error:
            is_unread = call is not None and call.stream is not None and not call.stream.is_read
            return await send_problem(error, scope, send, unread=receive if is_unread else None)
        await _send_answer(answer, receive, send)
        return answer.status

    async def _receive(self, call: Call) -> Answer:
        """Run an operation that receives the content of a file, within the workspace's quota."""
        quotas, stream = self._runtime.quotas, call.stream
        quotas.admit_files(call.workspace)
        try:
            return await self.operation.run(call)
        finally:
            quotas.took_files(call.workspace, 0 if stream is None else stream.received)

    async def _read(self, scope: Any, receive: Any) -> Call:
        operation = self.operation
        headers = scope[HEADERS_KEY]
        query = read_parameters(scope["query_string"], self._query_type)
        raw, content_type = b"", JSON
        stream = None
        if operation.body_is_stream:
            _refuse_encoded(headers)
            stream = BodyStream(receive, headers, self._runtime.bodies)
        if operation.body is not None:
            _refuse_encoded(headers)
            # The type first: what has the wrong one is not worth reading.
            if headers.get("content-length", "0") != "0" or "transfer-encoding" in headers:
                content_type = request_format(headers.get("content-type"))
            raw = await read_body(
                receive, headers.get("content-length"), operation.body_bytes_max, self._runtime.bodies
            )
        received = Received(
            path=scope["path_params"],
            headers=headers,
            query=query,
            body=self._decode(raw, content_type),
            body_bytes=len(raw),
            content_type=content_type,
            stream=stream,
            raw_path=scope[PATH_KEY],
        )
        return Call(self._runtime, operation, scope.get(ACTOR_KEY, NOBODY), received)

    def _decode(self, raw: bytes, content_type: str) -> Any:
        operation = self.operation
        if operation.body is None:
            return None
        if operation.body_is_raw:
            return raw
        if not raw and operation.body_is_optional:
            return operation.body()
        try:
            return self._decoders[content_type].decode(raw)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            raise invalid_body(error) from None


def headers_of(scope: Any) -> dict[str, str]:
    """Headers by lower-case name; of a repeated one the first counts."""
    headers: dict[str, str] = {}
    for name, value in scope["headers"]:
        headers.setdefault(name.decode("latin-1"), value.decode("latin-1"))
    return headers


async def send_problem(error: Exception, scope: Any, send: Any, *, unread: Any = None) -> int:
    """Answer with a problem; returns its status. ``unread``: where the rest of a too large body still comes from."""
    problem = problem_of(error)
    if problem.status >= 500 and not isinstance(error, RunfoldError | RefusedCommand):
        _log.error(
            "a request failed",
            method=scope["method"],
            path=scope["path"],
            exc_info=error,
            status=problem.status,
        )
    await _send_problem(problem, problem_headers(error, problem), send, unread)
    return problem.status


async def _send_problem(problem: Problem, headers: list[tuple[bytes, bytes]], send: Any, unread: Any) -> None:
    body = encode_problem(problem)
    headers = [*headers, (b"content-length", str(len(body)).encode())]
    if unread is not None:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": unread is not None})
    if unread is not None:
        await linger(unread)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _send_answer(answer: Answer, receive: Any, send: Any) -> None:
    headers = [(b"cache-control", b"no-store")]
    if answer.content_type is not None:
        headers.append((b"content-type", answer.content_type.encode()))
    if answer.token is not None:
        headers.append((b"runfold-position", answer.token.encode()))
    headers += [(name.encode(), value.encode("latin-1")) for name, value in answer.headers]
    if answer.location is not None:
        headers.append((b"location", answer.location.encode()))
    if answer.stream is not None:
        await _send_stream(answer.status, headers, answer.stream, receive, send)
        return
    if answer.status != 204:
        headers.append((b"content-length", str(len(answer.body)).encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


async def _send_stream(
    status: int, headers: list[tuple[bytes, bytes]], stream: AsyncIterator[bytes], receive: Any, send: Any
) -> None:
    """Send what the stream yields until it ends or the client goes away."""
    await send({"type": "http.response.start", "status": status, "headers": headers})
    gone = asyncio.ensure_future(_until_gone(receive))
    pump = asyncio.ensure_future(_pump(stream, send))
    try:
        await asyncio.wait({gone, pump}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        gone.cancel()
        pump.cancel()
        await asyncio.gather(gone, pump, return_exceptions=True)
    if not pump.cancelled() and (error := pump.exception()) is not None:
        _log.error("a stream failed", exc_info=error)


async def _pump(stream: AsyncIterator[bytes], send: Any) -> None:
    try:
        async for chunk in stream:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
    finally:
        close = getattr(stream, "aclose", None)
        if close is not None:
            await close()
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _until_gone(receive: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _refuse_encoded(headers: dict[str, str]) -> None:
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding not in {"identity", ""}:
        raise RunfoldError(
            f"Content-Encoding {encoding[:40]!r} is not supported; send the body as it is (metric columns may be "
            "packed inside a batch)",
            code="unsupported_media_type",
            facts={"field": "Content-Encoding", "limit": "identity", "size": encoding[:40]},
        )
