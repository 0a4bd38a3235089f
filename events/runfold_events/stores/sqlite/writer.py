"""The one connection of a store that writes, behind the file lock."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Protocol

from runfold_events.contract.errors import Unavailable
from runfold_events.stores.sqlite import forks
from runfold_events.stores.sqlite.connection import MEMORY
from runfold_events.stores.sqlite.failures import Translating
from runfold_events.stores.sqlite.lock import Held
from runfold_events.stores.sqlite.steps import BEGIN, COMMIT, ROLLBACK

Connect = Callable[[], sqlite3.Connection]


class WriteLock(Protocol):
    """A ``FileLock``, or a ``ProcessLock`` for a store in memory."""

    @property
    def is_mine(self) -> bool: ...

    def acquire(self, timeout_s: float) -> Held: ...


class Writer:
    """Begins, commits and rolls back; between ``begin`` and the end the calling thread has the file to itself.

    The connection is opened with the first transaction, and again after a failure that may have left it in doubt.
    """

    def __init__(self, place: str, connect: Connect, lock: WriteLock, lock_timeout_s: float) -> None:
        self.place = place
        self.lock = lock
        self._connect = connect
        self.lock_timeout_s = lock_timeout_s
        self._connection: sqlite3.Connection | None = None
        self._held: Held | None = None
        self._in_use = forks.InUse()
        self._is_closed = False
        self._translating = Translating(place)
        forks.follow(self)

    def begin(self) -> sqlite3.Connection:
        """Wait for the lock and begin a transaction.

        Raises:
            Unavailable: the lock did not come in time, the store is closed, or SQLite cannot begin.
        """
        forks.check_usable(self.place)
        self._held = self.lock.acquire(self.lock_timeout_s)
        try:
            self._in_use.enter()
            with self._translating:
                connection = self.connection()
                self._begin(connection)
        except BaseException:
            self.rollback()
            raise
        return connection

    def commit(self) -> None:
        """Make the transaction durable and let go of the lock; on failure it is rolled back."""
        connection = self._connection
        if connection is None:
            raise Unavailable(f"the transaction on {self.place} is over", facts={"path": self.place})
        try:
            with self._translating:
                self._commit(connection)
        except BaseException:
            self.rollback()
            raise
        self._release()

    def rollback(self) -> None:
        """Undo the transaction and let go of the lock. Never fails: a connection in doubt is thrown away instead."""
        connection, is_clean = self._connection, False
        try:
            # SQLite itself rolls back on some errors, such as a full disk.
            if connection is not None and connection.in_transaction:
                self._rollback(connection)
            is_clean = True
        except sqlite3.Error:
            pass
        finally:
            if not is_clean:
                self._discard()
            self._release()

    @contextmanager
    def transaction(self) -> Generator[sqlite3.Connection]:
        """A short transaction of the store's own."""
        connection = self.begin()
        try:
            with self._translating:
                yield connection
        except BaseException:
            self.rollback()
            raise
        self.commit()

    def connection(self) -> sqlite3.Connection:
        """The connection, opened if need be. The caller holds the lock."""
        if self._is_closed:
            raise closed(self.place)
        if self._connection is None:
            self._connection = self._connect()
        return self._connection

    def close(self) -> None:
        """Wait for the transaction in flight and close."""
        with self.lock.acquire(self.lock_timeout_s), forks.InUse():
            self._is_closed = True
            self._discard()

    def before_fork(self) -> None:
        """See ``ForkAware``. A store in memory is its connection; it stays with the parent."""
        if self.place != MEMORY:
            self._discard()

    def after_fork(self) -> None:
        """See ``ForkAware``."""
        if self.place != MEMORY and self._connection is not None:
            forks.leave_to_parent(self._connection, self.place)
            self._connection = None
        self._held = None
        self._in_use = forks.InUse()

    # The three statements are methods so that a test can take the transaction away and see the damage.

    def _begin(self, connection: sqlite3.Connection) -> None:
        BEGIN.run(connection)

    def _commit(self, connection: sqlite3.Connection) -> None:
        COMMIT.run(connection)

    def _rollback(self, connection: sqlite3.Connection) -> None:
        ROLLBACK.run(connection)

    def _release(self) -> None:
        self._in_use.leave()
        held, self._held = self._held, None
        if held is not None:
            held.release()

    def _discard(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def closed(place: str) -> Unavailable:
    """The error of every call after ``close``."""
    return Unavailable(f"the store {place} is closed", facts={"path": place})
