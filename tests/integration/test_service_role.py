"""What the role of services may do in the database: by the store's functions and in the views' schema, nothing else."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Generator
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from runfold_events.stores.postgres import PostgresStore
from runfold_events.stores.postgres.schema import SERVICE_FUNCTIONS
from runfold_services.compose.admin import SERVICE_ROLE as ROLE
from runfold_services.compose.admin import as_role, is_service, prepare_ledger
from tests.support.recording import record
from tests.support.stack import StackForTest, run_apart, run_sql

OWNER_ONLY: Final = {
    "refuse_change()",
    "refuse_update()",
    "refuse_meta_update()",
    "note_holders('{}', '{}', '{}', '{}', '{}')",
    "erase_bodies(0, 99, '{w/run/r}')",
}
FORBIDDEN: Final = {
    # change what is stored
    "update": "UPDATE runfold.events SET actor = 'nobody'",
    "erase": "UPDATE runfold.events SET body = NULL, salt = NULL",
    "delete": "DELETE FROM runfold.events",
    "truncate": "TRUNCATE runfold.events",
    "truncate all": "TRUNCATE runfold.partitions, runfold.meta CASCADE",
    "insert": "INSERT INTO runfold.events SELECT * FROM runfold.events",
    "merge": "MERGE INTO runfold.events AS e USING runfold.events AS o ON e.id = o.id WHEN MATCHED THEN DELETE",
    "upsert": "INSERT INTO runfold.heads VALUES ('w/run/r', 1, '') ON CONFLICT (stream) DO UPDATE SET state = ''",
    "move the cursor": "UPDATE runfold.partitions SET next_offset = 0",
    "lock a row": "SELECT * FROM runfold.partitions FOR UPDATE",
    "lock the table": "BEGIN; LOCK TABLE runfold.events IN ACCESS EXCLUSIVE MODE",
    "copy in": "COPY runfold.events FROM PROGRAM 'true'",
    "forget a mark": "DELETE FROM runfold.writer_marks",
    "new epoch": "UPDATE runfold.meta SET epoch = gen_random_uuid()",
    "forge a restore": "SET runfold.restoring = 'yes'; UPDATE runfold.meta SET epoch = gen_random_uuid()",
    # get rid of what stands in the way
    "disable triggers": "ALTER TABLE runfold.events DISABLE TRIGGER ALL",
    "disable one": "ALTER TABLE runfold.events DISABLE TRIGGER events_delete",
    "drop a trigger": "DROP TRIGGER events_update ON runfold.events",
    "replica": "SET session_replication_role = replica",
    "replica for ever": f"ALTER ROLE {ROLE} SET session_replication_role = replica",
    "drop the table": "DROP TABLE runfold.events",
    "drop the schema": "DROP SCHEMA runfold CASCADE",
    "alter the table": "ALTER TABLE runfold.events ADD COLUMN x int",
    "inherit": "CREATE TABLE runfold_views.mine () INHERITS (runfold.events)",
    "partition": "ALTER TABLE runfold.events RENAME TO gone",
    "rule": "CREATE RULE none AS ON INSERT TO runfold.events DO INSTEAD NOTHING",
    "index": "CREATE INDEX mine ON runfold.events (actor)",
    "policy": "ALTER TABLE runfold.events ENABLE ROW LEVEL SECURITY",
    "new trigger": (
        "CREATE FUNCTION runfold_views.no() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; "
        "CREATE TRIGGER no BEFORE INSERT ON runfold.events FOR EACH ROW EXECUTE FUNCTION runfold_views.no()"
    ),
    # put something of its own in the way of what has more rights
    "replace a function": (
        "CREATE OR REPLACE FUNCTION runfold.now_us() RETURNS bigint LANGUAGE sql AS 'SELECT 0::bigint'"
    ),
    "alter a function": "ALTER FUNCTION runfold.lock_partition(integer) SECURITY INVOKER",
    "own a table there": "CREATE TABLE runfold.mine (x int)",
    "own a function there": "CREATE FUNCTION runfold.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "own a table elsewhere": "CREATE TABLE public.events (x int)",
    "own a schema": "CREATE SCHEMA mine",
    # more rights
    "grant": f"GRANT UPDATE ON runfold.events TO {ROLE}",
    "become owner": f"ALTER TABLE runfold.events OWNER TO {ROLE}",
    "become superuser": f"ALTER ROLE {ROLE} SUPERUSER",
    "a role": "CREATE ROLE another SUPERUSER",
    "read files": "SELECT pg_read_file('/etc/passwd')",
    "write files": "COPY (SELECT 1) TO PROGRAM 'true'",
    "drop the views' schema": "DROP SCHEMA runfold_views CASCADE",
    **{f"call {call.partition('(')[0]}": f"SELECT runfold.{call}" for call in OWNER_ONLY},
}
# Said without a word of refusal, but without effect: the engine warns that nothing was granted.
WITHOUT_EFFECT: Final = frozenset({"grant"})


class Place:
    """A store with one run, and both ways in which a service is the service role."""

    def __init__(self, owner: str, login: str) -> None:
        self.owner = owner
        self.dsns = {"login": login, "role": as_role(owner, ROLE)}

    async def attack(self, dsn: str, statement: str) -> BaseException | None:
        """Try it; the error."""
        connection = await asyncpg.connect(dsn)
        try:
            await connection.execute(statement)
        except asyncpg.PostgresError as error:
            return error
        finally:
            await connection.close()
        return None

    async def stored(self) -> list[Any]:
        """Everything that counts, as the owner sees it."""
        found: list[Any] = await run_sql(
            self.owner,
            "SELECT array[(SELECT string_agg(e::text, ',' ORDER BY partition, pos) FROM runfold.events AS e), "
            "(SELECT string_agg(p::text, ',' ORDER BY partition) FROM runfold.partitions AS p), "
            "(SELECT string_agg(m::text, ',') FROM runfold.meta AS m), "
            "(SELECT string_agg(w::text, ',' ORDER BY stream) FROM runfold.writer_marks AS w), "
            "(SELECT string_agg(t.tgname || t.tgenabled::text, ',' ORDER BY t.tgname) FROM pg_trigger AS t "
            " WHERE NOT tgisinternal), "
            "(SELECT string_agg(c.relname || coalesce(c.relacl::text, '') || c.relowner, ',' ORDER BY c.relname) "
            " FROM pg_class AS c WHERE relnamespace = 'runfold'::regnamespace)]",
        )
        return found


@pytest.fixture(scope="module")
def place(run_stack: Any) -> Generator[Place]:
    """One for all: nothing that is tried here may change it."""
    stack = StackForTest(run_stack)
    owner, login = stack.database(), f"login_{secrets.token_hex(4)}"

    async def make() -> None:
        await prepare_ledger(owner, partitions=2)
        await run_sql(
            owner, f"CREATE ROLE {login} LOGIN PASSWORD 'not-a-secret' IN ROLE {ROLE} NOINHERIT", "SELECT 1"
        )
        store = await PostgresStore.open(as_role(owner, ROLE))
        await record(store, "r", "s")
        await store.close()

    run_apart(make)
    parts = urlsplit(owner)
    address = f"{login}:not-a-secret@{parts.hostname}:{parts.port}"
    yield Place(owner, as_role(urlunsplit(parts._replace(netloc=address)), ROLE))
    stack.close()


@pytest.mark.parametrize("by", ["login", "role"])
def test_the_service_role_can_neither_change_nor_open_anything(place: Place, by: str) -> None:
    """As a login that acts as the role from its first statement on, and as the owner's DSN with ``?role=``."""

    async def story() -> None:
        before = await place.stored()
        assert await is_service(place.dsns[by])
        for what, statement in FORBIDDEN.items():
            error = await place.attack(place.dsns[by], statement)
            if what not in WITHOUT_EFFECT:
                assert isinstance(error, asyncpg.InsufficientPrivilegeError), (what, error)
        assert await place.stored() == before

    asyncio.run(story())


def test_a_login_of_its_own_cannot_leave_the_role(place: Place) -> None:
    """The owner's password with ``?role=`` is no such login: whoever has that can go back to the owner's rights."""
    leave = "SET ROLE NONE; DELETE FROM runfold.heads WHERE false"

    async def story() -> None:
        for statement in (
            leave,
            "RESET ROLE; TRUNCATE runfold.heads",
            "SET SESSION AUTHORIZATION DEFAULT; " + leave,
        ):
            error = await place.attack(place.dsns["login"], statement)
            assert isinstance(error, asyncpg.InsufficientPrivilegeError), (statement, error)
        assert await place.attack(place.dsns["role"], leave) is None

    asyncio.run(story())


def test_rights_are_select_and_the_functions_that_services_need(place: Place) -> None:
    tables = (
        "SELECT array_agg(DISTINCT p.name) FROM pg_class AS c, "
        "unnest('{SELECT,INSERT,UPDATE,DELETE,TRUNCATE,REFERENCES,TRIGGER}'::text[]) AS p (name) "
        "WHERE c.relnamespace = 'runfold'::regnamespace AND c.relkind IN ('r', 'v') "
        f"AND has_table_privilege('{ROLE}', c.oid, p.name)"
    )
    functions = (
        "SELECT array_agg(proname::text) FROM pg_proc WHERE pronamespace = 'runfold'::regnamespace "
        f"AND has_function_privilege('{ROLE}', oid, 'EXECUTE')"
    )

    async def story() -> None:
        assert await run_sql(place.owner, tables) == ["SELECT"]
        assert set(await run_sql(place.owner, functions)) == set(SERVICE_FUNCTIONS)

    asyncio.run(story())


def test_nothing_of_its_own_comes_before_what_the_functions_use(place: Place) -> None:
    """Functions that run with the owner's rights look for names in the store's schema first, whoever calls."""

    async def story() -> None:
        for dsn in place.dsns.values():
            connection = await asyncpg.connect(dsn)
            try:
                await connection.execute(
                    "SET search_path = pg_temp, runfold_views, runfold; "
                    "CREATE FUNCTION pg_temp.now_us() RETURNS bigint LANGUAGE sql AS 'SELECT 7::bigint'; "
                    "CREATE FUNCTION runfold_views.now_us() RETURNS bigint LANGUAGE sql AS 'SELECT 7::bigint'; "
                    "CREATE TEMP TABLE partitions (LIKE runfold.partitions); "
                    "CREATE TABLE runfold_views.partitions (LIKE runfold.partitions)"
                )
                row = await connection.fetchrow("SELECT * FROM runfold.lock_partition(0)")
                assert row is not None
                real = await run_sql(
                    place.owner, "SELECT next_pos FROM runfold.partitions WHERE partition = 0"
                )
                assert (row["next_pos"], row["now"] > 7) == (real, True)
            finally:
                await connection.execute(
                    "DROP TABLE runfold_views.partitions; DROP FUNCTION runfold_views.now_us()"
                )
                await connection.close()

    asyncio.run(story())


UNPROTECTED: Final = {
    "no triggers, all rights": (
        f"ALTER TABLE runfold.events DISABLE TRIGGER ALL; GRANT ALL ON runfold.events TO {ROLE}",
        "DELETE FROM runfold.events",
    ),
    "an owner's function": (
        f"GRANT EXECUTE ON FUNCTION runfold.erase_bodies TO {ROLE}; GRANT ALL ON runfold.events, runfold.writer_marks "
        f"TO {ROLE}; ALTER TABLE runfold.events DISABLE TRIGGER ALL",
        "SELECT runfold.erase_bodies(0, 99, '{w/run/r,w/run/s}')",
    ),
}


@pytest.mark.parametrize("what", UNPROTECTED)
def test_without_the_protection_the_same_attacks_do_damage(stack: StackForTest, what: str) -> None:
    """The control."""
    opened, attack = UNPROTECTED[what]
    owner = stack.database()

    async def story() -> None:
        await prepare_ledger(owner, partitions=1)
        place = Place(owner, as_role(owner, ROLE))
        store = await PostgresStore.open(place.dsns["role"])
        await record(store, "r", "s")
        await store.close()
        before = await place.stored()
        assert isinstance(await place.attack(place.dsns["role"], attack), asyncpg.InsufficientPrivilegeError)
        assert await place.stored() == before
        await run_sql(owner, opened, "SELECT 1")
        assert await place.attack(place.dsns["role"], f"SET search_path = runfold; {attack}") is None
        assert await place.stored() != before

    asyncio.run(story())
