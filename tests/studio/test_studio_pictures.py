"""A picture of every page, light and dark, to be looked at; the documentation's are made here too."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.browser import Scheme, Visitor
from tests.support.studio_pictures import PAGES, SCHEMES, take
from tests.support.studio_scene import Scene


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_page_has_its_picture(
    visitors: Callable[..., Visitor], studio_server: str, scene: Scene, shots: Path, scheme: Scheme
) -> None:
    visitor = visitors(studio_server, scheme=scheme)
    assert scene.sweep == "sweep"
    for name, picture in PAGES.items():
        take(visitor, name, picture, scheme, shots)
    # The two pages that ask for what is not there, or for nonsense, say so on the console, too.
    visitor.complaints[:] = [text for text in visitor.complaints if "status of 40" not in text]
