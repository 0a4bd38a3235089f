"""Every tab of a run, and every way to compare, light and dark: a picture to be looked at, and axe's opinion."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.axe import violations
from tests.support.browser import HEIGHT, WIDTH, Scheme, Visitor
from tests.support.repository import ROOT
from tests.support.studio_rich_run import fill_rich_run
from tests.support.studio_scene import Scene

IMAGES = ROOT / "docs" / "images"
RICH = "w/default/runs/rich"
EIGHT = "&".join(f"run=trial-{number}" for number in range(8))
PAGES = {
    "run-metrics": f"{RICH}/metrics",
    "run-metrics-smoothed": "w/default/runs/trial-1/metrics?smooth=0.8&large=loss",
    "run-metrics-none": "w/default/runs/nightly/metrics",
    "run-logs": f"{RICH}/logs?find=warning",
    "run-files": f"{RICH}/files?file=outputs%2Fscores.csv",
    "run-files-image": f"{RICH}/files?file=mask-1.png",
    "run-files-text": f"{RICH}/files?file=outputs%2Fconfig.json",
    "run-history": f"{RICH}/history",
    "compare": f"w/default/compare?{EIGHT}",
    "compare-table": f"w/default/compare?view=table&{EIGHT}",
    "compare-parallel": f"w/default/compare?view=parallel&{EIGHT}",
    "compare-scatter": f"w/default/compare?view=scatter&{EIGHT}",
    "compare-none": "w/default/compare",
}
TALL = {"run-metrics": 2_300}
IN_DOCS = (
    "run-metrics",
    "run-logs",
    "run-files",
    "run-history",
    "compare",
    "compare-table",
    "compare-parallel",
)
SETTLE_MS = 400  # for what is drawn after the last answer

pytestmark = pytest.mark.source_tree  # axe comes with what the Studio is built from


@pytest.fixture(scope="module")
def everything(studio_server: str, scene: Scene) -> str:
    """A run with everything in it beside those of the scene."""
    assert scene.sweep == "sweep"
    return fill_rich_run(studio_server).id


@pytest.mark.timeout(300)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_tab_has_its_picture_and_axe_finds_nothing_serious(
    visitors: Callable[..., Visitor], studio_server: str, everything: str, shots: Path, scheme: Scheme
) -> None:
    assert everything == "rich"
    visitor = visitors(studio_server, scheme=scheme)
    for name, path in PAGES.items():
        page = visitor.visit(path)
        page.set_viewport_size({"width": WIDTH, "height": TALL.get(name, HEIGHT)})
        page.locator(".skeleton, .chart-wait, .image-wait").first.wait_for(state="detached")
        page.wait_for_timeout(SETTLE_MS)
        if name == "run-history":
            page.locator(".is-refused .history-line").click()
        picture = shots / f"{name}-{scheme}.png"
        page.screenshot(path=picture)
        assert picture.stat().st_size > 10_000, f"{name} is empty"
        assert violations(page) == [], name
        if os.environ.get("RUNFOLD_UPDATE_DOCS") and name in IN_DOCS:
            IMAGES.mkdir(exist_ok=True)
            shutil.copy(picture, IMAGES / f"studio-{picture.name}")
