"""The folder of a stack: what is in it, and who may change it now."""

from __future__ import annotations

import base64
import fcntl
import os
import secrets
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

import msgspec
from msgspec import Struct

from runfold_services.stack.port import PartName, Source
from runfold_services.stack.processes import Process

# Others may pass through, as the database must that runs as another user when root starts it; they may not look.
_FOLDER_MODE: Final = 0o711
_SECRET_MODE: Final = 0o600

_T = TypeVar("_T")


class Plan(Struct, frozen=True, kw_only=True):
    """What is decided when a stack is first started, in ``stack.json``."""

    source: Source
    host: str
    kafka_port: int
    controller_port: int
    postgres_port: int
    password: str
    cluster_id: str
    kafka_heap_mb: int

    def address(self, part: PartName) -> tuple[str, int]:
        return self.host, self.kafka_port if part == "kafka" else self.postgres_port


class Folder:
    """``RUNFOLD_HOME/stack``, or a test run's own."""

    def __init__(self, path: Path) -> None:
        self.path: Final = path.absolute()

    def part(self, name: PartName) -> Path:
        return self.path / name

    def plan(self) -> Plan | None:
        return _read(self.path / "stack.json", Plan)

    def keep_plan(self, plan: Plan) -> None:
        self.make(self.path)
        _write(self.path / "stack.json", plan)

    def process(self, part: PartName) -> Process | None:
        """The process that this stack started last for ``part``; it may have ended."""
        return _read(self.part(part) / "process.json", Process)

    def keep_process(self, part: PartName, process: Process) -> None:
        _write(self.part(part) / "process.json", process)

    def container(self, part: PartName) -> str | None:
        return _read(self.part(part) / "container.json", str)

    def keep_container(self, part: PartName, container_id: str) -> None:
        _write(self.part(part) / "container.json", container_id)

    def make(self, path: Path) -> Path:
        """``path`` in or at this folder, made if it is not there."""
        for folder in (*reversed(path.parents), path):
            if folder == self.path or folder.is_relative_to(self.path):
                folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
        return path

    def wipe(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)

    @contextmanager
    def locked(self) -> Generator[None]:
        """One at a time may start, stop or wipe. The lock is beside the folder, so that it outlives a wipe."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with locked(self.path.with_name(f".{self.path.name}.lock")):
            yield


@contextmanager
def locked(file: Path) -> Generator[None]:
    """Wait for, and hold, the one lock that ``file`` stands for; a process that dies lets go of it."""
    with file.open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def new_password() -> str:
    return secrets.token_hex(16)


def new_cluster_id() -> str:
    """Sixteen bytes as Kafka writes them. It refuses one that begins with a dash, which would look like an option."""
    while (name := base64.urlsafe_b64encode(secrets.token_bytes(16)).decode("ascii").rstrip("=")).startswith(
        "-"
    ):
        pass
    return name


def _read(file: Path, kind: type[_T]) -> _T | None:
    try:
        return msgspec.json.decode(file.read_bytes(), type=kind)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _write(file: Path, content: object) -> None:
    """Whole or not at all, and for nobody else to read: a plan holds the password."""
    fresh = file.with_name(f"{file.name}.{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _SECRET_MODE)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(msgspec.json.format(msgspec.json.encode(content)))
    fresh.replace(file)
