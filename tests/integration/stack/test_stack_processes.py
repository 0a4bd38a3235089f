"""Processes that are recognised later: by number and birth, and never mistaken for another."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path

import pytest

from runfold_services.stack import processes
from runfold_services.stack.ports import free_ports, is_free
from runfold_services.stack.probes import kafka_answers, postgres_answers
from runfold_services.stack.processes import Process


def spawned(folder: Path, program: str) -> Process:
    return processes.spawn([sys.executable, "-c", program], log=folder / "log", environment=os.environ)


@pytest.fixture
def sleeper(tmp_path: Path) -> Generator[Process]:
    process = spawned(tmp_path, "import time; time.sleep(60)")
    yield process
    processes.end(process, signal.SIGKILL, patience_s=10)


def test_a_process_is_itself_until_it_ends(sleeper: Process) -> None:
    assert processes.is_alive(sleeper)
    assert processes.send(sleeper, signal.SIGSTOP)
    assert processes.is_alive(sleeper)

    processes.end(sleeper, signal.SIGTERM, patience_s=10)  # heard although it was stopped

    assert not processes.is_alive(sleeper)
    assert not processes.send(sleeper, signal.SIGTERM)


def test_the_same_number_with_another_birth_is_somebody_else(sleeper: Process) -> None:
    mistaken = Process(sleeper.pid, sleeper.born + "0")

    assert not processes.is_alive(mistaken)
    assert not processes.send(mistaken, signal.SIGKILL)
    processes.end(mistaken, signal.SIGKILL, patience_s=1)
    assert processes.is_alive(sleeper)


def test_a_process_that_ended_and_was_not_fetched_is_gone() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        process = Process(child.pid, processes.born(child.pid) or "")
        assert processes.is_alive(process)
        child.kill()
        assert processes.wait_until_gone(process, 10)  # a zombie until its parent asks


def test_a_process_that_will_not_end_is_made_to(tmp_path: Path) -> None:
    stubborn = spawned(
        tmp_path,
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(60)",
    )
    deadline = time.monotonic() + 20
    while not (tmp_path / "log").read_bytes():
        assert time.monotonic() < deadline
        time.sleep(0.02)

    processes.end(stubborn, signal.SIGTERM, patience_s=0.2)

    assert not processes.is_alive(stubborn)


def test_a_process_outlives_the_end_of_the_one_that_started_it(tmp_path: Path) -> None:
    program = (
        "import os, sys, pathlib; from runfold_services.stack import processes; "
        "started = processes.spawn([sys.executable, '-c', 'import time; time.sleep(60)'], "
        "log=pathlib.Path(sys.argv[1]), environment=os.environ); print(started.pid, started.born)"
    )
    told = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "log")], capture_output=True, text=True, check=True
    ).stdout
    pid, born = told.split(maxsplit=1)
    process = Process(int(pid), born.strip())

    assert processes.is_alive(process)
    assert os.getsid(process.pid) == process.pid
    processes.end(process, signal.SIGKILL, patience_s=10)
    assert not processes.is_alive(process)


def test_children_are_found(tmp_path: Path) -> None:
    parent = spawned(
        tmp_path,
        "import subprocess, sys; child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']); "
        "print(child.pid, flush=True); child.wait()",
    )
    deadline = time.monotonic() + 20
    while not (said := (tmp_path / "log").read_text("ascii")).endswith("\n"):
        assert time.monotonic() < deadline
        time.sleep(0.02)

    assert processes.children(parent.pid) == [int(said)]
    assert processes.send(parent, signal.SIGKILL, family=True)
    deadline = time.monotonic() + 20
    while processes.born(int(said)) is not None:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_free_ports_are_different_free_and_never_those_of_outgoing_connections() -> None:
    ports = free_ports(20)

    assert len(set(ports)) == 20
    assert all(is_free(port) and port < 32_768 for port in ports)


def test_nothing_answers_where_nothing_listens() -> None:
    (port,) = free_ports(1)

    assert not kafka_answers("127.0.0.1", port)
    assert not postgres_answers("127.0.0.1", port, "runfold")
