"""The hooks that fault tests use, on a stack of this module's own: what each does, and that nothing stored is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import asyncpg
import pytest

from runfold_services.stack import Part
from tests.support.stack import StackForTest, consume, produce, run_sql

Fault = Callable[[Part], None]

FAULTS: dict[str, Fault] = {
    "clean stop": lambda part: part.stop(),
    "immediate stop": lambda part: part.stop(clean=False),
    "kill": lambda part: part.kill(),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_broker_keeps_what_it_acknowledged(own_stack: StackForTest, fault: str) -> None:
    broker, topic = own_stack.servers.kafka, own_stack.topic()
    asyncio.run(produce(own_stack.kafka, topic, b"before"))

    FAULTS[fault](broker)
    assert not broker.status().running
    broker.start()

    asyncio.run(produce(own_stack.kafka, topic, b"after"))
    assert asyncio.run(consume(own_stack.kafka, topic, 2)) == [b"before", b"after"]


@pytest.mark.parametrize("fault", FAULTS)
def test_the_database_keeps_what_it_committed(own_stack: StackForTest, fault: str) -> None:
    server, database = own_stack.servers.postgres, own_stack.database()
    asyncio.run(run_sql(database, "CREATE TABLE t (x int)", "INSERT INTO t VALUES (7)", "SELECT 1"))

    FAULTS[fault](server)
    assert not server.status().running
    server.start()

    assert asyncio.run(run_sql(database, "SELECT x FROM t")) == 7


@pytest.mark.parametrize("name", ["kafka", "postgres"])
def test_a_paused_part_holds_its_connections_and_goes_on(own_stack: StackForTest, name: str) -> None:
    part = own_stack.servers.kafka if name == "kafka" else own_stack.servers.postgres
    where = part.status().where

    part.pause()
    try:
        paused = part.status()
    finally:
        part.resume()

    assert (paused.running, paused.answers) == (True, False)
    part.start()  # waits until it answers again
    assert part.status().where == where


def test_a_paused_database_answers_nobody_who_was_connected(own_stack: StackForTest) -> None:
    """Stopping the postmaster alone would leave every session that exists at work."""
    server = own_stack.servers.postgres

    async def ask_while_paused() -> tuple[bool, int | None]:
        connection = await asyncpg.connect(own_stack.postgres)
        try:
            await asyncio.to_thread(server.pause)
            asked = asyncio.create_task(connection.fetchval("SELECT 1"))
            done, _ = await asyncio.wait([asked], timeout=1)
            await asyncio.to_thread(server.resume)
            return bool(done), await asked
        finally:
            await connection.close()

    assert asyncio.run(ask_while_paused()) == (False, 1)


def test_a_paused_part_can_be_stopped(own_stack: StackForTest) -> None:
    for part in (own_stack.servers.kafka, own_stack.servers.postgres):
        part.pause()
        part.stop()
        assert not part.status().running
        part.start()


def test_faults_do_nothing_to_a_part_that_is_not_running(own_stack: StackForTest) -> None:
    part = own_stack.servers.postgres
    part.stop()

    for hook in (part.pause, part.resume, part.kill, part.stop):
        hook()

    assert not part.status().running
    part.start()
