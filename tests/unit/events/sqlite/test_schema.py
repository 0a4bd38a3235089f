"""Creating, recognising and migrating a store's file."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from uuid import UUID

import pytest

from runfold_events.contract.errors import Invalid, Unavailable
from runfold_events.stores.sqlite import SqliteStore, schema
from runfold_events.stores.sqlite.queries import QUERIES, resource
from runfold_events.stores.sqlite.schema import SCHEMA_VERSION, apply_migration, migrations
from runfold_events.sync import run_sync


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        yield connection


def definitions(connection: sqlite3.Connection) -> list[tuple[str, str, str]]:
    rows = connection.execute("SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY 1, 2")
    return rows.fetchall()


def open_and_close(path: Path, partitions: int | None = None) -> UUID:
    store = SqliteStore.open(path, partitions=partitions)
    run_sync(store.close())
    return store.epoch


def test_migrations_give_the_schema(connection: sqlite3.Connection) -> None:
    with closing(sqlite3.connect(":memory:")) as fresh:
        fresh.executescript(resource("schema.sql"))
        for _, script in migrations():
            connection.executescript(script)
        assert definitions(connection) == definitions(fresh)


def test_migrations_are_numbered_without_gaps_up_to_the_version() -> None:
    assert [number for number, _ in migrations()] == list(range(1, SCHEMA_VERSION + 1))


def test_every_query_is_sql_that_the_schema_knows(connection: sqlite3.Connection) -> None:
    connection.executescript(resource("schema.sql"))
    for name, sql in QUERIES.items():
        if name not in {"begin", "commit", "rollback"}:
            connection.execute(f"EXPLAIN {sql}", [None] * sql.count("?"))


def test_tables_have_strict_types(connection: sqlite3.Connection) -> None:
    connection.executescript(resource("schema.sql"))
    kinds = {
        row[1]: row[5] for row in connection.execute("PRAGMA table_list") if not row[1].startswith("sqlite_")
    }
    assert len(kinds) == 9
    assert set(kinds.values()) == {1}


def test_reopening_keeps_epoch_and_partitions(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "ledger.db"
    epoch = open_and_close(path, partitions=8)
    store = SqliteStore.open(path)
    assert (store.epoch, store.partitions) == (epoch, 8)
    run_sync(store.close())


def test_other_partitions_are_refused(tmp_path: Path) -> None:
    open_and_close(tmp_path / "ledger.db", partitions=2)
    with pytest.raises(Invalid, match="2 partitions, not 4"):
        SqliteStore.open(tmp_path / "ledger.db", partitions=4)


@pytest.mark.parametrize("partitions", [0, 3, -1, 2048])
def test_partitions_must_be_a_power_of_two(tmp_path: Path, partitions: int) -> None:
    with pytest.raises(Invalid) as caught:
        SqliteStore.open(tmp_path / "ledger.db", partitions=partitions)
    assert caught.value.field == "partitions"


def test_the_file_of_another_program_is_refused_and_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE t (x)")
        other.commit()
    before = path.read_bytes()
    with pytest.raises(Invalid, match="another program"):
        SqliteStore.open(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"hello, world\n" * 100, b"SQLite format 3\x00" + b"\xff" * 4096])
def test_what_is_no_database_is_refused_and_unchanged(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    with pytest.raises(Invalid, match="not a runfold store"):
        SqliteStore.open(path)
    assert path.read_bytes() == content


def test_a_folder_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        SqliteStore.open(tmp_path)


def test_a_home_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match="RUNFOLD_HOME"):
        SqliteStore.open(tmp_path / "file" / "ledger.db")


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    open_and_close(path)
    with closing(sqlite3.connect(path)) as later:
        later.execute("UPDATE meta SET schema_version = 99")
        later.commit()
    with pytest.raises(Invalid, match="upgrade runfold") as caught:
        SqliteStore.open(path)
    assert caught.value.size == 99


def test_an_older_schema_is_migrated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "ledger.db"
    epoch = open_and_close(path)
    added = [(SCHEMA_VERSION + 1, "CREATE TABLE more (x INTEGER) STRICT;")]
    monkeypatch.setattr(schema, "SCHEMA_VERSION", SCHEMA_VERSION + 1)
    monkeypatch.setattr(schema, "migrations", lambda: migrations() + added)
    assert open_and_close(path) == epoch
    assert open_and_close(path) == epoch
    with closing(sqlite3.connect(path)) as raw:
        assert raw.execute("SELECT schema_version FROM meta").fetchone() == (SCHEMA_VERSION + 1,)
        assert raw.execute("SELECT count(*) FROM more").fetchone() == (0,)


def test_a_migration_that_fails_leaves_nothing(connection: sqlite3.Connection) -> None:
    connection.executescript(resource("schema.sql"))
    connection.execute("INSERT INTO meta VALUES (1, zeroblob(16), 1, 1)")
    before = definitions(connection)
    with pytest.raises(sqlite3.OperationalError):
        apply_migration(connection, 2, "CREATE TABLE more (x); SELECT no_such_function();")
    assert definitions(connection) == before
    assert connection.execute("SELECT schema_version FROM meta").fetchone() == (1,)
    assert not connection.in_transaction


def test_a_store_whose_creation_was_cut_off_is_created_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "ledger.db"
    with monkeypatch.context() as patched:
        patched.setattr(schema, "CHAIN_START", b"too short")
        with pytest.raises(Exception, match="CHECK constraint"):
            SqliteStore.open(path)
    open_and_close(path)


def test_many_who_create_at_once_make_one_store(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        epochs = set(threads.map(open_and_close, [tmp_path / "ledger.db"] * 8))
    assert len(epochs) == 1


def test_the_file_uses_a_write_ahead_log(tmp_path: Path) -> None:
    open_and_close(tmp_path / "ledger.db")
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as raw:
        assert raw.execute("PRAGMA journal_mode").fetchone() == ("wal",)
