"""A client of server-sent events, as a browser is one."""

from __future__ import annotations

import http.client
import time
from typing import Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from tests.support.http_server import TIMEOUT_S


class Event(Struct):
    """One message; ``id`` only where it carried one."""

    name: str
    data: Any
    id: str | None = None


class EventStream:
    """An open stream. ``last_id`` is what a browser would send as Last-Event-ID."""

    def __init__(self, url: str, path: str, last_id: str | None = None) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        self._connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=TIMEOUT_S)
        headers = {"Accept": "text/event-stream"}
        if last_id is not None:
            headers["Last-Event-ID"] = last_id
        self._connection.request("GET", path, headers=headers)
        self.response = self._connection.getresponse()
        self.last_id = last_id
        self.comments = 0

    def __enter__(self) -> EventStream:
        return self

    def __exit__(self, *_: object) -> None:
        self.response.close()
        self._connection.close()

    def next(self) -> Event | None:
        """The next message; None when the server ended the stream."""
        name, data, identity = "message", "", None
        while line := self.response.readline():
            text = line.decode().rstrip("\n")
            if text == "":
                if data:
                    return Event(name, msgspec.json.decode(data), identity)
                name, identity = "message", None
                continue
            field, _, value = text.partition(": ")
            match field:
                case "":
                    self.comments += 1
                case "event":
                    name = value
                case "data":
                    data += value
                case "id":
                    self.last_id = identity = value
                case _:
                    raise AssertionError(f"no field of an event stream: {text!r}")
        return None

    def until(self, name: str, wait_s: float = 10.0) -> Event:
        """The next message called ``name``; others are passed over."""
        deadline = time.monotonic() + wait_s
        while time.monotonic() < deadline:
            event = self.next()
            assert event is not None, f"the stream ended before {name!r} came"
            if event.name == name:
                return event
        raise AssertionError(f"{name!r} did not come")
