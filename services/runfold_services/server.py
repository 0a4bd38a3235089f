"""One server process: listen, say so, serve, stop cleanly.

The event loop's thread speaks HTTP; :mod:`runfold_services.threads` says where the rest is done. A server is told to
stop by SIGTERM or SIGINT (or :meth:`Server.stop`): it closes its listening sockets, ends live streams, finishes
requests in flight within ``stop_s``, folds what is left and closes the store. A second signal ends the process at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog
from msgspec.structs import replace

from runfold_events.sync import run_sync
from runfold_services.api.app import create_app
from runfold_services.api.auth import check_listen_address, load_credentials
from runfold_services.backend import Backend
from runfold_services.http_server import HttpServer
from runfold_services.process import (
    STUCK_S_MAX,
    calm_collector,
    end_stuck_process,
    listen,
    new_loop_factory,
    patiently,
    say,
    signals_to,
    url_of,
)
from runfold_services.runtime import Runtime
from runfold_services.settings import ServerSettings
from runfold_services.telemetry import configure_logging
from runfold_services.threads import OnLoop, Places

KEEP_ALIVE_S: Final = 75  # longer than the idle time of common clients, so that they close first
CONNECTIONS_MAX: Final = 10_000
FILES_MAX: Final = CONNECTIONS_MAX + 1_000
LOOK_S: Final = 0.05  # how often to look how far others have folded
_log = structlog.stdlib.get_logger("runfold.server")


class Server:
    """A server around an open backend. :meth:`run` blocks; :meth:`stop` may be called from any thread."""

    def __init__(self, backend: Backend, settings: ServerSettings, places: Places | None = None) -> None:
        """Check the settings and listen; connections wait until :meth:`run`.

        Args:
            backend: what is served.
            settings: how.
            places: where the backend may be used; threads, unless it lives on the event loop.

        Raises:
            RunfoldError: the server cannot start with these settings.
        """
        credentials = load_credentials(settings.token, settings.tokens_file)
        check_listen_address(settings.host, credentials)
        self.runtime = Runtime(backend, settings, places)
        self._listener = listen(settings.host, settings.port)
        self.url = url_of(self._listener)
        self._uvicorn = HttpServer(
            create_app(self.runtime, credentials),
            stop_s=round(settings.stop_s) or 1,
            connections_max=CONNECTIONS_MAX,
            keep_alive_s=KEEP_ALIVE_S,
            has_lifespan=True,
        )
        self._loop: asyncio.AbstractEventLoop | None = None
        self.on_stop: Callable[[], None] = lambda: None

    def run(self, on_ready: Callable[[str], None] = lambda url: None) -> None:
        """Serve until told to stop. Calls ``on_ready`` with the URL once requests are answered."""
        with asyncio.Runner(loop_factory=new_loop_factory()) as runner:
            runner.run(self.serve(on_ready))

    def stop(self) -> None:
        """Tell the server to stop. Returns at once."""
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._begin_stop)

    async def serve(self, on_ready: Callable[[str], None] = lambda url: None) -> None:
        """The same as :meth:`run` on the running event loop, for a backend that lives there."""
        self._loop = asyncio.get_running_loop()
        with signals_to(self._loop, self._on_signal):
            self._uvicorn.on_started = lambda: on_ready(self.url)
            await self._uvicorn.serve_until_told(self._listener)

    def _on_signal(self) -> None:
        if self._uvicorn.should_exit:
            self._uvicorn.force_exit = True
        self._begin_stop()

    def _begin_stop(self) -> None:
        _log.info("stopping", in_flight=len(self._uvicorn.server_state.tasks))
        if not self._uvicorn.should_exit:
            self.on_stop()
        self.runtime.begin_stop()
        self._uvicorn.should_exit = True


def serve(backend: Backend, settings: ServerSettings, places: Places | None = None) -> None:
    """What ``runfold up`` does: listen, print the ready line, serve until SIGTERM or SIGINT. Takes ``backend`` over.

    Raises:
        RunfoldError: the server cannot start; the message says why and what to change.
    """
    configure_logging(settings.log_format, settings.log_level)
    try:
        server = Server(backend, settings, places)
    except BaseException:
        run_sync(backend.close())
        raise
    _allow_many_connections()
    calm_collector()
    server.on_stop = lambda: end_stuck_process(settings.stop_s + STUCK_S_MAX)
    server.run(_say_ready)


def _say_ready(url: str) -> None:
    say(f"runfold ready at {url}")


def _allow_many_connections() -> None:
    """Each connection is an open file, and shells start programs with a soft limit of about 1,000 of those."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES_MAX if hard == resource.RLIM_INFINITY else min(FILES_MAX, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def serve_on_loop(open_backend: Callable[[], Awaitable[Backend]], settings: ServerSettings) -> None:
    """As :func:`serve`, for a backend that is opened, used and closed on the event loop.

    Waits while what the backend needs does not answer.

    Raises:
        RunfoldError: the backend cannot be opened for another reason, or the server cannot start.
    """
    configure_logging(settings.log_format, settings.log_level)

    async def serve_here() -> None:
        stopping = asyncio.Event()
        with signals_to(asyncio.get_running_loop(), stopping.set):
            backend = await patiently(open_backend, "api", stopping)
        if backend is None:
            return
        try:
            server = server_on_loop(backend, settings)
        except BaseException:
            await backend.close()
            raise
        server.on_stop = lambda: end_stuck_process(settings.stop_s + STUCK_S_MAX)
        await server.serve(_say_ready)

    with asyncio.Runner(loop_factory=new_loop_factory()) as runner:
        runner.run(serve_here())


def server_on_loop(backend: Backend, settings: ServerSettings) -> Server:
    """A server for a backend that lives on the running event loop; the caller awaits its :meth:`Server.serve`.

    Others fold its views: to ask how far they are is cheap, and live streams wait for the answer.
    """
    looks = replace(
        settings,
        fold_delay_s=min(settings.fold_delay_s, LOOK_S),
        fold_poll_s=min(settings.fold_poll_s, LOOK_S),
    )
    return Server(backend, looks, OnLoop())
