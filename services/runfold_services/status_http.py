"""How a process without an API says how it is: ``/health/live``, ``/health/ready``, ``/metrics``."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
import structlog

from runfold_events.contract.envelope import JSON
from runfold_services import metrics as m
from runfold_services.http_server import HttpServer

PATHS: Final = ("/health/live", "/health/ready", "/metrics")
CONNECTIONS_MAX: Final = 100
STOP_S_MAX: Final = 2
_log = structlog.stdlib.get_logger("runfold.status")

Health = Callable[[], tuple[bool, dict[str, Any]]]  # ready?, and what else there is to say
Scrape = Callable[[], Awaitable[list[m.Samples]]]


class StatusServer:
    """Answers on one address while the process does its work."""

    def __init__(self, listener: socket.socket, health: Health, scrape: Scrape) -> None:
        self._listener = listener
        self._health = health
        self._scrape = scrape
        self._server = HttpServer(self._answer, stop_s=STOP_S_MAX, connections_max=CONNECTIONS_MAX)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to answer."""
        self._task = self._server.begin(self._listener, "runfold-status")

    async def stop(self) -> None:
        """Answer what was asked, then let go of the address."""
        self._server.should_exit = True
        if self._task is not None:
            await self._task

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        status, content_type, body = await self._respond(scope["method"], scope["path"])
        headers = [
            (b"content-type", content_type.encode()),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"no-store"),
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    async def _respond(self, method: str, path: str) -> tuple[int, str, bytes]:
        if path not in PATHS:
            return 404, JSON, _problem(f"there is nothing at {path[:200]}; there are {', '.join(PATHS)}")
        if method not in {"GET", "HEAD"}:
            return 405, JSON, _problem(f"{method[:20]} is not for {path}; GET is")
        if path == "/metrics":
            return await self._metrics()
        is_ready, facts = self._health()
        is_well = is_ready or path == "/health/live"
        return 200 if is_well else 503, JSON, msgspec.json.encode(facts)

    async def _metrics(self) -> tuple[int, str, bytes]:
        try:
            return 200, m.CONTENT_TYPE, m.exposition(await self._scrape())
        except Exception as error:
            _log.warning("metrics cannot be told", why=f"{type(error).__name__}: {error}")
            return 503, JSON, _problem(f"the metrics cannot be told now: {type(error).__name__}")


def _problem(detail: str) -> bytes:
    return msgspec.json.encode({"detail": detail})
