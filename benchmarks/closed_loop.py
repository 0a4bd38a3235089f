"""Keep-alive connections, each with one request on its way: the same client for every side.

One process with a selector, so that what the client costs is small and the same for all. Requests are made before the
clock starts.
"""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct

_HEAD_END: Final = b"\r\n\r\n"
_LENGTH: Final = b"content-length:"
_RECEIVE_BYTES: Final = 262_144
CONNECT_S_MAX: Final = 10.0
SILENCE_S_MAX: Final = 120.0  # without a byte on any connection


class Request(Struct, frozen=True):
    """What is sent, but for the server's address."""

    method: str
    path: str
    body: bytes = b""
    content_type: str = "application/json"
    headers: str = ""

    def encoded(self, host: str) -> bytes:
        head = (
            f"{self.method} {self.path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: {self.content_type}\r\n"
            f"Content-Length: {len(self.body)}\r\n{self.headers}\r\n"
        )
        return head.encode() + self.body


class Ran(Struct, frozen=True):
    """A loop that has ended: when it began, and the last answer of each connection."""

    began: float  # of time.perf_counter()
    last_answers: list[bytes]


class _Line:
    """One connection and what it has still to send."""

    def __init__(self, address: tuple[str, int], requests: list[bytes]) -> None:
        self.socket = socket.create_connection(address, CONNECT_S_MAX)
        self.socket.settimeout(SILENCE_S_MAX)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.left = iter(requests)
        self.answer = b""
        self._received = b""

    def send_next(self) -> bool:
        """Send the next request; False when there is none."""
        request = next(self.left, None)
        if request is not None:
            self.socket.sendall(request)
        return request is not None

    def receive(self) -> bool:
        """Take what has arrived; True when an answer is complete. Anything but a success is an error."""
        data = self.socket.recv(_RECEIVE_BYTES)
        if not data:
            raise ConnectionError("the server closed the connection")
        self._received += data
        head, found, body = self._received.partition(_HEAD_END)
        if not found:
            return False
        lowered = head.lower()
        length = int(lowered.partition(_LENGTH)[2].split(b"\r\n", 1)[0]) if _LENGTH in lowered else 0
        if len(body) < length:
            return False
        if not head.split(b" ", 2)[1].startswith(b"2"):
            raise RuntimeError(f"refused: {head.splitlines()[0]!r} {body[:500]!r}")
        self.answer, self._received = body[:length], body[length:]
        return True


def run(url: str, scripts: Sequence[Sequence[Request]]) -> Ran:
    """Send each script over a connection of its own; returns when the last answer is there.

    Raises:
        RuntimeError: a request was refused, or nothing came for :data:`SILENCE_S_MAX`.
    """
    parts = urlsplit(url)
    address = (parts.hostname or "127.0.0.1", parts.port or 80)
    encoded = [[request.encoded(f"{address[0]}:{address[1]}") for request in script] for script in scripts]
    lines = [_Line(address, requests) for requests in encoded]
    try:
        with selectors.DefaultSelector() as selector:
            for line in lines:
                selector.register(line.socket, selectors.EVENT_READ, line)
            began = time.perf_counter()
            _exchange(selector, lines)
        return Ran(began, [line.answer for line in lines])
    finally:
        for line in lines:
            line.socket.close()


def _exchange(selector: selectors.BaseSelector, lines: Sequence[_Line]) -> None:
    waiting = sum([line.send_next() for line in lines])
    while waiting:
        ready = selector.select(SILENCE_S_MAX)
        if not ready:
            raise RuntimeError(f"no answer within {SILENCE_S_MAX:g} s")
        for key, _ in ready:
            line: _Line = key.data
            if line.receive() and not line.send_next():
                waiting -= 1
