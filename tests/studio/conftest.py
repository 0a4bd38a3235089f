"""A browser for each module, and servers for it to look at. No request is ever mocked."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Generator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.support.browser import PATIENCE_MS, BrowserMissing, Visitor, open_browser
from tests.support.repository import ON_WHEEL, ROOT
from tests.support.server_process import ServerProcess
from tests.support.studio_scene import Scene, fill_scene

SERVER_S_MAX = 600.0
expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="session", autouse=True)
def built_studio() -> None:
    """The Studio as its sources are now; a wheel has its own in it."""
    if not ON_WHEEL:
        subprocess.run([sys.executable, str(ROOT / "studio" / "build.py")], check=True)


@pytest.fixture(scope="module")
def browser() -> Generator[Browser]:
    """A real Chromium. Without one the tests fail and say how to get one: skipped tests show nothing."""
    try:
        with open_browser() as browser:
            yield browser
    except BrowserMissing as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture(scope="module")
def studio_server(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    """The URL of a server with nothing in it yet."""
    with ServerProcess(tmp_path_factory.mktemp("studio"), life_s_max=SERVER_S_MAX) as server:
        yield server.ready()


@pytest.fixture(scope="module")
def scene(studio_server: str) -> Scene:
    """Runs in every state that pages have to show, on :func:`studio_server`."""
    return fill_scene(studio_server)


@pytest.fixture
def visitors(browser: Browser) -> Generator[Callable[..., Visitor]]:
    """Makes visitors; afterwards none of them may have anything to complain of, or have talked to anybody else."""
    made: list[Visitor] = []

    def visitor(url: str, **options: object) -> Visitor:
        made.append(Visitor(browser, url, **options))  # type: ignore[arg-type]
        return made[-1]

    yield visitor
    for one in made:
        one.close()
    assert [complaint for one in made for complaint in one.complaints] == []
    assert [url for one in made for url in one.foreign] == []


@pytest.fixture
def visitor(visitors: Callable[..., Visitor], studio_server: str) -> Visitor:
    """Somebody who looks at :func:`studio_server`."""
    return visitors(studio_server)


@pytest.fixture
def shots() -> Path:
    """Where pictures of pages go, to be looked at."""
    folder = ROOT / ".dev" / "studio-shots"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
