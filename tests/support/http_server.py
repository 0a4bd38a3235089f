"""A real server on a free port in a thread of the test's process, and plain HTTP to talk to it."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from runfold_services.backend import Backend
from runfold_services.server import Server
from runfold_services.settings import ServerSettings

TIMEOUT_S = 20.0

# Who may come in to a server of the fixture `guarded`.
ALICE = {"Authorization": "Bearer alice-token"}  # an admin
BOB = {"Authorization": "Bearer bob-token"}


class Reply(Struct):
    """What a request got."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, read as JSON."""
        return msgspec.json.decode(self.body)

    @property
    def code(self) -> str:
        """The stable code of a problem."""
        assert self.headers["content-type"] == "application/problem+json", self
        problem = self.json
        assert problem["status"] == self.status
        return str(problem["code"])


class Client:
    """One kept-alive connection."""

    def __init__(self, url: str, headers: Mapping[str, str] | None = None) -> None:
        self.url = url
        parts = urlsplit(url)
        assert parts.hostname is not None
        self._headers = dict(headers or {})
        self._connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=TIMEOUT_S)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def timeout(self, seconds: float) -> None:
        """How long to wait for answers from now on."""
        self._connection.timeout = seconds

    def request(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Reply:
        """Send ``body`` (bytes as they are, anything else as JSON) and read the whole answer."""
        sent = dict(self._headers)
        if body is not None and not isinstance(body, bytes):
            body = msgspec.json.encode(body)
            sent["Content-Type"] = "application/json"
        sent |= headers or {}
        self._connection.request(method, path, body=body, headers=sent)
        response = self._connection.getresponse()
        named = {name.lower(): value for name, value in response.getheaders()}
        return Reply(response.status, named, response.read())

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Reply:
        return self.request("GET", path, headers=headers)

    def post(self, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Reply:
        return self.request("POST", path, body, headers)


def await_others(location: str, workspace: str) -> None:
    """Wait until the views have what anyone was answered at ``location``; those of a folder always have.

    A question that names no position waits for all that (``RUNFOLD_FRESH_WAIT_S``). The SDK of a test process names
    one: what that process itself has heard of, in this test or an earlier one.
    """
    if not location.startswith("http"):
        return
    with Client(location) as client:
        reply = client.get(f"/api/v1/workspaces/{workspace}/runs?limit=1")
        assert reply.status in {200, 404}, reply


@contextmanager
def running(backend: Backend, settings: ServerSettings | None = None) -> Generator[Server]:
    """A server that answers requests; stopped at the end of the block."""
    server = Server(backend, settings or ServerSettings(port=0, stop_s=5.0))
    ready = threading.Event()

    def note_ready(url: str) -> None:
        ready.set()

    thread = threading.Thread(target=server.run, args=(note_ready,), name="server")
    thread.start()
    try:
        assert ready.wait(TIMEOUT_S), "the server did not start"
        yield server
    finally:
        server.stop()
        thread.join(TIMEOUT_S)
        assert not thread.is_alive(), "the server did not stop"
