"""One server for each module of API tests, over an embedded ledger of its own."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from runfold_services.compose import open_embedded
from runfold_services.server import Server
from runfold_services.settings import ServerSettings
from tests.support.http_server import Client, running


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the ledger of :func:`server` lies."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def server(home: Path) -> Generator[Server]:
    """A server that answers requests, without tokens."""
    with running(open_embedded(home, background=False)) as server:
        yield server


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Generator[Server]:
    """A server with an admin, ``ALICE``, and somebody else, ``BOB`` (tests.support.http_server)."""
    folder = tmp_path_factory.mktemp("guarded")
    (folder / "tokens").write_text("alice alice-token admin\nbob bob-token\n")
    settings = ServerSettings(port=0, tokens_file=folder / "tokens", stop_s=5.0)
    with running(open_embedded(folder / "home", background=False), settings) as server:
        yield server


@pytest.fixture
def client(server: Server) -> Generator[Client]:
    """A connection to :func:`server`."""
    with Client(server.url) as client:
        yield client


@pytest.fixture(scope="module")
def bad_run(server: Server) -> str:
    """The path of a run that is there, for tests that treat it badly."""
    workspace = "/api/v1/workspaces/default"
    with Client(server.url) as client:
        client.post(f"{workspace}/experiments", {"experiment": "bad"})
        return f"{workspace}/runs/{client.post(f'{workspace}/runs', {'experiment': 'bad'}).json['run_id']}"
