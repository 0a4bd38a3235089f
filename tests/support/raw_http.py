"""Bytes on a socket, for requests that no proper client would send."""

from __future__ import annotations

import socket
import time
from urllib.parse import urlsplit

from tests.support.http_server import TIMEOUT_S


class RawConnection:
    """One connection to a server."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.host = f"{parts.hostname}:{parts.port}"
        self._socket = socket.create_connection((parts.hostname, parts.port), timeout=TIMEOUT_S)

    def __enter__(self) -> RawConnection:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, data: bytes) -> bool:
        """False when the server no longer takes anything."""
        try:
            self._socket.sendall(data)
        except OSError:
            return False
        return True

    def head(self, method: str, path: str, *headers: str) -> bytes:
        """A request line with Host and ``headers``, and the empty line; characters up to U+00FF are bytes."""
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self.host}", *headers, "", ""]
        return "\r\n".join(lines).encode("latin-1")

    def status(self) -> int:
        """The status of the next answer; 0 when the connection ended without one."""
        first = self.read_until(b"\r\n")
        return int(first.split()[1]) if first.startswith(b"HTTP/1.1 ") else 0

    def read_until(self, mark: bytes, wait_s: float = TIMEOUT_S) -> bytes:
        """Everything up to and with ``mark``, or up to the end of the connection or of ``wait_s``."""
        data = b""
        deadline = time.monotonic() + wait_s
        while mark not in data and time.monotonic() < deadline:
            self._socket.settimeout(max(0.01, deadline - time.monotonic()))
            try:
                chunk = self._socket.recv(1)
            except OSError:
                break
            if not chunk:
                break
            data += chunk
        return data

    def read_to_end(self) -> bytes:
        """Everything until the server closes."""
        data = b""
        try:
            while chunk := self._socket.recv(65_536):
                data += chunk
        except OSError:
            pass
        return data
