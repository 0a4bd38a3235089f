"""A server that answers as it is told: to show what a client does when the real one would not behave so."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import UUID

import msgspec
from msgspec import Struct

from runfold._transport import Batch, Item
from runfold_events.contract.codec import decode_command_batch
from runfold_events.contract.envelope import MSGPACK
from runfold_services.service import HeartbeatAnswer
from tests.support.sdk import Wire


class Heard(Struct):
    """A request."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Reply(Struct):
    """What is answered; ``status`` 0: the connection is closed without an answer."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = {}


DROPPED = Reply(0)
Answerer = Callable[[Heard], Reply]


def packed(value: Any, status: int = 200) -> Reply:
    return Reply(status, msgspec.msgpack.encode(value), {"Content-Type": MSGPACK})


def problem(status: int, code: str, detail: str, **facts: Any) -> Reply:
    body = {"type": "x", "title": "x", "status": status, "code": code, "detail": detail, "facts": facts}
    return Reply(status, msgspec.json.encode(body), {"Content-Type": "application/problem+json"})


class FakeServer:
    """Listens on a free port; ``answer`` may be replaced at any time."""

    def __init__(self, answer: Answerer) -> None:
        self.answer: Answerer = answer
        self.heard: list[Heard] = []
        self.connections = 0
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                fake.connections += 1
                super().setup()

            def handle_any(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                headers = {name.lower(): value for name, value in self.headers.items()}
                heard = Heard(self.command, self.path, headers, self.rfile.read(length))
                fake.heard.append(heard)
                reply = fake.answer(heard)
                if not reply.status:
                    self.close_connection = True
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(reply.body)))
                self.end_headers()
                self.wfile.write(reply.body)

            do_GET = do_POST = do_PUT = do_DELETE = handle_any  # noqa: N815  # http.server's names

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


@contextmanager
def fake_server(answer: Answerer) -> Generator[FakeServer]:
    server = FakeServer(answer)
    try:
        yield server
    finally:
        server.close()


def over_ledger(wire: Wire) -> Answerer:
    """Commands and heartbeats as a real server would take them."""

    def answer(heard: Heard) -> Reply:
        if heard.path == "/api/v1/commands":
            batch = decode_command_batch(MSGPACK, heard.body)
            items = [
                Item(item.command, item.writer_seq or 0, item.occurred_at or 0) for item in batch.commands
            ]
            writer = UUID(heard.headers["runfold-writer"])
            done = wire.submit(
                Batch(workspace=batch.workspace, writer_id=writer, items=items, hold=batch.hold)
            )
            return packed({"token": done.token, "outcomes": done.outcomes})
        if heard.method == "PUT":
            return packed(HeartbeatAnswer((), 120.0))
        return Reply(204)

    return answer
