"""One keep-alive HTTP/1.1 connection with as little client as possible, so that the server is what is measured."""

from __future__ import annotations

import socket
from typing import Final
from urllib.parse import urlsplit

_HEAD_END: Final = b"\r\n\r\n"
_LENGTH: Final = b"content-length:"
TIMEOUT_S: Final = 60.0


class Connection:
    """Sends requests and reads whole answers."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host = f"{parts.hostname}:{parts.port}"
        self._socket = socket.create_connection((parts.hostname or "127.0.0.1", parts.port or 80), TIMEOUT_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._rest = b""

    def request(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        content_type: str = "application/json",
        headers: str = "",
    ) -> tuple[int, bytes]:
        """Send one request and wait; returns status and body."""
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: {self._host}\r\nContent-Type: {content_type}\r\n"
            f"Content-Length: {len(body)}\r\n{headers}\r\n"
        )
        self._socket.sendall(head.encode() + body)
        return self._answer()

    def expect(
        self, method: str, path: str, body: bytes = b"", content_type: str = "application/json"
    ) -> bytes:
        """Like :meth:`request`; an answer that is no success is an error."""
        status, answer = self.request(method, path, body, content_type)
        if not 200 <= status < 300:
            raise RuntimeError(f"{method} {path} gave {status}: {answer[:500]!r}")
        return answer

    def _answer(self) -> tuple[int, bytes]:
        data = self._rest
        while (end := data.find(_HEAD_END)) < 0:
            data += self._more()
        head = data[:end].lower()
        length = int(head.partition(_LENGTH)[2].split(b"\r\n", 1)[0]) if _LENGTH in head else 0
        body = data[end + len(_HEAD_END) :]
        while len(body) < length:
            body += self._more()
        self._rest = body[length:]
        return int(head.split(b" ", 2)[1]), body[:length]

    def _more(self) -> bytes:
        data = self._socket.recv(262_144)
        if not data:
            raise ConnectionError("the server closed the connection")
        return data

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
