"""The roles of the compose file, on a real Postgres: who logs in as the service can serve, and can change nothing."""

from __future__ import annotations

import os
import secrets
import subprocess
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from runfold_services.compose.admin import SERVICE_ROLE, is_service, prepare_ledger
from runfold_services.compose.postgres import open_server
from runfold_services.stack.postgres import programs
from tests.support.repository import ROOT
from tests.support.stack import StackForTest, run_apart

pytestmark = pytest.mark.source_tree

SCRIPT = ROOT / "deploy" / "compose" / "service-role.sh"


def test_the_service_role_of_the_compose_file_serves_and_changes_nothing(
    stack: StackForTest, tmp_path: Path
) -> None:
    """Roles belong to the whole server, which others use, so this one has a name of its own."""
    role, password, owner = f"service_{secrets.token_hex(4)}", secrets.token_hex(24), stack.database()
    text = SCRIPT.read_text("utf-8")
    assert SERVICE_ROLE in text
    script = tmp_path / SCRIPT.name
    script.write_text(text.replace(SERVICE_ROLE, role), "utf-8")
    parts = urlsplit(owner)
    environment = {
        "PATH": f"{programs()}{os.pathsep}{os.environ['PATH']}",
        "PGHOST": parts.hostname or "",
        "PGPORT": str(parts.port),
        "PGPASSWORD": parts.password or "",
        "POSTGRES_USER": parts.username or "",
        "POSTGRES_DB": parts.path.lstrip("/"),
        "SERVICE_PASSWORD": password,
    }
    subprocess.run(["bash", str(script)], env=environment, check=True, timeout=60, capture_output=True)
    service = urlunsplit(parts._replace(netloc=f"{role}:{password}@{parts.hostname}:{parts.port}"))

    async def serve() -> None:
        prepared = await prepare_ledger(owner, service_role=role)
        assert prepared.is_new
        assert await is_service(service)
        tracker = await open_server(service)
        await tracker.close()
        connection = await asyncpg.connect(service)
        try:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute("UPDATE runfold.meta SET partitions = 1")
        finally:
            await connection.close()

    try:
        run_apart(serve)
    finally:
        run_apart(lambda: _drop(owner, role))


async def _drop(owner: str, role: str) -> None:
    connection = await asyncpg.connect(owner)
    try:
        await connection.execute(f"DROP OWNED BY {role} CASCADE")
        await connection.execute(f"DROP ROLE {role}")
    finally:
        await connection.close()
