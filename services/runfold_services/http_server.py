"""uvicorn as every process here uses it: our protocol, our log, and no signal handling of its own."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any, Final

import uvicorn

from runfold_events.contract.errors import Unavailable
from runfold_services.api.problems import encode_problem, problem_headers, problem_of
from runfold_services.bounded_http import BoundedHttpProtocol

RETRY_AFTER_S: Final = 1.0


async def send_crowded(connections_max: int, send: Any) -> None:
    """Answer 503 and close the connection, so that there is room."""
    error = Unavailable(
        f"the server has its {connections_max} connections; come again later",
        facts={"retry_after": RETRY_AFTER_S, "limit": connections_max},
    )
    problem = problem_of(error)
    body = encode_problem(problem)
    headers = [
        *problem_headers(error, problem),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class HttpServer(uvicorn.Server):
    """uvicorn without its signal handling, which ends a stopped process by the signal instead of with 0."""

    def __init__(
        self,
        app: Any,
        *,
        stop_s: int,
        connections_max: int,
        keep_alive_s: int = 5,
        has_lifespan: bool = False,
    ) -> None:
        """
        Args:
            app: an ASGI application.
            stop_s: how long requests in flight may take once it was told to stop.
            connections_max: more are answered 503.
            keep_alive_s: how long a connection may be idle.
            has_lifespan: the application wants to know of start and stop.
        """
        self._connections_max = connections_max
        super().__init__(
            uvicorn.Config(
                self._unless_crowded(app),
                interface="asgi3",
                http=BoundedHttpProtocol,
                ws="none",
                lifespan="on" if has_lifespan else "off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=keep_alive_s,
                timeout_graceful_shutdown=stop_s,
            )
        )
        self.on_started: Callable[[], None] = lambda: None

    def _unless_crowded(self, app: Any) -> Any:
        """``app``, and a problem with Retry-After over the bound of connections, which uvicorn's own bound lacks."""

        async def answer(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] != "http" or len(self.server_state.connections) <= self._connections_max:
                await app(scope, receive, send)
                return
            await send_crowded(self._connections_max, send)

        return answer

    async def serve_until_told(self, listener: socket.socket) -> None:
        """Serve until ``should_exit`` is set; the socket listens already."""
        await self._serve([listener])

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's, and says so."""
        await super().startup(sockets)
        self.on_started()

    def begin(self, listener: socket.socket, name: str) -> asyncio.Task[None]:
        """:meth:`serve_until_told` as a task."""
        return asyncio.get_running_loop().create_task(self.serve_until_told(listener), name=name)
