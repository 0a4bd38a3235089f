"""This process: its connections, its forks, its end."""

from __future__ import annotations

import atexit
import logging
import os
import sys
import threading
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import TYPE_CHECKING, Final
from weakref import WeakSet

from msgspec import Struct

if TYPE_CHECKING:
    from runfold._connection import Connection

_EXIT_PRIORITY: Final = 10  # of multiprocessing's finalisers: before those that end its queues and managers
_log = logging.getLogger("runfold")

_lock = threading.Lock()
_shared: dict[Hashable, Connection] = {}
_all: WeakSet[Connection] = WeakSet()
_alive: list[Connection] = []  # open: these have something to deliver and to close when the process ends
_left_behind: list[object] = []  # a parent's transports: a fork's child must neither use nor finalise them
_hooked_pid: int | None = None


class Left(Struct, frozen=True):
    """What a connection could not deliver before it was closed, and the spool that keeps it."""

    values: int = 0
    commands: int = 0
    folder: Path | None = None


def shared_connection(key: Hashable, make: Callable[[], Connection]) -> Connection:
    """The one connection of this process to what ``key`` names."""
    with _lock:
        connection = _shared.get(key)
        if connection is None:
            connection = _shared[key] = register(make())
        return connection


def register(connection: Connection) -> Connection:
    """Let a connection hear of forks."""
    _all.add(connection)
    return connection


def remember(connection: Connection) -> None:
    """The connection is open from now on: close it when the process ends."""
    if connection not in _alive:
        _alive.append(connection)
    _hook_exit()


def forget(connection: Connection) -> None:
    """The connection was closed."""
    if connection in _alive:
        _alive.remove(connection)


def _hook_exit() -> None:
    global _hooked_pid  # noqa: PLW0603  # one process, one hook
    if _hooked_pid == os.getpid():
        return
    if _hooked_pid is None:
        atexit.register(close_all)
    _hooked_pid = os.getpid()
    multiprocessing = sys.modules.get("multiprocessing.process")
    if multiprocessing is not None and multiprocessing.parent_process() is not None:
        # A worker of multiprocessing ends without atexit; this is its own way to clean up.
        from multiprocessing.util import Finalize

        Finalize(None, close_all, exitpriority=_EXIT_PRIORITY)


def close_all() -> None:
    """Deliver what waits, within limits, and give all leases up. Says on stderr what could not be delivered."""
    while _alive:
        connection = _alive.pop()
        try:
            left = connection.close()
        except Exception:  # the others have something to deliver too
            _log.exception("runfold: what one store was to get at the end of the process may be incomplete")
            continue
        if not left.values and not left.commands:
            continue
        what = "%d logged values and %d other commands were not delivered"
        if left.folder is None:
            _log.warning(f"runfold: at the end of the process {what}", left.values, left.commands)
        else:
            _log.warning(
                f"runfold: {what}. They are kept in %s; `runfold sync`, or the next program that records there, "
                "delivers them",
                left.values,
                left.commands,
                left.folder,
            )


def _after_fork_in_child() -> None:
    global _lock  # noqa: PLW0603  # the parent's may be held by a thread that is not here
    _lock = threading.Lock()
    _alive.clear()
    for connection in list(_all):
        _left_behind.append(connection.after_fork())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
