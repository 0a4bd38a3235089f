"""One process of a role beside the API: start patiently, say so, work until told, drain, stop.

What it needs may come up later than it does: while Postgres or Kafka do not answer, it waits, alive and not ready. What
waiting cannot mend (a topic that disagrees, a store that was set back) ends it with a message.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import structlog

from runfold_services import metrics as m
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
from runfold_services.roles import Role
from runfold_services.settings import ServerSettings
from runfold_services.status_http import StatusServer
from runfold_services.telemetry import configure_logging

_log = structlog.stdlib.get_logger("runfold.process")

OpenRole = Callable[[], AbstractAsyncContextManager[Role]]


def serve_role(name: str, open_role: OpenRole, settings: ServerSettings) -> None:
    """What ``runfold serve`` does for a role: work until SIGTERM or SIGINT. A second signal ends at once.

    Args:
        name: of the role.
        open_role: connects it; it is started and stopped here.
        settings: where health and metrics are told, how to log, how long a stop may take.

    Raises:
        RunfoldError: the role cannot start; the message says why and what to change.
    """
    configure_logging(settings.log_format, settings.log_level)
    with asyncio.Runner(loop_factory=new_loop_factory()) as runner:
        runner.run(RoleProcess(name, open_role, settings).run())


class RoleProcess:
    """The life of one role, with its status told over HTTP all the while."""

    def __init__(self, name: str, open_role: OpenRole, settings: ServerSettings) -> None:
        self._name = name
        self._open_role = open_role
        self._settings = settings
        self._stopping = asyncio.Event()
        self._state = "starting"
        self._role: Role | None = None
        self._started_at = time.time()

    async def run(self) -> None:
        """See :func:`serve_role`."""
        listener = listen(self._settings.host, self._settings.port)
        status = StatusServer(listener, self._health, self._scrape)
        with signals_to(asyncio.get_running_loop(), self._on_signal):
            await status.start()
            try:
                await self._live(url_of(listener))
            finally:
                await status.stop()

    async def _live(self, url: str) -> None:
        async with contextlib.AsyncExitStack() as opened:
            role = await patiently(
                lambda: opened.enter_async_context(self._begun()), self._name, self._stopping
            )
            if role is None:
                return
            calm_collector()
            self._role, self._state = role, "ok"
            _log.info("ready", role=self._name, url=url)
            say(f"runfold {self._name} ready at {url}")
            await self._stopping.wait()
            self._state = "stopping"
            await self._drain(role)

    @asynccontextmanager
    async def _begun(self) -> AsyncGenerator[Role]:
        async with self._open_role() as role:
            try:
                await role.start()
            except BaseException:
                with contextlib.suppress(Exception):
                    await role.stop()
                raise
            yield role

    async def _drain(self, role: Role) -> None:
        stop_s = self._settings.stop_s
        end_stuck_process(stop_s + STUCK_S_MAX)
        _log.info("stopping", role=self._name)
        try:
            async with asyncio.timeout(stop_s):
                await role.stop()
        except TimeoutError:
            _log.warning("not all that was under way ended in time", role=self._name, stop_s=stop_s)

    def _on_signal(self) -> None:
        if self._stopping.is_set():
            _log.warning("told twice; ending at once", role=self._name)
            os._exit(1)
        self._stopping.set()

    # What is told

    def _health(self) -> tuple[bool, dict[str, Any]]:
        alarms = {} if self._role is None else dict(self._role.alarms())
        is_ready = self._state == "ok"
        state = "alarm" if is_ready and alarms else self._state
        return is_ready, {"status": state, "role": self._name, "alarms": alarms}

    async def _scrape(self) -> list[m.Samples]:
        own = m.process_samples(self._name, is_ready=self._state == "ok", started_at=self._started_at)
        return [*own, *([] if self._role is None else await self._role.samples())]
