"""What the owner of a database does to its store: create, migrate, mark as restored."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import sqlite3
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import unquote, urlsplit, urlunsplit
from uuid import UUID

import asyncpg
import pytest

from runfold_events.contract.codec import decode_event
from runfold_events.contract.envelope import CHAIN_START, check_events
from runfold_events.contract.errors import Invalid, Unavailable
from runfold_events.contract.events import StoreRestored
from runfold_events.restoring import Restoration
from runfold_events.stores.postgres import PostgresStore, mark_restored, migrate
from runfold_events.stores.postgres import restore as restore_module
from runfold_events.stores.postgres import schema as schema_module
from runfold_events.stores.postgres import store as store_module
from runfold_events.stores.postgres.schema import ADMINISTRATION, SCHEMA_VERSION, Migration, migrations
from runfold_events.stores.sqlite import SqliteStore
from runfold_events.stores.sqlite.restore import mark_restored as mark_file_restored
from runfold_events.sync import run_sync
from tests.support.postgres_store import SERVICE_ROLE, as_service, template
from tests.support.program import run_here
from tests.support.recording import record
from tests.support.stack import StackForTest, run_sql, with_database

T = TypeVar("T")
PASSWORD: Final = "hunter2%2Fhunter2"

# Everything of a schema that a program could notice. Names of NOT NULL constraints are the engine's own.
CATALOG: Final = """
SELECT 'column', c.relname, a.attnum || ' ' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod) || ' '
    || a.attnotnull || ' ' || a.attstorage::text || ' ' || coalesce(pg_get_expr(d.adbin, d.adrelid), '')
FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid LEFT JOIN pg_attrdef AS d ON (d.adrelid, d.adnum) =
    (a.attrelid, a.attnum)
WHERE c.relnamespace = 'runfold'::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
UNION ALL SELECT 'table', relname, coalesce(array_to_string(reloptions, ','), '') || ' ' || coalesce(relacl::text, '')
FROM pg_class WHERE relnamespace = 'runfold'::regnamespace AND relkind = 'r'
UNION ALL SELECT 'index', tablename, indexdef FROM pg_indexes WHERE schemaname = 'runfold'
UNION ALL SELECT 'constraint', conrelid::regclass::text, pg_get_constraintdef(oid)
FROM pg_constraint WHERE connamespace = 'runfold'::regnamespace AND contype <> 'n'
UNION ALL SELECT 'trigger', tgrelid::regclass::text, tgenabled::text || ' ' || pg_get_triggerdef(oid)
FROM pg_trigger WHERE NOT tgisinternal AND tgrelid IN (
    SELECT oid FROM pg_class WHERE relnamespace = 'runfold'::regnamespace)
UNION ALL SELECT 'function', proname, pg_get_functiondef(oid) || coalesce(proacl::text, '')
FROM pg_proc WHERE pronamespace = 'runfold'::regnamespace
ORDER BY 1, 2, 3
"""


def drive(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


async def owner_of(dsn: str) -> Any:
    return await asyncpg.connect(dsn, server_settings={"application_name": ADMINISTRATION})


async def ask(dsn: str, query: str) -> list[tuple[Any, ...]]:
    connection = await owner_of(dsn)
    try:
        return [tuple(row) for row in await connection.fetch(query)]
    finally:
        await connection.close()


@pytest.fixture
def dsn(stack: StackForTest) -> str:
    """An empty store of four partitions."""
    return stack.database(template(4))


# Migrations


def test_migrations_give_the_schema(stack: StackForTest, dsn: str) -> None:
    async def apply_all(other: str) -> None:
        owner = await owner_of(other)
        try:
            await owner.execute("CREATE SCHEMA runfold")
            await owner.execute("SET search_path = runfold")
            for step in migrations():
                await owner.execute(step.script)
            await owner.execute("INSERT INTO meta VALUES (true, 0, gen_random_uuid(), 4)")
            added = Migration(
                SCHEMA_VERSION, "last", "SELECT 1"
            )  # grants and functions come with the last one
            assert await migrate(owner, service_role=SERVICE_ROLE, known=[added]) == ["last"]
        finally:
            await owner.close()

    other = stack.database()
    drive(apply_all(other))
    assert drive(ask(other, CATALOG)) == drive(ask(dsn, CATALOG))


def test_migrations_are_numbered_without_gaps_up_to_the_version() -> None:
    assert [one.number for one in migrations()] == list(range(1, SCHEMA_VERSION + 1))


FIRST_NEW: Final = SCHEMA_VERSION + 1
ADDS: Final = Migration(FIRST_NEW, "pre", "ALTER TABLE heads ADD COLUMN note text")
TAKES: Final = Migration(FIRST_NEW + 1, "post", "ALTER TABLE heads DROP COLUMN note", needs_rest=True)
FAILS: Final = Migration(FIRST_NEW + 1, "broken", "ALTER TABLE heads ADD COLUMN other text; SELECT 1 / 0")


async def version(dsn: str) -> int:
    return int((await ask(dsn, "SELECT schema_version FROM runfold.meta"))[0][0])


async def migrated(dsn: str, *added: Migration) -> list[str]:
    owner = await owner_of(dsn)
    try:
        return await migrate(owner, service_role=SERVICE_ROLE, known=[*migrations(), *added])
    finally:
        await owner.close()


def test_what_adds_meets_services_at_work_and_what_takes_away_waits_for_them(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema_module, "REST_S_MAX", 0.3)

    async def story() -> None:
        store = await PostgresStore.open(as_service(dsn))
        try:
            assert await migrated(dsn, ADDS) == ["pre"]
            async with store.transaction(0) as transaction:
                assert (await transaction.load(["w/run/r"], ())).heads == {}
            with pytest.raises(Unavailable, match="stop api, decider, relay and projector"):
                await migrated(dsn, ADDS, TAKES)
        finally:
            await store.close()
        assert await version(dsn) == FIRST_NEW
        assert await migrated(dsn, ADDS, TAKES) == ["post"]

    drive(story())


def test_two_that_migrate_at_once_do_it_once_and_a_failure_leaves_what_was_done(dsn: str) -> None:
    async def story() -> None:
        results = await asyncio.gather(*(migrated(dsn, ADDS) for _ in range(4)))
        assert sorted(map(len, results)) == [0, 0, 0, 1]
        with pytest.raises(asyncpg.DivisionByZeroError):
            await migrated(dsn, ADDS, FAILS)
        assert await version(dsn) == FIRST_NEW
        columns = (
            "SELECT 1 FROM information_schema.columns WHERE table_name = 'heads' AND column_name = 'other'"
        )
        assert await ask(dsn, columns) == []

    drive(story())


def test_a_program_refuses_a_schema_that_is_not_its_own(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def opened() -> None:
        await (await PostgresStore.open(as_service(dsn))).close()

    drive(migrated(dsn, ADDS))
    with pytest.raises(Invalid, match="upgrade runfold"):
        drive(opened())
    with pytest.raises(Invalid, match="upgrade runfold"):
        drive(migrated(dsn))
    monkeypatch.setattr(schema_module, "SCHEMA_VERSION", FIRST_NEW + 1)
    with pytest.raises(Invalid, match="runfold ledger migrate"):
        drive(opened())


def test_an_append_that_is_under_way_makes_a_migration_give_up_soon(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Services that come meanwhile would wait behind it."""
    monkeypatch.setattr(schema_module, "DDL_LOCK_S_MAX", 0.2)

    async def story() -> None:
        holder = await owner_of(dsn)
        try:
            async with holder.transaction():
                await holder.execute("LOCK TABLE runfold.heads IN ROW EXCLUSIVE MODE")
                with pytest.raises(asyncpg.LockNotAvailableError):
                    await migrated(dsn, ADDS)
        finally:
            await holder.close()
        assert await migrated(dsn, ADDS) == ["pre"]

    drive(story())


# After a restore


async def restored(dsn: str) -> Restoration:
    owner = await owner_of(dsn)
    try:
        return await mark_restored(owner)
    finally:
        await owner.close()


def test_a_restored_store_has_a_new_epoch_and_says_so_in_every_partition(dsn: str) -> None:
    async def story() -> None:
        store = await PostgresStore.open(as_service(dsn))
        before = store.epoch
        await record(store, "a", "b", "c", "d", "e")
        ends = await store.ends()
        await store.close()
        done = await restored(dsn)
        assert (done.previous_epoch, done.ends) == (before, ends)
        store = await PostgresStore.open(as_service(dsn))
        try:
            assert store.epoch == done.epoch != before
            for partition, end in enumerate(ends):
                (event,) = await store.read(partition, end, 10)
                assert decode_event(event) == StoreRestored(previous_epoch=before)
                assert (event.epoch, event.stream) == (done.epoch, f"_system/{partition}")
                events = await store.read(partition, 0, 1_000)
                damage, _ = check_events(events, partition=partition, from_pos=0, previous_chain=CHAIN_START)
                assert damage == []
            await record(store, "f")
        finally:
            await store.close()
        with pytest.raises(asyncpg.InsufficientPrivilegeError):  # what was allowed was allowed for once
            await ask(dsn, "UPDATE runfold.meta SET epoch = gen_random_uuid() RETURNING 1")

    drive(story())


def test_a_store_is_not_marked_while_services_are_connected(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema_module, "REST_S_MAX", 0.2)

    async def story() -> None:
        store = await PostgresStore.open(as_service(dsn))
        try:
            with pytest.raises(Unavailable, match="1 of their sessions"):
                await restored(dsn)
            assert (await ask(dsn, "SELECT epoch FROM runfold.meta"))[0][0] == store.epoch
        finally:
            await store.close()

    drive(story())


async def connected_again(store: PostgresStore) -> None:
    """Wait until the store's pool has noticed that its connections are gone."""
    for _ in range(200):
        try:
            await store.ends()
        except Unavailable as error:
            if "start it again" in error.message:
                return
            await asyncio.sleep(0.05)
        else:
            return


@pytest.mark.parametrize("checks", [True, False], ids=["protected", "control"])
def test_a_service_from_before_the_restore_appends_nothing(
    dsn: str, checks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was cut off when the store was marked, and connects again. The control goes on in an epoch that is over."""

    async def nothing(*_: object) -> None:
        return None

    monkeypatch.setattr(restore_module, "wait_for_rest", nothing)
    if not checks:
        monkeypatch.setattr(store_module.KnownEpoch, "check", nothing)

    async def story() -> None:
        store = await PostgresStore.open(as_service(dsn))
        try:
            done = await restored(dsn)
            await ask(
                dsn,
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND application_name = 'runfold'",
            )
            await connected_again(store)
            if checks:
                with pytest.raises(Unavailable, match="start it again"):
                    await record(store, "late")
            else:
                await record(store, "late")
        finally:
            await store.close()
        epochs = await ask(dsn, "SELECT DISTINCT epoch FROM runfold.events WHERE type <> 'store.restored'")
        assert epochs == ([] if checks else [(done.previous_epoch,)])

    drive(story())


# By the command line


async def owner_with_password(dsn: str) -> str:
    """The same database, whose owner is now a role of its own, as in a database that somebody was given."""
    parts, name = urlsplit(dsn), f"owner_{secrets.token_hex(4)}"
    await run_sql(
        dsn,
        f"CREATE ROLE {name} LOGIN CREATEROLE PASSWORD '{unquote(PASSWORD)}'",
        f'ALTER DATABASE "{parts.path[1:]}" OWNER TO {name}',
        "SELECT 1",
    )
    return urlunsplit(parts._replace(netloc=f"{name}:{PASSWORD}@{parts.hostname}:{parts.port}"))


def test_a_store_is_created_migrated_and_marked_by_the_command_line(stack: StackForTest) -> None:
    dsn = drive(owner_with_password(stack.database()))
    told = {"RUNFOLD_POSTGRES_OWNER": dsn}
    as_roles = ("--service-role", SERVICE_ROLE, "-o", "json")

    assert "runfold ledger create" in run_here("ledger", "migrate", *as_roles, environment=told, expect=2).err
    assert "runfold ledger create" in run_here("ledger", "restored", environment=told, expect=2).err
    made = run_here("ledger", "create", "--partitions", "4", *as_roles, environment=told)
    again = run_here("ledger", "create", *as_roles, environment=told)
    assert (made.json["state"], again.json["state"]) == ("created", "was there")
    assert made.json["epoch"] == again.json["epoch"]
    assert again.json["partitions"] == 4
    other = run_here("ledger", "create", "--partitions", "8", *as_roles, environment=told, expect=2)
    assert "4 partitions already" in other.err
    migrated = run_here("ledger", "migrate", *as_roles, environment=told)
    assert (migrated.json["state"], migrated.json["migrations"]) == ("was up to date", [])

    marked = run_here("ledger", "restored", "-o", "json", environment=told)
    assert marked.json["previous_epoch"] == made.json["epoch"]
    assert marked.json["ends"] == [0, 0, 0, 0]
    assert "runfold rebuild" in marked.err
    for said in (made, again, other, migrated, marked):
        assert "hunter2" not in said.out + said.err


@pytest.mark.parametrize(
    ("dsn", "code"),
    [
        (f"postgresql://me:{PASSWORD}@127.0.0.1:1/db", 4),
        ("postgresql://me:hunter2/hunter2@127.0.0.1:1/db", 2),
        ("postgresql://me:hunter2#hunter2@127.0.0.1:1/db", 2),
        ("postgresql://me:[hunter2@127.0.0.1:1/db", 2),
        (f"mysql://me:{PASSWORD}@127.0.0.1/db", 2),
        (f"me:{PASSWORD}@127.0.0.1", 2),
        (f"postgresql://me:{PASSWORD}@127.0.0.1:hunter2/db", 2),
        (f"postgresql://me:{PASSWORD}@127.0.0.1:1/db?sslmode=hunter2", 4),
    ],
)
@pytest.mark.parametrize(
    "command", [("ledger", "create"), ("ledger", "restored"), ("unreadable", "list")], ids=" ".join
)
def test_no_error_shows_a_password(command: tuple[str, ...], dsn: str, code: int) -> None:
    said = run_here(*command, "--postgres", dsn, "--debug", expect=code)
    assert "hunter2" not in said.err.replace("sslmode=hunter2", "")


def test_who_may_not_make_a_store_is_told(stack: StackForTest, dsn: str) -> None:
    nobody = run_here("ledger", "create", expect=2)
    assert "RUNFOLD_POSTGRES_OWNER" in nobody.err
    stranger = run_here("ledger", "migrate", "--postgres", as_service(dsn), expect=2)
    assert "owner" in stranger.err
    missing = run_here("ledger", "create", "--postgres", with_database(dsn, "not_there"), expect=3)
    assert "CREATE DATABASE" in missing.err


def recorded_in(home: Path, run_id: str) -> None:
    store = SqliteStore.open(home / "ledger.db")
    run_sync(record(store, run_id))
    run_sync(store.close())


def test_a_file_that_was_put_back_is_marked_too(tmp_path: Path) -> None:
    place = ("--home", str(tmp_path), "-w", "w")
    recorded_in(tmp_path, "first")
    backup = (tmp_path / "ledger.db").read_bytes()
    recorded_in(tmp_path, "lost")
    assert len(run_here("run", "list", "-o", "json", *place).json) == 2
    for part in tmp_path.glob("ledger.db*"):
        part.unlink()
    (tmp_path / "ledger.db").write_bytes(backup)
    run_here("run", "list", *place)  # folds

    done = run_here("ledger", "restored", "-o", "json", *place).json
    assert "runfold rebuild" in run_here("run", "list", *place, expect=4).err
    run_here("rebuild", *place)
    recorded_in(tmp_path, "after")
    runs = run_here("run", "list", "-o", "json", *place).json
    assert {run["run_id"] for run in runs} == {"first", "after"}
    assert run_here("ledger", "check", "-o", "json", *place).json["is_sound"]
    with contextlib.closing(sqlite3.connect(tmp_path / "ledger.db")) as file:
        epochs = [
            str(UUID(bytes=row[0])) for row in file.execute("SELECT epoch FROM events ORDER BY position")
        ]
    assert (epochs[0], epochs[-1]) == (done["previous_epoch"], done["epoch"])
    missing = run_here("ledger", "restored", "--home", str(tmp_path / "nothing"), expect=3)
    assert "there is no ledger" in missing.err


def test_a_program_that_has_the_file_open_appends_nothing_after_it(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path / "ledger.db")
    mark_file_restored(tmp_path / "ledger.db")

    async def append() -> None:
        async with store.transaction(0):
            raise AssertionError("it began")

    with pytest.raises(Unavailable, match="start the program again"):
        run_sync(append())
    run_sync(store.close())
