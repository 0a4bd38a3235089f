"""A workspace of the test's own, over each transport."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from runfold import Experiment, Workspace, _process
from runfold_services.compose import open_embedded
from tests.support.http_server import running


@pytest.fixture(scope="session")
def server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real server, for all tests of the session."""
    with running(open_embedded(tmp_path_factory.mktemp("server"), background=False)) as server:
        yield server.url


@pytest.fixture(scope="session")
def embedded_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of an embedded ledger, for all tests of the session."""
    return tmp_path_factory.mktemp("embedded")


@pytest.fixture(params=["embedded", "http", "distributed"])
def workspace(request: pytest.FixtureRequest) -> Iterator[Workspace]:
    """An empty workspace."""
    name = f"w{uuid4().hex}"
    if request.param == "embedded":
        yield Workspace(workspace_name=name, home=request.getfixturevalue("embedded_home"))
    elif request.param == "http":
        yield Workspace(workspace_name=name, url=request.getfixturevalue("server_url"))
    else:
        yield Workspace(workspace_name=name, url=request.getfixturevalue("distributed_url"))
    _process.close_all()


@pytest.fixture
def experiment(workspace: Workspace) -> Experiment:
    """An empty experiment."""
    return Experiment(workspace, "explore-runs")
