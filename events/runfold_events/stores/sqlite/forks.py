"""Forks: a connection to SQLite must not exist in two processes, not even unused.

POSIX locks belong to a process, and SQLite remembers per process which it holds. A child that inherits an open
connection inherits that memory without the locks: a connection which it opens itself to the same file then runs
without them, another process may delete the log under its hands, and what it commits is lost. So every connection is
closed just before a fork, once the threads that use one have come to the end of their transaction; both sides open new
ones when they need them. A child that was forked in the middle of a transaction may not use the file at all.
"""

from __future__ import annotations

import os
import threading
import time
from typing import Any, Final, Protocol
from weakref import WeakSet

from runfold_events.contract.errors import Unavailable

QUIET_WAIT_S: Final = 10.0  # how long a fork waits for other threads' transactions


class ForkAware(Protocol):
    """Something that holds connections, files or locks."""

    def before_fork(self) -> None:
        """Close idle connections. Called in the parent, when no thread uses any."""
        ...

    def after_fork(self) -> None:
        """Forget what belongs to the parent. Called in the child, before anything else runs there."""
        ...


class _Process:
    """What this process knows of its forks."""

    def __init__(self) -> None:
        self.followers: WeakSet[Any] = WeakSet()
        self.generation = 0
        self.pid = os.getpid()
        self.spoilt: set[str] = set()
        self.renew()

    def renew(self) -> None:
        """No thread uses a connection, and no fork is under way."""
        self.changed = threading.Condition(threading.Lock())
        self.users: dict[int, int] = {}
        self.is_forking = False


_process: Final = _Process()


class InUse:
    """``with InUse():`` around every use of a connection: forks wait for its end, and it waits for forks.

    May be nested; an inner one never waits. ``enter`` and ``leave`` are for uses that are no block.
    """

    __slots__ = ("_thread",)

    def __init__(self) -> None:
        self._thread: int | None = None

    def enter(self) -> None:
        """Wait for a fork that is under way.

        Raises:
            Unavailable: this is a child whose fork could not be prepared (made by a library, past Python).
        """
        if _process.pid != os.getpid():
            raise Unavailable(
                "this process was forked without Python's knowledge; open the store in a new process"
            )
        thread = threading.get_ident()
        with _process.changed:
            while _process.is_forking and thread not in _process.users:
                _process.changed.wait()
            _process.users[thread] = _process.users.get(thread, 0) + 1
        self._thread = thread

    def leave(self) -> None:
        """The use is over. In a child of a fork inside it, and when it never began, nothing happens."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        with _process.changed:
            count = _process.users.get(thread, 0) - 1
            if count > 0:
                _process.users[thread] = count
            else:
                _process.users.pop(thread, None)
                if _process.is_forking:
                    _process.changed.notify_all()

    def __enter__(self) -> InUse:
        self.enter()
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()


def follow(follower: ForkAware) -> None:
    """Tell ``follower`` of forks, as long as it lives."""
    _process.followers.add(follower)


def generation() -> int:
    """How many forks lie between the first process and this one: tells a child from its parent."""
    return _process.generation


def leave_to_parent(connection: object, path: str) -> None:
    """In a child: ``connection`` could not be closed before the fork. Never touch it, and never use its file here.

    Not even a destructor may: closing could checkpoint or delete the log under the parent's hands.
    """
    import ctypes

    ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))
    _process.spoilt.add(os.path.realpath(path))


def check_usable(path: str) -> None:
    """Raise :class:`Unavailable` where a connection to ``path`` would not be safe."""
    if _process.spoilt and os.path.realpath(path) in _process.spoilt:
        raise Unavailable(
            f"this process was forked in the middle of a transaction on {path} and cannot use it; "
            "fork between transactions, or start processes with the method 'spawn'",
            facts={"path": path},
        )


def _before_fork() -> None:
    me, deadline = threading.get_ident(), time.monotonic() + QUIET_WAIT_S
    with _process.changed:
        _process.is_forking = True
        while _process.users.keys() - {me} and (left := deadline - time.monotonic()) > 0:
            _process.changed.wait(left)
        is_quiet = not _process.users
    if is_quiet:
        for follower in list(_process.followers):
            follower.before_fork()


def _after_fork_in_parent() -> None:
    with _process.changed:
        _process.is_forking = False
        _process.changed.notify_all()


def _after_fork_in_child() -> None:
    _process.renew()
    _process.pid = os.getpid()
    _process.generation += 1
    for follower in list(_process.followers):
        follower.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child
    )
