"""Connections that read: a writer's fsync in one thread never keeps a reader in another waiting."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol, TypeVar

from runfold_events.stores.sqlite import forks
from runfold_events.stores.sqlite.failures import Translating, is_busy
from runfold_events.stores.sqlite.writer import Connect, Writer, closed

IDLE_CONNECTIONS_MAX: Final = 8
BUSY_RETRY_S_MAX: Final = 10.0
BUSY_PAUSE_S: Final = 0.002

T = TypeVar("T")


class Reading(Protocol):
    """Runs work that reads committed data."""

    def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """``work`` on a connection that nobody else uses meanwhile. Work may be repeated, so it only reads."""
        ...

    def close(self) -> None: ...


class Readers:
    """A pool: as many connections as threads read at once; the one used last is used next, its cache being warm."""

    def __init__(self, place: str, connect: Connect) -> None:
        self._place = place
        self._connect = connect
        self._idle: deque[sqlite3.Connection] = deque()
        self._busy: set[sqlite3.Connection] = set()
        self._is_closed = False
        self._translating = Translating(place)
        forks.follow(self)

    def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        with self._translating:
            try:
                return self._run_once(work)
            except sqlite3.OperationalError as error:
                if not is_busy(error):
                    raise
            return self._run_patiently(work)

    def _run_once(self, work: Callable[[sqlite3.Connection], T]) -> T:
        with forks.InUse():
            connection = self._take()
            try:
                result = work(connection)
            except BaseException:
                # Whatever happened, the next reader gets a connection in a known state.
                self._busy.discard(connection)
                connection.close()
                raise
            self._give_back(connection)
            return result

    def _run_patiently(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Try again: another process is recovering the log, or is the last one out and cleaning up."""
        deadline = time.monotonic() + BUSY_RETRY_S_MAX
        while True:
            time.sleep(BUSY_PAUSE_S)
            try:
                return self._run_once(work)
            except sqlite3.OperationalError as error:
                if not is_busy(error) or time.monotonic() > deadline:
                    raise

    def _take(self) -> sqlite3.Connection:
        if self._is_closed:
            raise closed(self._place)
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = self._connect()
        self._busy.add(connection)
        return connection

    def _give_back(self, connection: sqlite3.Connection) -> None:
        self._busy.discard(connection)
        if self._is_closed or len(self._idle) >= IDLE_CONNECTIONS_MAX:
            connection.close()
        else:
            self._idle.append(connection)

    def close(self) -> None:
        """Close what is idle; what is in use is closed when it comes back."""
        self._is_closed = True
        with forks.InUse():
            self._close_idle()

    def _close_idle(self) -> None:
        with contextlib.suppress(IndexError):
            while True:
                self._idle.pop().close()

    def before_fork(self) -> None:
        """See ``ForkAware``."""
        self._close_idle()

    def after_fork(self) -> None:
        """See ``ForkAware``."""
        for connection in (*self._idle, *self._busy):
            forks.leave_to_parent(connection, self._place)
        self._idle = deque()
        self._busy = set()


class SharedReader:
    """Reads through the writer's connection, one at a time: what an in-memory database offers.

    A thread that has a transaction open reads what was committed before it, since a transaction in memory is written
    as a whole when it ends.
    """

    def __init__(self, writer: Writer, lock_timeout_s: float) -> None:
        self._writer = writer
        self._lock_timeout_s = lock_timeout_s
        self._translating = Translating(writer.place)

    def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        with self._translating:
            if self._writer.lock.is_mine:
                return work(self._writer.connection())
            with self._writer.lock.acquire(self._lock_timeout_s):
                return work(self._writer.connection())

    def close(self) -> None:
        """Nothing of its own to close."""
