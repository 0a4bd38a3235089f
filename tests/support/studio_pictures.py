"""The pictures of the Studio's pages: which there are, how they are taken, which of them the documentation shows."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

from msgspec import Struct
from playwright.sync_api import Page

from tests.support.browser import HEIGHT, WIDTH, Scheme, Visitor
from tests.support.repository import ROOT
from tests.support.studio_scene import NIGHTLY, STATUSES, SWEEP

SCHEMES: Final[tuple[Scheme, ...]] = ("light", "dark")
IMAGES: Final = ROOT / "docs" / "images"
IMAGES_BYTES_MAX: Final = 5_000_000
UPDATE: Final = "RUNFOLD_UPDATE_DOCS"
SETTLE_MS: Final = 400  # for what is drawn after the last answer
_BYTES_MIN: Final = 10_000  # an empty page has fewer


def _nothing(_page: Page) -> None:
    """Nothing has to be done before the picture is taken."""


def _open_group(page: Page) -> None:
    page.locator(".grid-row-group").first.click()
    page.locator(".grid-row .run-link").first.wait_for()


def _open_refusal(page: Page) -> None:
    page.locator(".is-refused .history-line").click()
    page.locator(".history-json").wait_for()


def _point_at_curves(page: Page) -> None:
    page.locator(".metric-panel .u-over").first.hover(position={"x": 190, "y": 90})


class Picture(Struct, frozen=True):
    """One page at one address."""

    path: str
    is_in_docs: bool = False
    height: int = HEIGHT
    prepare: Callable[[Page], None] = _nothing


_RICH: Final = "w/default/runs/rich"
_EIGHT: Final = "&".join(f"run=trial-{number}" for number in range(8))

# Of the scene alone (tests.support.studio_scene).
PAGES: Final[dict[str, Picture]] = {
    "experiments": Picture("w/default/experiments", True),
    "runs": Picture(f"w/default/runs?experiment={SWEEP}&children=1&sel=trial-0&sel=trial-2", True),
    "runs-grouped": Picture(
        f"w/default/runs?experiment={SWEEP}&children=1&group=params.optimizer", True, prepare=_open_group
    ),
    "runs-statuses": Picture(
        f"w/default/runs?experiment={STATUSES}&sort=number&cols=name,status,duration_s,created_at", True
    ),
    "runs-refused": Picture("w/default/runs?q=metrics.loss+%3C"),
    "runs-nothing": Picture(f"w/default/runs?experiment={NIGHTLY}&q=nobody"),
    "run": Picture("w/default/runs/sweep", True),
    "run-failed": Picture("w/default/runs/trial-3", True),
    "run-unknown": Picture("w/default/runs/nobody"),
    "system": Picture("system", True),
    "lost": Picture("w/default/nothing"),
}
# Of a run with everything in it beside (tests.support.studio_rich_run).
RUN_PAGES: Final[dict[str, Picture]] = {
    "run-metrics": Picture(f"{_RICH}/metrics", True, height=1_380),
    "run-metrics-smoothed": Picture("w/default/runs/trial-1/metrics?smooth=0.8&large=loss"),
    "run-metrics-none": Picture("w/default/runs/nightly/metrics"),
    "run-charts": Picture(f"{_RICH}/metrics?metric=charts", True, height=1_000),
    "run-images": Picture(f"{_RICH}/metrics?metric=masks&large=masks", True),
    "run-logs": Picture(f"{_RICH}/logs?find=warning", True),
    "run-files": Picture(f"{_RICH}/files?file=outputs%2Fscores.csv", True),
    "run-files-image": Picture(f"{_RICH}/files?file=mask-1.png"),
    "run-files-text": Picture(f"{_RICH}/files?file=outputs%2Fconfig.json"),
    "run-history": Picture(f"{_RICH}/history", True, prepare=_open_refusal),
    "compare": Picture(f"w/default/compare?{_EIGHT}", True, prepare=_point_at_curves),
    "compare-table": Picture(f"w/default/compare?view=table&{_EIGHT}", True),
    "compare-parallel": Picture(f"w/default/compare?view=parallel&{_EIGHT}", True),
    "compare-scatter": Picture(f"w/default/compare?view=scatter&{_EIGHT}", True),
    "compare-none": Picture("w/default/compare"),
}


def take(visitor: Visitor, name: str, picture: Picture, scheme: Scheme, folder: Path) -> Page:
    """Write the picture of a page to ``folder``, and to the documentation when that is to be updated."""
    page = visitor.visit(picture.path)
    page.set_viewport_size({"width": WIDTH, "height": picture.height})
    page.locator(".skeleton, .chart-wait, .image-wait").first.wait_for(state="detached")
    page.wait_for_timeout(SETTLE_MS)
    picture.prepare(page)
    file = folder / f"{name}-{scheme}.png"
    page.screenshot(path=file)
    assert file.stat().st_size > _BYTES_MIN, f"{name} is empty"
    if os.environ.get(UPDATE) and picture.is_in_docs:
        IMAGES.mkdir(exist_ok=True)
        shutil.copy(file, IMAGES / file_in_docs(name, scheme))
    return page


def file_in_docs(name: str, scheme: Scheme) -> str:
    """What the documentation calls a picture."""
    return f"studio-{name}-{scheme}.png"


def files_taken() -> set[str]:
    """The files that the tests write for the documentation."""
    pictures = PAGES | RUN_PAGES
    return {
        file_in_docs(name, scheme)
        for name, picture in pictures.items()
        if picture.is_in_docs
        for scheme in SCHEMES
    }


def files_shown() -> dict[str, set[str]]:
    """Which files in :data:`IMAGES` the pages show, by file, and the pages that do."""
    found: dict[str, set[str]] = {}
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("**/*.md")]:
        for name in re.findall(r"images/([\w.-]+\.png)", page.read_text("utf-8")):
            found.setdefault(name, set()).add(page.name)
    return found
