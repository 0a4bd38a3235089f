"""`runfold stack up|status|down` on a home of their own: what they promise and what they leave alone.

Made of processes also where a Docker engine answers: these tests look at pids, sockets and files.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
from collections.abc import Generator
from pathlib import Path

import pytest
from msgspec import json, structs

from runfold_services.stack import commands, processes, settings_from_environment
from runfold_services.stack.folders import Folder
from runfold_services.stack.port import PartName, PartStatus, StackStatus
from runfold_services.stack.processes import Process
from tests.support.stack import consume, create_topic, produce, run_sql

PROCESSES = structs.replace(settings_from_environment(), source="packages")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Generator[Path]:
    path = tmp_path_factory.mktemp("user")
    yield path
    commands.down(path, wipe=True, settings=PROCESSES)


@pytest.fixture
def running(home: Path) -> commands.Up:
    """The user's stack, up, with a table and a topic in it."""
    up = commands.up(home, settings=PROCESSES)
    if asyncio.run(run_sql(up.addresses.postgres, "SELECT to_regclass('kept') IS NULL")):
        asyncio.run(run_sql(up.addresses.postgres, "CREATE TABLE kept AS SELECT 7 AS x", "SELECT 1"))
        asyncio.run(create_topic(up.addresses.kafka, "kept", 1, {}))
        asyncio.run(produce(up.addresses.kafka, "kept", b"before"))
    return up


def assert_kept(up: commands.Up) -> None:
    assert asyncio.run(run_sql(up.addresses.postgres, "SELECT x FROM kept")) == 7
    assert asyncio.run(consume(up.addresses.kafka, "kept", 1)) == [b"before"]


def part(status: StackStatus, name: PartName) -> PartStatus:
    (found,) = [part for part in status.parts if part.name == name]
    return found


def process_of(home: Path, name: PartName) -> Process:
    process = Folder(commands.stack_folder(home)).process(name)
    assert process is not None
    return process


def test_there_is_nothing_before_the_first_up(tmp_path: Path) -> None:
    assert commands.status(tmp_path, settings=PROCESSES).state == "absent"
    assert commands.down(tmp_path, wipe=True, settings=PROCESSES).stopped == ()
    assert list(tmp_path.iterdir()) == []


def test_up_gives_addresses_that_answer_and_the_command_to_go_on(home: Path) -> None:
    commands.down(home, wipe=True, settings=PROCESSES)
    told: list[str] = []

    up = commands.up(home, progress=lambda what, done=0, total=0: told.append(what), settings=PROCESSES)

    assert up.status.state == "up"
    assert up.started == ("kafka", "postgres")
    assert told[-1] == "starting kafka and postgres"
    assert up.following == f"runfold up --kafka {up.addresses.kafka} --postgres {up.addresses.postgres}"
    assert up.addresses.kafka.startswith("127.0.0.1:")
    assert asyncio.run(run_sql(up.addresses.postgres, "SELECT current_database()::text")) == "runfold"
    asyncio.run(create_topic(up.addresses.kafka, "first", 3, {}))


def test_a_second_up_changes_nothing(home: Path, running: commands.Up) -> None:
    again = commands.up(home, settings=PROCESSES)

    assert again.started == ()
    assert again.addresses == running.addresses
    assert [part.where for part in again.status.parts] == [part.where for part in running.status.parts]


def test_only_loopback_is_listened_on(running: commands.Up) -> None:
    listening = listening_addresses(*(int(part.where) for part in running.status.parts))

    assert listening
    assert all(address.startswith("127.") for address in listening)


def test_others_on_this_machine_cannot_read_the_password(home: Path, running: commands.Up) -> None:
    password = running.addresses.postgres.split(":")[2].partition("@")[0]
    folder = commands.stack_folder(home)
    holding = [
        path for path in folder.rglob("*") if path.is_file() and password.encode() in path.read_bytes()
    ]

    assert [path.name for path in holding] == ["stack.json"]
    assert holding[0].stat().st_mode & 0o077 == 0
    with pytest.raises(Exception, match="password"):
        asyncio.run(run_sql(running.addresses.postgres.replace(password, "guessed"), "SELECT 1"))


def test_a_killed_broker_is_told_and_comes_back_with_its_data(home: Path, running: commands.Up) -> None:
    os.kill(int(part(running.status, "kafka").where), signal.SIGKILL)
    assert processes.wait_until_gone(process_of(home, "kafka"), 20)

    told = commands.status(home, settings=PROCESSES)
    assert (told.state, part(told, "kafka").running, part(told, "kafka").answers) == (
        "partly up",
        False,
        False,
    )

    again = commands.up(home, settings=PROCESSES)
    assert again.started == ("kafka",)
    assert again.addresses == running.addresses
    assert_kept(again)


def test_a_stopped_server_runs_and_does_not_answer(home: Path, running: commands.Up) -> None:
    pids = [int(part.where) for part in running.status.parts]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        told = commands.status(home, settings=PROCESSES)
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)

    assert [part.running for part in told.parts] == [True, True]
    assert [part.answers for part in told.parts] == [False, False]
    assert told.state == "partly up"


def test_down_keeps_the_data_and_up_finds_it(home: Path, running: commands.Up) -> None:
    alive = [process_of(home, "kafka"), process_of(home, "postgres")]

    down = commands.down(home, settings=PROCESSES)

    assert down.stopped == ("kafka", "postgres")
    assert down.status.state == "down"
    assert not any(map(processes.is_alive, alive))
    assert commands.down(home, settings=PROCESSES).stopped == ()
    again = commands.up(home, settings=PROCESSES)
    assert again.addresses == running.addresses
    assert_kept(again)


def test_a_port_that_somebody_took_meanwhile_is_exchanged(home: Path, running: commands.Up) -> None:
    commands.down(home, settings=PROCESSES)
    ports = [int(address.rpartition(":")[2]) for address in addresses_of(running)]
    taken = [socket.create_server(("127.0.0.1", port)) for port in ports]
    try:
        told = commands.status(home, settings=PROCESSES)  # something answers there, and it is not ours
        again = commands.up(home, settings=PROCESSES)
    finally:
        for listener in taken:
            listener.close()

    assert told.state == "down"
    assert set(addresses_of(again)).isdisjoint(addresses_of(running))
    assert_kept(again)


def test_down_never_ends_a_process_that_it_did_not_start(home: Path, running: commands.Up) -> None:
    """The broker died, and its number was given to somebody else."""
    commands.down(home, settings=PROCESSES)
    with subprocess.Popen(["sleep", "60"]) as somebody:
        try:
            old = process_of(home, "kafka")
            file = commands.stack_folder(home) / "kafka" / "process.json"
            file.write_bytes(json.encode(Process(somebody.pid, old.born)))

            told = commands.status(home, settings=PROCESSES)
            down = commands.down(home, settings=PROCESSES)

            assert not part(told, "kafka").running
            assert down.stopped == ()
            assert somebody.poll() is None
        finally:
            somebody.kill()
    assert commands.up(home, settings=PROCESSES).started == ("kafka", "postgres")


def test_wipe_leaves_nothing_and_up_begins_anew(home: Path, running: commands.Up) -> None:
    alive = [process_of(home, "kafka"), process_of(home, "postgres")]

    down = commands.down(home, wipe=True, settings=PROCESSES)

    assert down.wiped
    assert down.status.state == "absent"
    assert not commands.stack_folder(home).exists()
    assert not any(map(processes.is_alive, alive))
    fresh = commands.up(home, settings=PROCESSES)
    assert fresh.addresses.postgres != running.addresses.postgres
    assert asyncio.run(run_sql(fresh.addresses.postgres, "SELECT to_regclass('kept') IS NULL"))


def addresses_of(up: commands.Up) -> tuple[str, str]:
    return up.addresses.kafka, up.addresses.postgres.partition("@")[2].partition("/")[0]


def listening_addresses(*pids: int) -> list[str]:
    """The addresses on which these processes accept connections, as the system tells; needs ``lsof`` or ``/proc``."""
    if not Path("/proc/net/tcp").exists():
        listed = subprocess.run(
            ["lsof", "-nP", "-a", "-iTCP", "-sTCP:LISTEN", "-Fn", "-p", ",".join(map(str, pids))],
            capture_output=True,
            text=True,
            check=True,
        )
        return [line[1:] for line in listed.stdout.splitlines() if line.startswith("n")]
    held = {str(fd.readlink()) for pid in pids for fd in Path(f"/proc/{pid}/fd").iterdir() if fd.is_symlink()}
    found: list[str] = []
    for table in ("tcp", "tcp6"):
        for line in Path("/proc/net", table).read_text("ascii").splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in held:
                found.append(readable(fields[1].partition(":")[0]))
    return found


def readable(address: str) -> str:
    """An address of ``/proc/net``: words of four bytes, each in this machine's order; IPv4 also inside of IPv6."""
    packed = b"".join(bytes.fromhex(address[i : i + 8])[::-1] for i in range(0, len(address), 8))
    if len(packed) == 16 and packed.startswith(bytes(10) + b"\xff\xff"):
        packed = packed[12:]
    return socket.inet_ntop(socket.AF_INET if len(packed) == 4 else socket.AF_INET6, packed)
