"""What the fixtures promise: both engines answer, nothing of one test is seen by another, one stack per run."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest
from msgspec import json

from runfold_services.stack import Stack, borrow, processes, settings_from_environment
from runfold_services.stack.folders import Folder
from tests.support.stack import StackForTest, Template, consume, produce, run_sql, say_nothing

GONE_S_MAX = 60.0


def test_a_record_comes_back_from_kafka(stack: StackForTest) -> None:
    topic = stack.topic(partitions=2)

    async def there_and_back() -> list[bytes]:
        await produce(stack.kafka, topic, b"one", b"two", partition=1)
        return await consume(stack.kafka, topic, 2)

    assert asyncio.run(there_and_back()) == [b"one", b"two"]


def test_postgres_is_new_enough_and_orders_text_by_code_point(stack: StackForTest) -> None:
    database = stack.database()

    version, order, encoding, durable = (
        asyncio.run(run_sql(database, f"SELECT {what}"))
        for what in (
            "current_setting('server_version_num')::int",
            "array(SELECT word FROM (VALUES ('b'), ('B'), ('a'), ('é')) words (word) ORDER BY word)",
            "current_setting('server_encoding')",
            "current_setting('fsync') || current_setting('synchronous_commit')",
        )
    )

    assert version >= 160_000
    assert order == ["B", "a", "b", "é"]
    assert encoding == "UTF8"
    assert durable == "onon"


def test_databases_know_nothing_of_each_other(stack: StackForTest) -> None:
    one, other = stack.database(), stack.database()

    asyncio.run(run_sql(one, "CREATE TABLE mine (x int)", "SELECT 1"))

    assert asyncio.run(run_sql(one, "SELECT to_regclass('mine') IS NOT NULL"))
    assert asyncio.run(run_sql(other, "SELECT to_regclass('mine') IS NULL"))


def test_a_template_is_filled_once_and_copied(stack: StackForTest) -> None:
    filled: list[str] = []

    def fill(dsn: str) -> None:
        filled.append(dsn)
        asyncio.run(run_sql(dsn, "CREATE TABLE t AS SELECT 7 AS x", "SELECT 1"))

    template = Template("filled_once", fill)
    one, other = stack.database(template), stack.database(template)
    asyncio.run(run_sql(one, "UPDATE t SET x = 8", "SELECT 1"))

    assert len(filled) == 1
    assert asyncio.run(run_sql(one, "SELECT x FROM t")) == 8
    assert asyncio.run(run_sql(other, "SELECT x FROM t")) == 7


def test_databases_and_topics_can_be_had_inside_a_running_loop(stack: StackForTest) -> None:
    async def inside() -> Any:
        await produce(stack.kafka, stack.topic(), b"one")
        return await run_sql(stack.database(), "SELECT 1")

    assert asyncio.run(inside()) == 1


def test_a_database_is_gone_after_its_test(stack: StackForTest, run_stack: Stack) -> None:
    another_test = StackForTest(run_stack)
    name = another_test.database().rpartition("/")[2]
    another_test.close()

    assert (
        asyncio.run(run_sql(stack.postgres, f"SELECT count(*) FROM pg_database WHERE datname = '{name}'"))
        == 0
    )


def test_processes_of_one_run_share_its_stack(run_stack: Stack) -> None:
    folder = Path(run_stack.status().folder)

    with borrow(folder, settings_from_environment(), say_nothing) as mine:
        assert mine.addresses == run_stack.addresses
    told = subprocess.run(borrower(folder, "pass"), check=True, capture_output=True, timeout=60).stdout

    assert json.decode(told, type=list[str]) == [run_stack.addresses.kafka, run_stack.addresses.postgres]
    # Others came and went, this process still holds it.
    assert run_stack.status().state == "up"


def test_a_stack_does_not_outlive_a_run_that_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNFOLD_STACK", "packages")  # whose processes can be looked at
    folder = tmp_path / "stack"
    run = subprocess.Popen(borrower(folder, "time.sleep(600)"), stdout=subprocess.PIPE)
    assert run.stdout is not None
    run.stdout.readline()  # it is up
    servers = [Folder(folder).process("kafka"), Folder(folder).process("postgres")]
    assert all(process is not None and processes.is_alive(process) for process in servers)

    run.send_signal(signal.SIGKILL)
    run.communicate()

    deadline = time.monotonic() + GONE_S_MAX
    while folder.exists() or any(process is not None and processes.is_alive(process) for process in servers):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert (tmp_path / "stack.logs" / "kafka.log").is_file()


def borrower(folder: Path, then: str) -> list[str]:
    """A process that borrows the stack in ``folder``, says where it is in one line, and goes on with ``then``."""
    program = f"""
        import json, pathlib, sys, time
        from runfold_services.stack import borrow, settings_from_environment
        with borrow(pathlib.Path(sys.argv[1]), settings_from_environment(), lambda *_: None) as stack:
            print(json.dumps([stack.addresses.kafka, stack.addresses.postgres]), flush=True)
            {then}
    """
    return [sys.executable, "-c", textwrap.dedent(program), str(folder)]
