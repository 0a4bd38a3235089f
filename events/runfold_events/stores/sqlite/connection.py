"""Connections: how they are set up, and what each may do.

Durability: write-ahead log with ``synchronous=FULL``, so COMMIT returns after an fsync of the log; on macOS with
``fullfsync``, which asks the drive too.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

from runfold_events.contract.errors import Invalid
from runfold_events.stores.sqlite import forks
from runfold_events.stores.sqlite.authorizer import Role, authorizer

SQLITE_VERSION_MIN: Final = (3, 37, 0)  # STRICT tables
# The file lock keeps writers apart; this is for foreign programs, recovery after a crash, and the last one's closing.
BUSY_TIMEOUT_S: Final = 5.0
SYNCHRONOUS = "FULL"  # COMMIT returns after an fsync; less is for tests of crashes that spare the machine
STATEMENTS_CACHED: Final = 512
CACHE_KIB: Final = 16 * 1024  # filled as needed; indexes by stream are touched all over
READER_CACHE_KIB: Final = 4 * 1024  # there may be several
# Every commit writes the same pages of indexes and heads again: the longer the log may grow before it is copied back,
# the fewer copies. 32 MiB are read through in well under a second by whoever opens the file after a crash.
CHECKPOINT_PAGES: Final = 8_000
LOG_SIZE_LIMIT_BYTES: Final = 64 * 1024 * 1024  # what is kept of the log's file after a checkpoint

MEMORY: Final = ":memory:"


def connect(path: str | Path, *, allow_views_ddl: bool = False) -> sqlite3.Connection:
    """A connection to an existing store's file, in autocommit mode (transactions by explicit BEGIN and COMMIT).

    Whoever writes takes ``FileLock(path)`` first, then ``BEGIN IMMEDIATE``. Every use stands in ``forks.InUse()``, and
    whoever keeps the connection follows ``forks``, so that no fork finds it open.

    Args:
        path: the store's file.
        allow_views_ddl: the connection may create, alter, drop and fill tables named ``view_*`` and read everything
            else; without it, it may only read.
    """
    return open_connection(path, Role.VIEWS if allow_views_ddl else Role.READER)


def open_connection(path: str | Path, role: Role) -> sqlite3.Connection:
    """A connection that may do what ``role`` says. May move between threads, but serves one at a time."""
    connection = _open(str(path), must_exist=True)
    try:
        if role is Role.READER:
            connection.execute("PRAGMA query_only = ON")
            connection.execute(f"PRAGMA cache_size = -{READER_CACHE_KIB}")
        connection.set_authorizer(authorizer(role))
    except BaseException:
        connection.close()
        raise
    return connection


def open_unrestricted(path: str | Path) -> sqlite3.Connection:
    """A connection that may do everything; for creating, migrating and vacuuming, and closed right after."""
    return _open(str(path), must_exist=False)


def _open(path: str, *, must_exist: bool) -> sqlite3.Connection:
    check_sqlite_version()
    forks.check_usable(path)
    connection = sqlite3.connect(
        # mode=rw: a file that is not there must not come into being as an empty one.
        f"{Path(path).resolve().as_uri()}?mode=rw" if must_exist else path,
        uri=must_exist,
        timeout=BUSY_TIMEOUT_S,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=STATEMENTS_CACHED,
    )
    try:
        for pragma in (
            f"PRAGMA synchronous = {SYNCHRONOUS}",
            "PRAGMA fullfsync = ON",
            "PRAGMA checkpoint_fullfsync = ON",
            "PRAGMA foreign_keys = ON",
            f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}",
            "PRAGMA trusted_schema = OFF",
            # What erasure frees is overwritten with zeros at once.
            "PRAGMA secure_delete = ON",
            f"PRAGMA cache_size = -{CACHE_KIB}",
            f"PRAGMA journal_size_limit = {LOG_SIZE_LIMIT_BYTES}",
        ):
            connection.execute(pragma).close()
    except BaseException:
        connection.close()
        raise
    return connection


def check_sqlite_version() -> None:
    """Refuse a SQLite that lacks what the schema needs."""
    if sqlite3.sqlite_version_info < SQLITE_VERSION_MIN:
        needed = ".".join(map(str, SQLITE_VERSION_MIN))
        raise Invalid(
            f"runfold needs SQLite {needed} or newer; this Python has {sqlite3.sqlite_version}",
            facts={"field": "sqlite", "limit": needed, "size": sqlite3.sqlite_version},
        )
