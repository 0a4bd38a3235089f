"""Every tab of a run, and every way to compare, light and dark: a picture to be looked at, and axe's opinion."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.axe import violations
from tests.support.browser import Scheme, Visitor
from tests.support.studio_pictures import RUN_PAGES, SCHEMES, take
from tests.support.studio_rich_run import fill_rich_run
from tests.support.studio_scene import Scene

pytestmark = pytest.mark.source_tree  # axe comes with what the Studio is built from


@pytest.fixture(scope="module")
def everything(studio_server: str, scene: Scene) -> str:
    """A run with everything in it beside those of the scene."""
    assert scene.sweep == "sweep"
    return fill_rich_run(studio_server).id


@pytest.mark.timeout(300)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_tab_has_its_picture_and_axe_finds_nothing_serious(
    visitors: Callable[..., Visitor], studio_server: str, everything: str, shots: Path, scheme: Scheme
) -> None:
    assert everything == "rich"
    visitor = visitors(studio_server, scheme=scheme)
    for name, picture in RUN_PAGES.items():
        page = take(visitor, name, picture, scheme, shots)
        assert violations(page) == [], name
