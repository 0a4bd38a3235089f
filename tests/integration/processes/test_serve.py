"""One process of a role: what it refuses, what it waits for, how it stops."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path
from typing import Final
from urllib.error import HTTPError

import pytest

from runfold_services.compose.admin import as_role, prepare_ledger
from runfold_services.stack.ports import free_ports
from tests.support.distributed_process import child_environment
from tests.support.stack import StackForTest, create_topic

WAIT_S_MAX: Final = 60.0


class RoleProcess:
    """A ``runfold serve``; ended at the end of the block, whatever happens."""

    def __init__(self, log: Path, *words: str, **environment: str) -> None:
        self.log = log
        with log.open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "runfold.cli.main", "serve", *words],
                env=child_environment(**environment),
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        self._watchdog = threading.Timer(WAIT_S_MAX, self.process.kill)
        self._watchdog.start()

    def __enter__(self) -> RoleProcess:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def wait(self) -> int:
        code = self.process.wait(WAIT_S_MAX)
        self._watchdog.cancel()
        self._watchdog.join()
        return code

    def said(self) -> str:
        return self.log.read_text("utf-8")


@pytest.fixture
def dsn(stack: StackForTest) -> str:
    """A store, as its service."""
    owner = stack.database()
    return as_role(owner, asyncio.run(prepare_ledger(owner)).service_role)


def status_of(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=WAIT_S_MAX) as answer:
            return int(answer.status)
    except HTTPError as error:
        with error:
            return error.code


@pytest.mark.parametrize("role", ["api", "decider", "relay", "projector"])
def test_a_role_says_that_it_is_ready_and_ends_with_0(
    role: str, stack: StackForTest, dsn: str, tmp_path: Path
) -> None:
    prefix = stack.topic(hint="p")  # a name that nobody else has
    with RoleProcess(
        tmp_path / "log",
        role,
        "--port",
        "0",
        "--kafka",
        stack.kafka,
        RUNFOLD_POSTGRES=dsn,
        RUNFOLD_KAFKA_PREFIX=prefix,
    ) as process:
        name = "" if role == "api" else f"{role} "
        line = process.line()
        assert line.startswith(f"runfold {name}ready at http://127.0.0.1:"), (line, process.said())
        url = line.split()[-1]
        assert status_of(f"{url}/health/live") == 200
        assert status_of(f"{url}/health/ready") == 200
        assert status_of(f"{url}/metrics") == 200
        process.process.send_signal(signal.SIGTERM)
        assert process.wait() == 0, process.said()


def test_a_database_without_a_store_is_refused_by_name(stack: StackForTest, tmp_path: Path) -> None:
    with RoleProcess(tmp_path / "log", "projector", "--port", "0", "--postgres", stack.database()) as process:
        assert process.wait() == 2
        assert "holds no runfold store" in process.said()


def test_a_decider_without_kafka_is_refused(dsn: str, tmp_path: Path) -> None:
    with RoleProcess(
        tmp_path / "log", "decider", "--port", "0", "--postgres", dsn, RUNFOLD_KAFKA=""
    ) as process:
        assert process.wait() == 2
        assert "--kafka" in process.said()


def test_a_topic_with_other_partitions_is_refused_by_name(
    stack: StackForTest, dsn: str, tmp_path: Path
) -> None:
    prefix = f"t{os.urandom(5).hex()}"
    asyncio.run(create_topic(stack.kafka, f"{prefix}.events", 3, {}))
    with RoleProcess(
        tmp_path / "log",
        "relay",
        "--port",
        "0",
        "--postgres",
        dsn,
        "--kafka",
        stack.kafka,
        RUNFOLD_KAFKA_PREFIX=prefix,
    ) as process:
        assert process.wait() == 1
        assert f"topic {prefix}.events is not as it must be: partitions is 3 and must be 16" in process.said()


def test_a_role_waits_alive_for_a_database_that_does_not_answer(tmp_path: Path) -> None:
    port, other = free_ports(2)
    nowhere = f"postgresql://nobody@127.0.0.1:{other}/nothing"
    with RoleProcess(tmp_path / "log", "projector", "--port", str(port), "--postgres", nowhere) as process:
        while status_or_none(f"http://127.0.0.1:{port}/health/live") is None:
            assert process.process.poll() is None, process.said()
        assert status_of(f"http://127.0.0.1:{port}/health/ready") == 503
        process.process.send_signal(signal.SIGTERM)
        assert process.wait() == 0
        assert "cannot start yet" in process.said()


def status_or_none(url: str) -> int | None:
    try:
        return status_of(url)
    except OSError:
        return None
