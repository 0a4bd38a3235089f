"""What each kind of connection may do; the rest is refused when it is prepared."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from runfold_events.contract.errors import Invalid
from runfold_events.stores.sqlite import SqliteStore, connect, connection
from runfold_events.stores.sqlite.authorizer import Role
from runfold_events.stores.sqlite.connection import open_connection
from runfold_events.stores.sqlite.queries import QUERIES
from runfold_events.sync import run_sync

# Nobody of ours may do these.
FORBIDDEN = [
    "DROP TRIGGER events_delete",
    "DROP TABLE events",
    "DROP INDEX events_outcome",
    "ALTER TABLE events RENAME TO gone",
    "ALTER TABLE events ADD COLUMN more TEXT",
    "ALTER TABLE events DROP COLUMN body",
    "CREATE TRIGGER mine BEFORE INSERT ON events BEGIN SELECT 1; END",
    "CREATE TEMP TRIGGER mine BEFORE INSERT ON events BEGIN SELECT 1; END",
    "CREATE TABLE mine (x)",
    "CREATE TEMP TABLE mine (x)",
    "CREATE VIEW mine AS SELECT 1",
    "CREATE INDEX mine ON events (actor)",
    "CREATE INDEX view_mine ON events (actor)",
    "CREATE VIRTUAL TABLE mine USING fts5(x)",
    "CREATE TRIGGER view_mine BEFORE INSERT ON events BEGIN SELECT 1; END",
    "ATTACH DATABASE ':memory:' AS other",
    "VACUUM",
    "VACUUM INTO 'copy.db'",
    "REINDEX events",
    "ANALYZE",
    "PRAGMA writable_schema = ON",
    "PRAGMA journal_mode = DELETE",
    "PRAGMA synchronous = OFF",
    "PRAGMA recursive_triggers = ON",
    "PRAGMA ignore_check_constraints = ON",
    "PRAGMA foreign_keys = OFF",
    "PRAGMA query_only = OFF",
    "PRAGMA user_version = 5",
    "PRAGMA wal_checkpoint",
    "SELECT load_extension('x')",
    "DELETE FROM events",
    "UPDATE events SET actor = 'me'",
    "UPDATE events SET digest = x'00'",
    "UPDATE meta SET epoch = zeroblob(16)",
    "INSERT INTO meta VALUES (1, zeroblob(16), 1, 1)",
    "DELETE FROM partitions",
    "INSERT INTO partitions (partition, chain_head) VALUES (1, zeroblob(32))",
    "UPDATE partitions SET partition = 4",
    "DELETE FROM heads",
    "DELETE FROM writer_marks",
    "DELETE FROM run_numbers",
    "UPDATE sqlite_master SET sql = ''",
    "DELETE FROM sqlite_master",
    "INSERT INTO sqlite_master VALUES ('table', 'x', 'x', 0, '')",
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    store = SqliteStore.open(tmp_path / "ledger.db")
    run_sync(store.close())
    return tmp_path / "ledger.db"


@pytest.fixture(params=Role)
def any_role(path: Path, request: pytest.FixtureRequest) -> Iterator[sqlite3.Connection]:
    with closing(open_connection(path, request.param)) as opened:
        yield opened


@pytest.fixture
def views(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(connect(path, allow_views_ddl=True)) as opened:
        yield opened


@pytest.mark.parametrize("statement", FORBIDDEN)
def test_no_connection_of_ours_may(any_role: sqlite3.Connection, statement: str) -> None:
    before = any_role.execute(QUERIES["audit_schema"]).fetchall()
    with pytest.raises(
        sqlite3.DatabaseError, match=r"not authorized|authorization denied|may not be modified|prohibited"
    ):
        any_role.execute(statement)
    assert any_role.execute(QUERIES["audit_schema"]).fetchall() == before


def test_the_events_connection_may_do_what_the_store_needs(path: Path) -> None:
    with closing(open_connection(path, Role.EVENTS)) as opened:
        for name, sql in QUERIES.items():
            if name not in {"begin", "commit", "rollback"}:
                opened.execute(f"EXPLAIN {sql}", [None] * sql.count("?")).fetchall()


@pytest.mark.parametrize("statement", ["INSERT INTO leases VALUES (zeroblob(16), 1)", "DELETE FROM holders"])
@pytest.mark.parametrize("role", [Role.READER, Role.VIEWS])
def test_others_may_not_write_beside_events(path: Path, role: Role, statement: str) -> None:
    with (
        closing(open_connection(path, role)) as opened,
        pytest.raises(sqlite3.DatabaseError, match="not authorized"),
    ):
        opened.execute(statement)


def test_the_views_connection_owns_its_tables(views: sqlite3.Connection) -> None:
    for statement in (
        "CREATE TABLE view_a (k TEXT PRIMARY KEY, v INTEGER, UNIQUE (v)) STRICT, WITHOUT ROWID",
        "CREATE TABLE IF NOT EXISTS view_b (k INTEGER PRIMARY KEY, v TEXT UNIQUE)",
        "CREATE INDEX view_a_v ON view_a (v DESC)",
        "INSERT INTO view_a VALUES ('x', 1) ON CONFLICT (k) DO UPDATE SET v = 2",
        "INSERT INTO view_b SELECT 1, k FROM view_a",
        "UPDATE view_a SET v = 3",
        "ALTER TABLE view_a ADD COLUMN w TEXT",
        "ALTER TABLE view_b RENAME TO view_c",
        "DELETE FROM view_c",
        "DROP INDEX view_a_v",
        "DROP TABLE view_a",
    ):
        views.execute(statement)
    assert views.execute("SELECT value FROM json_each('[1, 2]')").fetchall() == [(1,), (2,)]
    assert views.execute("SELECT count(*) FROM events").fetchone() == (0,)


def test_a_reader_cannot_write_views(path: Path, views: sqlite3.Connection) -> None:
    views.execute("CREATE TABLE view_a (k TEXT)")
    with closing(connect(path)) as reader:
        assert reader.execute("SELECT count(*) FROM view_a").fetchone() == (0,)
        with pytest.raises(sqlite3.DatabaseError):
            reader.execute("INSERT INTO view_a VALUES ('x')")


def test_connecting_makes_no_file(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError):
        connect(tmp_path / "missing.db")
    assert list(tmp_path.iterdir()) == []


def test_paths_may_hold_any_character(tmp_path: Path) -> None:
    path = tmp_path / "a?b#c%20d é" / "ledger.db"
    store = SqliteStore.open(path)
    assert run_sync(store.ends()) == (0,)
    run_sync(store.close())
    assert path.exists()


def test_commits_are_synced(path: Path) -> None:
    with closing(connection.open_unrestricted(path)) as opened:
        assert opened.execute("PRAGMA synchronous").fetchone() == (2,)
        assert opened.execute("PRAGMA fullfsync").fetchone() == (1,)
        assert opened.execute("PRAGMA secure_delete").fetchone() == (1,)


def test_an_old_sqlite_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 36, 0))
    with pytest.raises(Invalid, match=r"SQLite 3\.37\.0"):
        connect(path)
