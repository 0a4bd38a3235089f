"""uvicorn's HTTP protocol with a bound on what comes before a body (httptools has none), and with our errors.

It also sends an answer in one piece: head and body in two would be two system calls, and two that the client makes.
"""

from __future__ import annotations

import asyncio
from itertools import chain
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from runfold_events.contract.errors import Invalid, LimitExceeded, RunfoldError
from runfold_services.api.problems import encode_problem, problem_headers, problem_of

HEAD_BYTES_MAX: Final = 128 * 1024  # request line and headers
HELD_BYTES_MAX: Final = 64 * 1024  # of an answer; more is sent as it comes


class WholeAnswers:
    """A transport that holds back what is written until the answer is complete, or the event loop comes round."""

    def __init__(self, transport: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held: list[bytes] = []
        self._held_bytes = 0

    def write(self, data: bytes) -> None:
        """Send ``data`` soon, in its turn."""
        if not self._held:
            self._loop.call_soon(self.flush)
        self._held.append(data)
        self._held_bytes += len(data)
        if self._held_bytes > HELD_BYTES_MAX:
            self.flush()

    def flush(self) -> None:
        """Send what is held now."""
        if self._held:
            data = b"".join(self._held)
            self._held.clear()
            self._held_bytes = 0
            self._transport.write(data)

    def close(self) -> None:
        """Close once everything is sent."""
        self.flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        """Everything else is the transport's own."""
        return getattr(self._transport, name)


class BoundedHttpProtocol(HttpToolsProtocol):
    """Answers a problem and closes when a request is no HTTP or its head is over :data:`HEAD_BYTES_MAX`."""

    _head_bytes = 0  # of the head that is being received; the parser may hold all of them
    _data_bytes = 0  # that are being parsed
    _is_in_head = False
    _is_head_too_large = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(WholeAnswers(transport, self.loop))  # type: ignore[arg-type]

    def on_response_complete(self) -> None:
        self.transport.flush()  # type: ignore[attr-defined]
        super().on_response_complete()

    def data_received(self, data: bytes) -> None:
        self._data_bytes = len(data)
        super().data_received(data)
        if self._is_in_head and not self.transport.is_closing():
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES_MAX:
                self._is_head_too_large = True
                self.send_400_response("")

    def on_message_begin(self) -> None:
        self._head_bytes = 0
        self._is_in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        # What came of it is no less than it is, and rarely too much.
        if self._head_bytes + self._data_bytes > HEAD_BYTES_MAX and self._size_of_head() > HEAD_BYTES_MAX:
            self._is_head_too_large = True
            raise ValueError("the head is too large")  # ends parsing; answered by send_400_response
        super().on_headers_complete()

    def _size_of_head(self) -> int:
        return len(self.url) + sum(map(len, chain.from_iterable(self.headers)))

    def send_400_response(self, msg: str) -> None:
        """What uvicorn calls for any request that it cannot parse."""
        error: RunfoldError
        if self._is_head_too_large:
            error = LimitExceeded(
                f"request line and headers may have {HEAD_BYTES_MAX} bytes",
                code="headers_too_large",
                facts={"field": "headers", "limit": HEAD_BYTES_MAX},
            )
        else:
            error = Invalid("this is no HTTP request that can be read", facts={"field": "request"})
        problem = problem_of(error)
        body = encode_problem(problem)
        headers = [
            *self.server_state.default_headers,
            *problem_headers(error, problem),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        lines = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
        self.transport.write(STATUS_LINE[problem.status] + lines + b"\r\n" + body)
        self.transport.close()
