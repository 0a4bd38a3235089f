"""A recorded sweep, and the command line over both transports."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest

from runfold import Workspace, _process
from runfold_services.compose import open_embedded
from tests.support.command_line import Cli, Story, record_story
from tests.support.http_server import running

TRANSPORTS = ("embedded", "http")


@pytest.fixture(scope="session", params=TRANSPORTS)
def place(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, ...]]:
    """Options that say where the runs are."""
    home = tmp_path_factory.mktemp(f"cli-{request.param}")
    if request.param == "embedded":
        yield ("--home", str(home))
    else:
        with running(open_embedded(home, background=False)) as server:
            yield ("--url", server.url)


@pytest.fixture(scope="session")
def story(place: tuple[str, ...]) -> Story:
    """A parent with children in several statuses, recorded once; tests only read it."""
    told = record_story(_workspace(place, "story"))
    _process.close_all()
    return told


@pytest.fixture
def cli(place: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> Cli:
    """``runfold ARGUMENTS`` on the story's workspace."""
    return Cli(capsys, (*place, "-w", "story"))


@pytest.fixture
def fresh(place: tuple[str, ...]) -> Iterator[Workspace]:
    """A workspace of the test's own, for what changes runs."""
    yield _workspace(place, f"w{uuid4().hex}")
    _process.close_all()


@pytest.fixture
def fresh_cli(place: tuple[str, ...], fresh: Workspace, capsys: pytest.CaptureFixture[str]) -> Cli:
    """``runfold ARGUMENTS`` on the test's own workspace."""
    return Cli(capsys, (*place, "-w", fresh.name))


def _workspace(place: tuple[str, ...], name: str) -> Workspace:
    return Workspace(workspace_name=name, **{place[0].removeprefix("--"): place[1]})  # type: ignore[arg-type]
