"""What is asked beside the clock: one connection, made anew when a server has closed it for being idle."""

from __future__ import annotations

from typing import Final

from benchmarks.closed_loop import Request
from benchmarks.connection import Connection


class Asking:
    """Requests one by one."""

    def __init__(self, url: str) -> None:
        self._url: Final = url
        self._connection: Connection | None = None

    def expect(self, request: Request) -> bytes:
        """The answer's body; an answer that is no success is an error."""
        status, answer = self._request(request)
        if not 200 <= status < 300:
            raise RuntimeError(f"{request.method} {request.path} gave {status}: {answer[:500]!r}")
        return answer

    def status(self, request: Request) -> int:
        """The answer's status."""
        return self._request(request)[0]

    def _request(self, request: Request) -> tuple[int, bytes]:
        given = (request.method, request.path, request.body, request.content_type, request.headers)
        if self._connection is not None:
            try:
                return self._connection.request(*given)
            except ConnectionError:
                self._connection.close()
        self._connection = Connection(self._url)
        return self._connection.request(*given)
