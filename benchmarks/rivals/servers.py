"""Every side's server: started here on loopback with a database of its own, and gone afterwards."""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from benchmarks.rivals.environments import environment

START_S_MAX: Final = 180.0
STOP_S: Final = 30.0
# Unless told, uvicorn kills a worker that is too busy to answer its parent within 5 s, and closes connections that wait
# so long for a first request; on a busy machine a comparison would end there.
PATIENCE_S: Final = 120
_READY: Final = re.compile(r"runfold ready at (http://\S+)\n")


@contextmanager
def mlflow(folder: Path, dsn: str, workers: int | None) -> Generator[tuple[str, int]]:
    """``mlflow server`` over Postgres; URL and process id. ``workers``: None is its default."""
    folder.mkdir(parents=True, exist_ok=True)
    port = _free_port()
    words = ["server", "--backend-store-uri", dsn, "--host", "127.0.0.1", "--port", str(port)]
    patience = f"--timeout-worker-healthcheck {PATIENCE_S} --timeout-keep-alive {PATIENCE_S}"
    words += ["--uvicorn-opts", patience]
    words += [] if workers is None else ["--workers", str(workers)]
    command = [str(environment("mlflow") / "bin" / "mlflow"), *words]
    with _process(command, folder, f"http://127.0.0.1:{port}/health") as process:
        yield f"http://127.0.0.1:{port}", process.pid


@contextmanager
def fasttrackml(folder: Path, database: str) -> Generator[tuple[str, int]]:
    """``fml server`` over a database; URL and process id."""
    folder.mkdir(parents=True, exist_ok=True)
    port = _free_port()
    words = ["server", "--database-uri", database, "--listen-address", f"127.0.0.1:{port}"]
    command = [str(environment("fasttrackml") / "bin" / "fml"), *words, "--log-level", "error"]
    with _process(command, folder, f"http://127.0.0.1:{port}/health") as process:
        yield f"http://127.0.0.1:{port}", process.pid


@contextmanager
def runfold(folder: Path, *words: str) -> Generator[tuple[str, int]]:
    """``runfold up``; URL and process id."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "runfold.cli.main", "up", "--port", "0", "--log-level", "warning"]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("RUNFOLD_")}
    with (folder / "server.log").open("ab") as log:
        process = subprocess.Popen(
            [*command, *words],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=environment | {"RUNFOLD_HOME": str(folder)},
        )
        try:
            line = process.stdout.readline() if process.stdout else ""
            found = _READY.fullmatch(line)
            if found is None:
                raise RuntimeError(f"runfold did not start: {line!r} {_last_words(folder)}")
            yield found[1], process.pid
        finally:
            _stop(process)


def new_database(server_dsn: str) -> str:
    """A database of a side's own on the stack's Postgres; its DSN."""
    name = f"rivals_{secrets.token_hex(4)}"

    async def create() -> None:
        connection = await asyncpg.connect(server_dsn)
        try:
            await connection.execute(f'CREATE DATABASE "{name}"')
        finally:
            await connection.close()

    asyncio.run(create())
    return urlunsplit(urlsplit(server_dsn)._replace(scheme="postgresql", path=f"/{name}"))


@contextmanager
def _process(command: Sequence[str], folder: Path, health: str) -> Generator[subprocess.Popen[bytes]]:
    with (folder / "server.log").open("ab") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, start_new_session=True)
        try:
            _wait_for(health, process, folder)
            yield process
        finally:
            _stop(process)


def _wait_for(health: str, process: subprocess.Popen[bytes], folder: Path) -> None:
    deadline = time.monotonic() + START_S_MAX
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(health, timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"no answer from {health}: {_last_words(folder)}")


def _stop(process: subprocess.Popen[bytes] | subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _last_words(folder: Path) -> str:
    return (folder / "server.log").read_text("utf-8", "replace")[-2_000:]


def _free_port() -> int:
    """A port that nobody has now; servers that choose one themselves cannot tell which."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port
