"""Views in SQLite: in the file of the ledger they are folded from, or in memory.

Folds commit with ``synchronous=NORMAL``: a view that a power cut sets back is folded again, and the log of the file is
written by the ledger's own commits, which do wait for the disk.
"""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from runfold_events.contract.errors import Unavailable
from runfold_events.failpoints import reach
from runfold_events.stores.sqlite import forks
from runfold_events.stores.sqlite.authorizer import Role, authorizer
from runfold_events.stores.sqlite.connection import MEMORY, connect, open_unrestricted
from runfold_events.stores.sqlite.failures import Translating, is_busy, primary_code, translate
from runfold_events.stores.sqlite.lock import FileLock, ProcessLock
from runfold_projections.filters.patterns import glob, like
from runfold_projections.projection import (
    Catalogue,
    Checkpoint,
    Generation,
    Move,
    Parameters,
    Row,
    ViewSession,
)
from runfold_projections.spelling import AMONG, IS, JOINED, KEY, LIKE, Keys, Pattern
from runfold_projections.statements import named_statements, schema_statements

LOCK_TIMEOUT_S: Final = 30.0
# A query that takes longer is interrupted: a hostile filter holds no thread for ever.
QUERY_TIME_S_MAX: Final = 10.0
_READERS_MAX: Final = 8  # idle connections that are kept for the next query
BUSY_RETRY_S_MAX: Final = 10.0
_BUSY_PAUSE_S: Final = 0.002
_OPCODES_BETWEEN_CHECKS: Final = 200_000

_PARAMETER: Final = re.compile(r"\$(\d+)")


class _Statement:
    """One statement in SQLite's spelling: plain ``?``, and which parameter stands where when not simply in order."""

    __slots__ = ("_order", "sql")

    def __init__(self, sql: str, prefix: str) -> None:
        order = tuple(int(number) - 1 for number in _PARAMETER.findall(sql))
        self._order = None if order == tuple(range(len(order))) else order
        self.sql = _spelled(_PARAMETER.sub("?", sql), prefix)

    def ordered(self, parameters: Parameters) -> Parameters:
        return parameters if self._order is None else [parameters[index] for index in self._order]


def _spelled(sql: str, prefix: str) -> str:
    """The words of :mod:`runfold_projections.spelling` as SQLite's."""
    sql = JOINED.sub(r"group_concat(\1, ',')", KEY.sub(r"\1", IS.sub(r"\1 = \2", sql)))
    return LIKE.sub(_like_spelled, sql).replace("{p}", prefix)


def _like_spelled(found: re.Match[str]) -> str:
    """SQLite's LIKE takes the letters A to Z for their small ones; its GLOB does not."""
    ignore_case, column, value = found.groups()
    return f"{column} LIKE {value} ESCAPE '\\'" if ignore_case else f"{column} GLOB {value}"


def _with_keys(sql: str, parameters: Parameters) -> str:
    """``sql`` with a mark for each of the keys that it is asked for; it reads a list in place faster than a table."""
    lists = iter([value for value in parameters if isinstance(value, Keys)])
    return AMONG.sub(lambda found: f"{found[1]} IN ({', '.join('?' * len(next(lists).numbers))})", sql)


def _bound(value: Any) -> Sequence[Any]:
    """What a parameter is to SQLite."""
    if isinstance(value, Keys):
        return value.numbers
    if isinstance(value, Pattern):
        return (like(value.text) if value.ignore_case else glob(value.text),)
    return (value,)


@cache
def _adapted(path: str, prefix: str) -> dict[str, _Statement]:
    """The named statements of a file, for the tables of one prefix."""
    return {name: _Statement(sql, prefix) for name, sql in named_statements(path).items()}


_CATALOGUE: Final = _adapted("stores/catalogue.sql", "")


class SqliteTables:
    """Access to the tables of one generation through one connection."""

    __slots__ = ("_connection", "_prefix", "_statements")

    def __init__(self, connection: sqlite3.Connection, generation: Generation) -> None:
        self._connection = connection
        self._prefix = generation.prefix
        self._statements = _adapted(f"{generation.projection}/statements.sql", generation.prefix)

    async def fetch(self, statement: str, parameters: Parameters = ()) -> list[Row]:
        found = self._statements[statement]
        return self._connection.execute(found.sql, found.ordered(parameters)).fetchall()

    async def fetch_many(self, statement: str, keys: Sequence[Parameters]) -> list[Row]:
        found, execute = self._statements[statement], self._connection.execute
        rows: list[Row] = []
        for key in keys:
            rows.extend(execute(found.sql, found.ordered(key)))
        return rows

    async def fetch_compiled(self, sql: str, parameters: Parameters) -> list[Row]:
        deadline = time.monotonic() + QUERY_TIME_S_MAX
        connection = self._connection
        connection.set_progress_handler(lambda: time.monotonic() > deadline, _OPCODES_BETWEEN_CHECKS)
        try:
            spelled = _spelled(_with_keys(sql, parameters), self._prefix)
            return connection.execute(spelled, [v for value in parameters for v in _bound(value)]).fetchall()
        finally:
            connection.set_progress_handler(None, 0)

    async def execute(self, statement: str, parameters: Parameters = ()) -> int:
        reach(f"views.{statement}")
        found = self._statements[statement]
        return self._connection.execute(found.sql, found.ordered(parameters)).rowcount

    async def execute_many(self, statement: str, rows: Sequence[Parameters]) -> None:
        if rows:
            reach(f"views.{statement}")
            found = self._statements[statement]
            self._connection.executemany(found.sql, map(found.ordered, rows))


class SqliteSession:
    """One transaction or snapshot."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def of(self, generation: Generation) -> SqliteTables:
        return SqliteTables(self._connection, generation)

    async def catalogue(self) -> Catalogue:
        active: dict[str, Generation] = {}
        building: dict[str, Generation] = {}
        for projection, version, number, state in self._run("generations"):
            found = active if state == "active" else building
            found[projection] = Generation(projection, version, number)
        checkpoints: dict[tuple[Generation, int], Checkpoint] = {}
        for name, version, number, partition, epoch, pos, stopped in self._run("checkpoints"):
            generation = Generation(name, version, number)
            checkpoints[generation, partition] = Checkpoint(
                generation=generation,
                partition=partition,
                epoch=UUID(bytes=epoch),
                pos=pos,
                stopped=stopped,
            )
        return Catalogue(active, building, checkpoints)

    async def advance(self, moves: Sequence[Move]) -> bool:
        reach("views.advance")
        return all(self._run("advance", (*_key(one.checkpoint), one.pos)).rowcount == 1 for one in moves)

    async def stop(self, checkpoint: Checkpoint, why: str | None) -> bool:
        return self._run("stop", (*_key(checkpoint), why)).rowcount == 1

    async def create(self, generation: Generation, state: str, partitions: int, epoch: UUID) -> None:
        key = (generation.projection, generation.version, generation.number)
        for sql in schema_statements(f"{generation.projection}/schema.sqlite.sql"):
            self._connection.execute(sql.replace("{p}", generation.prefix))
        self._run("add_generation", (*key, state))
        rows = [(*key, partition, epoch.bytes) for partition in range(partitions)]
        self._connection.executemany(
            _CATALOGUE["add_checkpoint"].sql, map(_CATALOGUE["add_checkpoint"].ordered, rows)
        )

    async def activate(self, generation: Generation) -> None:
        for projection, version, number, _ in self._run("generations").fetchall():
            other = Generation(projection, version, number)
            if projection == generation.projection and other != generation:
                await self.drop(other)
        key = (generation.projection, generation.version, generation.number)
        self._run("activate", key)

    async def drop(self, generation: Generation) -> None:
        for table in self._tables_of(generation.prefix):
            self._connection.execute(f'DROP TABLE "{table}"')
        key = (generation.projection, generation.version, generation.number)
        self._run("remove_checkpoints", key)
        self._run("remove_generation", key)

    def _tables_of(self, prefix: str) -> list[str]:
        return [row[0] for row in self._run("tables_of", (prefix,))]

    def _run(self, name: str, parameters: Parameters = ()) -> sqlite3.Cursor:
        found = _CATALOGUE[name]
        return self._connection.execute(found.sql, found.ordered(parameters))


def _has_catalogue(connection: sqlite3.Connection) -> bool:
    found = "SELECT count(*) FROM sqlite_master WHERE name IN ('view_generations', 'view_checkpoints')"
    return bool(connection.execute(found).fetchone()[0] == 2)


def _rolled_back(connection: sqlite3.Connection) -> sqlite3.Connection | None:
    """The connection without a transaction; None when its state is in doubt and it was closed."""
    try:
        if connection.in_transaction:  # SQLite itself rolls back on some errors, such as a full disk
            connection.execute("ROLLBACK")
    except sqlite3.Error:
        connection.close()
        return None
    return connection


def _key(checkpoint: Checkpoint) -> tuple[Any, ...]:
    generation = checkpoint.generation
    return (
        generation.projection,
        generation.version,
        generation.number,
        checkpoint.partition,
        checkpoint.epoch.bytes,
        checkpoint.pos,
    )


class SqliteViewStore:
    """The tables of all views in one SQLite file, or in memory.

    One connection writes, behind the lock that the ledger's own transactions take; readers have connections of their
    own and never wait. In memory there is one connection for everything.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = path
        self._in_memory = str(path) == MEMORY
        self._lock: FileLock | ProcessLock = ProcessLock("views") if self._in_memory else FileLock(path)
        self._translating = Translating(str(path))
        self._writer: sqlite3.Connection | None = None
        # Idle ones; the one used last is used next, its cache being warm.
        self._readers: list[sqlite3.Connection] = []
        self._busy: set[sqlite3.Connection] = set()
        self._closed = False
        with self._translating:
            self._prepare()
        forks.follow(self)

    def _prepare(self) -> None:
        """Make the catalogue's tables. Who finds them there waits for nobody."""
        with suppress(sqlite3.OperationalError):
            if not self._in_memory and Path(self._path).exists() and self._is_prepared():
                return
        with self._lock.acquire(LOCK_TIMEOUT_S), forks.InUse():
            writer = self._writing()
            for sql in schema_statements("stores/catalogue.sqlite.sql"):
                writer.execute(sql)

    def _is_prepared(self) -> bool:
        with forks.InUse():
            connection = self._take()
            try:
                return _has_catalogue(connection)
            finally:
                self._give_back(connection)

    @asynccontextmanager
    async def transaction(self, *, alone: bool = False) -> AsyncGenerator[ViewSession, None]:
        """See :class:`~runfold_projections.projection.ViewStore`."""
        self._check_open()
        with self._lock.acquire(LOCK_TIMEOUT_S), forks.InUse(), self._translating:
            writer = self._writing()
            try:
                writer.execute("BEGIN IMMEDIATE")  # inside: an interrupt may come when it has just begun
                yield SqliteSession(writer)
                reach("views.commit.before")
                writer.execute("COMMIT")
                reach("views.commit.after")
            except BaseException:
                self._writer = _rolled_back(writer)
                raise

    @asynccontextmanager
    async def snapshot(self) -> AsyncGenerator[ViewSession, None]:
        """See :class:`~runfold_projections.projection.ViewStore`."""
        self._check_open()
        if self._in_memory:
            with self._lock.acquire(LOCK_TIMEOUT_S), self._translating:
                yield SqliteSession(self._writing())
            return
        with forks.InUse(), self._translating:
            connection = self._begin_reading()
            try:
                yield SqliteSession(connection)
            finally:
                self._give_back(connection)

    def _begin_reading(self) -> sqlite3.Connection:
        """A connection on which a snapshot is open."""
        deadline = time.monotonic() + BUSY_RETRY_S_MAX
        while True:
            connection = self._take()
            try:
                connection.execute("BEGIN")
                # The first read is what fixes the moment.
                connection.execute(_CATALOGUE["generations"].sql).close()
                return connection
            except BaseException as error:
                self._busy.discard(connection)
                connection.close()
                # Another process is recovering the log, or is the last one out and cleaning up.
                is_passing = isinstance(error, sqlite3.OperationalError) and is_busy(error)
                if not is_passing or time.monotonic() > deadline:
                    raise
            time.sleep(_BUSY_PAUSE_S)

    def _take(self) -> sqlite3.Connection:
        try:
            connection = self._readers.pop()
        except IndexError:
            forks.check_usable(str(self._path))
            connection = connect(self._path)
        self._busy.add(connection)
        return connection

    async def catalogue(self) -> Catalogue:
        """See :class:`~runfold_projections.projection.ViewStore`."""
        async with self.snapshot() as session:
            return await session.catalogue()

    def is_engine_failure(self, error: BaseException) -> bool:
        """See :class:`~runfold_projections.projection.ViewStore`."""
        if isinstance(error, sqlite3.Error):
            return (
                isinstance(translate(error, ""), Unavailable) or primary_code(error) == sqlite3.SQLITE_CORRUPT
            )
        return isinstance(error, Unavailable)

    def _give_back(self, connection: sqlite3.Connection) -> None:
        self._busy.discard(connection)
        usable = _rolled_back(connection)
        if usable is None:
            return
        if self._closed or len(self._readers) >= _READERS_MAX:
            usable.close()
        else:
            self._readers.append(usable)

    def _writing(self) -> sqlite3.Connection:
        if self._writer is None:
            forks.check_usable(str(self._path))
            writer = open_unrestricted(self._path)
            writer.execute("PRAGMA journal_mode = WAL")
            writer.execute("PRAGMA synchronous = NORMAL")
            writer.set_authorizer(authorizer(Role.VIEWS))
            self._writer = writer
        return self._writer

    def _check_open(self) -> None:
        if self._closed:
            raise Unavailable(f"the views in {self._path} are closed", facts={"path": str(self._path)})

    def before_fork(self) -> None:
        """No connection may be open in a child; this process opens its own again when it needs them."""
        if not self._in_memory:
            self._close_connections()

    def after_fork(self) -> None:
        """Leave to the parent what could not be closed; this process opens its own when it needs them."""
        if self._in_memory:
            self._closed = True
            return
        for connection in (self._writer, *self._readers, *self._busy):
            if connection is not None:
                forks.leave_to_parent(connection, str(self._path))
        self._writer, self._readers, self._busy = None, [], set()

    async def close(self) -> None:
        """Wait for the transaction in flight and close every connection; twice is fine."""
        if not self._closed:
            with self._lock.acquire(LOCK_TIMEOUT_S), forks.InUse():
                self._closed = True
                self._close_connections()

    def _close_connections(self) -> None:
        for connection in (self._writer, *self._readers):
            if connection is not None:
                connection.close()
        self._writer, self._readers = None, []
