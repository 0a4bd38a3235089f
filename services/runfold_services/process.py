"""What every process of runfold does around its work: take signals, listen, say that it is ready, end for certain."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import os
import signal
import socket
import sys
import threading
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import Final, TypeVar

import structlog

from runfold_events.contract.errors import RunfoldError, Unavailable

BACKLOG: Final = 1_024
STUCK_S_MAX: Final = 20.0  # after the deadline of what is in flight: to fold what is left and close the store
COLLECT_AFTER_OBJECTS: Final = 50_000  # at most some 10 MB of what should be gone
RETRY_S_MIN: Final = 0.2
RETRY_S_MAX: Final = 5.0
T = TypeVar("T")
_log = structlog.stdlib.get_logger("runfold.process")


class StartFailed(RunfoldError):
    """A process cannot start; the message says what to change."""

    default_code = "start_failed"


def new_loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop where it exists."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def calm_collector() -> None:
    """Let the collector of cycles look less often, and never again at what is there already.

    A batch is thousands of objects that live for a moment and hold no cycle; by default the collector walks them a few
    times, which takes up to a third of a batch's time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER_OBJECTS, 20, 20)


@contextmanager
def signals_to(loop: asyncio.AbstractEventLoop, handler: Callable[[], None]) -> Generator[None]:
    """``handler`` on SIGTERM and SIGINT; signals can only be had in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGTERM, signal.SIGINT)

    def told(number: int, frame: object) -> None:
        loop.call_soon_threadsafe(handler)

    try:
        for number in numbers:
            loop.add_signal_handler(number, handler)
    except NotImplementedError:  # Windows: its loops have no signal handlers
        for number in numbers:
            signal.signal(number, told)
        yield
        return
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


async def patiently(attempt: Callable[[], Awaitable[T]], what: str, stopping: asyncio.Event) -> T | None:
    """What ``attempt`` gives once it does not raise ``Unavailable`` any more; None when told to stop before."""
    wait_s = RETRY_S_MIN
    while not stopping.is_set():
        try:
            return await attempt()
        except Unavailable as error:
            _log.warning("cannot start yet; will try again", what=what, why=error.message)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await stopping.wait()
        wait_s = min(2 * wait_s, RETRY_S_MAX)
    return None


def end_stuck_process(after_s: float) -> None:
    """A thread that never comes back (a disk that hangs) must not keep a process that was told to stop."""

    def end() -> None:
        _log.error("the process does not stop; ending it", after_s=after_s)
        os._exit(1)

    watchdog = threading.Timer(after_s, end)
    watchdog.daemon = True
    watchdog.start()


def say(line: str) -> None:
    """A line on stdout: the ready line, which scripts wait for."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; ``port`` 0 takes any free one.

    Raises:
        StartFailed: the address cannot be had; the message names it.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        try:
            if sys.platform != "win32":
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(BACKLOG)
            listener.setblocking(False)
        except BaseException:
            listener.close()
            raise
    except (OSError, OverflowError) as error:
        raise _cannot_listen(host, port, error) from None
    return listener


def url_of(listener: socket.socket) -> str:
    """``http://host:port`` of a listening socket."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _cannot_listen(host: str, port: int, error: OSError | OverflowError) -> RunfoldError:
    if getattr(error, "errno", None) == errno.EADDRINUSE:
        return StartFailed(
            f"port {port} on {host} is in use, maybe by a runfold that is up already; stop that one, or choose another "
            "port: --port 0 takes any free one",
            facts={"field": "port", "size": port},
        )
    return StartFailed(f"cannot listen on {host}:{port}: {error}", facts={"field": "host", "size": host})
