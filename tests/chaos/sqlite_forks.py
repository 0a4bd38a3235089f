"""What happens to an open store when its process forks; each case runs in a process of its own, which has one thread.

    python -m tests.chaos.sqlite_forks CASE LEDGER

Ends with 0 when all is as it must be.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
import threading
from pathlib import Path
from typing import NoReturn

from runfold_events.clock import SystemClock
from runfold_events.contract.errors import Unavailable
from runfold_events.ids_source import SystemIds
from runfold_events.ports import Write
from runfold_events.stores.sqlite import FileLock, SqliteStore
from runfold_events.sync import run_sync
from runfold_events.testing.builders import EventBuilder

TURNS = 20


class Appender:
    """Appends to a stream of its own."""

    def __init__(self, store: SqliteStore, stream: str) -> None:
        self.store = store
        self.stream = stream
        self.build = EventBuilder(store.epoch, SystemIds())

    async def append(self) -> None:
        async with self.store.transaction(0) as transaction:
            await transaction.write(
                Write(events=self.build.place(transaction.row, [self.build.event(self.stream)]))
            )


def in_child(work: object) -> int:
    """Run ``work`` in a fork that ends as a Python process does; returns its exit code."""
    child = os.fork()
    if child == 0:
        assert callable(work)
        work()
        sys.exit(0)  # the ordinary way, with destructors: they must not touch what is the parent's
    return exit_code(child)


def exit_code(child: int) -> int:
    """Wait for a child."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def both_go_on(ledger: Path) -> None:
    """Parent and child use the same store object after the fork, at the same time."""
    store = SqliteStore.open(ledger)
    parent = Appender(store, "w/run/parent")
    run_sync(parent.append())
    run_sync(store.read(0, 0, 10))
    child = os.fork()
    mine = Appender(store, "w/run/child") if child == 0 else parent
    for _ in range(TURNS):
        run_sync(mine.append())
        assert run_sync(store.read(0, 0, 1))[0].stream == "w/run/parent"
    if child == 0:
        run_sync(store.close())
        sys.exit(0)
    assert exit_code(child) == 0
    run_sync(parent.append())
    assert run_sync(store.ends()) == (2 * TURNS + 2,)


def a_child_outlives_its_parents_store(ledger: Path) -> None:
    """The parent closes as the last one it knows of; what the child commits afterwards is seen by everybody."""
    assert events_after_the_parent_closed(ledger, inherited=[]) == 3


def control_an_inherited_connection_loses_events(ledger: Path) -> None:
    """The same with a connection that is open across the fork: what the child commits goes into a deleted log."""
    stranger = sqlite3.connect(SqliteStore.open(ledger).path, isolation_level=None)
    stranger.execute("SELECT count(*) FROM events").fetchone()
    assert events_after_the_parent_closed(ledger, inherited=[stranger]) == 2


def events_after_the_parent_closed(ledger: Path, inherited: list[sqlite3.Connection]) -> int:
    """One event before the fork, one by the child, one by the child after the parent closed everything."""
    store = SqliteStore.open(ledger)
    run_sync(Appender(store, "w/run/parent").append())
    run_sync(store.read(0, 0, 1))
    begun_in, begun_out = os.pipe()
    closed_in, closed_out = os.pipe()
    child = os.fork()
    if child == 0:
        mine = Appender(store, "w/run/child")
        run_sync(mine.append())
        os.write(begun_out, b".")
        os.read(closed_in, 1)
        run_sync(mine.append())
        os.kill(os.getpid(), signal.SIGKILL)
    os.read(begun_in, 1)
    run_sync(store.close())
    for connection in inherited:
        connection.close()
    os.write(closed_out, b".")
    os.waitpid(child, 0)
    return run_sync(SqliteStore.open(ledger).ends())[0]


def children_that_end_at_once(ledger: Path) -> None:
    """Children that never use the store, and just end, leave the parent's log and locks alone."""
    store = SqliteStore.open(ledger)
    appender = Appender(store, "w/run/a")
    for _ in range(3):
        run_sync(appender.append())
        assert in_child(lambda: None) == 0
    other = SqliteStore.open(ledger)
    assert run_sync(other.ends()) == (3,)


def forked_inside_a_transaction(ledger: Path) -> None:
    """The transaction stays the parent's: the child can neither commit it nor use the file at all."""
    store = SqliteStore.open(ledger)
    appender = Appender(store, "w/run/a")

    async def fork() -> None:
        async with store.transaction(0) as transaction:
            placed = appender.build.place(transaction.row, [appender.build.event("w/run/a")])
            await transaction.write(Write(events=placed))
            child = os.fork()
            if child != 0:
                assert exit_code(child) == 7

    forker = os.getpid()
    try:
        run_sync(fork())
    except Unavailable:
        assert os.getpid() != forker
        locked_out(store)
    assert os.getpid() == forker
    assert run_sync(store.ends()) == (1,)


def locked_out(store: SqliteStore) -> NoReturn:
    """In the child: the file cannot be used, neither through this store nor through a new one."""
    for use in (lambda: run_sync(store.ends()), lambda: SqliteStore.open(store.path)):
        try:
            use()
        except Unavailable as error:
            if "forked in the middle" in error.message:
                continue
        os._exit(8)
    os._exit(7)


def forked_while_another_thread_writes(ledger: Path) -> None:
    """The fork waits for the end of the thread's transaction, and both processes go on."""
    store = SqliteStore.open(ledger)
    stop = threading.Event()
    writing = Appender(store, "w/run/thread")

    def write() -> None:
        while not stop.is_set():
            run_sync(writing.append())

    thread = threading.Thread(target=write)
    thread.start()
    for number in range(TURNS):
        assert in_child(lambda name=f"w/run/{number}": run_sync(Appender(store, name).append())) == 0
    stop.set()
    thread.join()
    (end,) = run_sync(store.ends())
    assert end > 2 * TURNS


def memory_stays_with_the_parent(ledger: Path) -> None:
    """A store in memory cannot be shared with a child, and says so."""
    store = SqliteStore.open(":memory:", clock=SystemClock())

    def refused() -> None:
        try:
            run_sync(store.ends())
        except Unavailable:
            return
        os._exit(9)

    assert in_child(refused) == 0
    assert run_sync(store.ends()) == (0,)


def ids_differ(ledger: Path) -> None:
    """Parent and child never draw the same ids or salts."""
    ids = SystemIds()
    ids.event_id()
    reading, writing = os.pipe()

    def draw() -> bytes:
        return b"".join(ids.event_id().bytes + ids.salt() for _ in range(100))

    child = os.fork()
    if child == 0:
        os.write(writing, draw())
        os._exit(0)
    mine, theirs = draw(), os.read(reading, 3200)
    os.waitpid(child, 0)
    pieces = [data[start : start + 16] for data in (mine, theirs) for start in range(0, 3200, 16)]
    assert len(set(pieces)) == 400


def a_lock_is_not_inherited(ledger: Path) -> None:
    """A child does not hold its parent's file lock, and releasing there changes nothing here."""
    lock = FileLock(ledger)
    held = lock.acquire(1)

    def try_it() -> None:
        assert not lock.is_mine
        held.release()
        try:
            lock.acquire(0.05)
        except Unavailable:
            return
        os._exit(9)

    assert in_child(try_it) == 0
    assert lock.is_mine
    held.release()
    assert in_child(lambda: lock.acquire(1).release()) == 0


if __name__ == "__main__":
    globals()[sys.argv[1]](Path(sys.argv[2]))
