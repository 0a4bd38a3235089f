"""A real server that speaks S3, on a free port of this machine: the gateway of JuiceFS over a folder and SQLite."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from msgspec import Struct

from runfold_services.stack.ports import HOST, free_ports

BUCKET: Final = "runfold-files"
READY_S_MAX: Final = 60.0


class S3Server(Struct, frozen=True):
    """Where it is and how to speak to it."""

    environment: dict[str, str]
    pid: int

    def address(self, prefix: str) -> str:
        """For ``RUNFOLD_FILES``."""
        return f"s3://{BUCKET}/{prefix}"


@contextmanager
def s3_server(folder: Path) -> Generator[S3Server]:
    """A server whose objects lie in ``folder``; it is gone at the end of the block."""
    program = str(Path(sys.executable).with_name("juicefs"))
    secret = secrets.token_hex(16)
    environment = {
        "HOME": str(folder),
        "PATH": os.environ["PATH"],
        "MINIO_ROOT_USER": "runfold",
        "MINIO_ROOT_PASSWORD": secret,
    }
    place = f"sqlite3://{folder}/names.db"
    made = [program, "format", "--storage", "file", "--bucket", f"{folder}/blocks/", place, BUCKET]
    subprocess.run(made, check=True, capture_output=True, env=environment)
    (port,) = free_ports(1)
    command = [program, "gateway", "--no-usage-report", "--no-banner", "--no-bgjob", "--backup-meta", "0"]
    command += ["--metrics", f"{HOST}:0", "--cache-dir", f"{folder}/cache", "--log", f"{folder}/log"]
    with (folder / "output").open("wb") as output:
        server = subprocess.Popen(
            [*command, place, f"{HOST}:{port}"], env=environment, stdout=output, stderr=output
        )
    try:
        _await_port(server, port, folder / "output")
        told = {
            "AWS_ENDPOINT_URL": f"http://{HOST}:{port}",
            "AWS_ALLOW_HTTP": "true",
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "runfold",
            "AWS_SECRET_ACCESS_KEY": secret,
        }
        yield S3Server(told, server.pid)
    finally:
        server.kill()
        server.wait()


def _await_port(server: subprocess.Popen[bytes], port: int, output: Path) -> None:
    deadline = time.monotonic() + READY_S_MAX
    while time.monotonic() < deadline:
        if server.poll() is not None:
            break
        try:
            socket.create_connection((HOST, port), timeout=1.0).close()
        except OSError:
            time.sleep(0.05)
            continue
        return
    raise AssertionError(f"the S3 server did not start: {output.read_text('utf-8', 'replace')[-2_000:]}")
