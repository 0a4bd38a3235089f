"""A picture of every page, light and dark, to be looked at; the documentation's are made here too."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.browser import Scheme, Visitor
from tests.support.repository import ROOT
from tests.support.studio_scene import NIGHTLY, STATUSES, SWEEP, Scene

SETTLE_MS = 350  # for what is drawn after the last answer
IMAGES = ROOT / "docs" / "images"

PAGES = {
    "experiments": "w/default/experiments",
    "runs": f"w/default/runs?experiment={SWEEP}&children=1&sel=trial-0&sel=trial-2",
    "runs-grouped": f"w/default/runs?experiment={SWEEP}&children=1&group=params.optimizer",
    "runs-statuses": f"w/default/runs?experiment={STATUSES}&sort=number&cols=name,status,duration_s,created_at",
    "runs-refused": "w/default/runs?q=metrics.loss+%3C",
    "runs-nothing": f"w/default/runs?experiment={NIGHTLY}&q=nobody",
    "run": "w/default/runs/sweep",
    "run-failed": "w/default/runs/trial-3",
    "run-unknown": "w/default/runs/nobody",
    "system": "system",
    "lost": "w/default/nothing",
}
IN_DOCS = ("experiments", "runs", "runs-grouped", "run", "run-failed", "system")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_has_its_picture(
    visitors: Callable[..., Visitor], studio_server: str, scene: Scene, shots: Path, scheme: Scheme
) -> None:
    visitor = visitors(studio_server, scheme=scheme)
    assert scene.sweep == "sweep"
    for name, path in PAGES.items():
        page = visitor.visit(path)
        page.locator(".skeleton").wait_for(state="detached")
        if name == "runs-grouped":
            page.locator(".grid-row-group").first.click()
            page.locator(".grid-row .run-link").first.wait_for()
        page.wait_for_timeout(SETTLE_MS)
        picture = shots / f"{name}-{scheme}.png"
        page.screenshot(path=picture)
        assert picture.stat().st_size > 10_000, f"{name} is empty"
        if os.environ.get("RUNFOLD_UPDATE_DOCS") and name in IN_DOCS:
            IMAGES.mkdir(exist_ok=True)
            shutil.copy(picture, IMAGES / f"studio-{picture.name}")
    # The two pages that ask for what is not there, or for nonsense, say so on the console, too.
    visitor.complaints[:] = [text for text in visitor.complaints if "status of 40" not in text]
