"""One chart of twenty runs with a million points each: how soon it is drawn, and again where one zooms in."""

from __future__ import annotations

import math
import random
from array import array
from collections.abc import Callable
from typing import Final

import msgspec
from playwright.sync_api import Browser, Page
from rich.console import Console

from benchmarks.connection import Connection
from benchmarks.measure import Group, Measured, Raw, Sizes, p50_ms
from benchmarks.place import Place, scratch
from benchmarks.processes import server
from benchmarks.progress import bar as progress_bar
from runfold_events.contract.columns import pack_floats, pack_integers
from runfold_events.contract.commands import LogMetrics
from runfold_events.contract.metrics import Series, encode_batch
from tests.support.browser import HEIGHT, WIDTH, open_browser

EXPERIMENT: Final = "long-curves"
RUNS: Final = 20
AIM_DRAWN_MS: Final = 1_000.0
AIM_ZOOMED_MS: Final = 300.0
_ZOOMS: Final = 5
_BATCH_POINTS: Final = 100_000
_START_MS: Final = 1_700_000_000_000

# Resolves when a chart has as many curves as there are runs and has been painted.
DRAWN: Final = """
(runs) => new Promise((resolve) => {
    const look = () => {
        const chart = document.querySelector(`.curve-canvas[aria-label*=", ${runs} curves "] canvas`);
        if (chart) requestAnimationFrame(() => setTimeout(() => resolve(performance.now()), 0));
        else requestAnimationFrame(look);
    };
    look();
})
"""
# Presses the key that zooms in; resolves with the milliseconds until finer curves, which end elsewhere, are painted.
ZOOMED: Final = """
() => new Promise((resolve) => {
    const chart = document.querySelector('.curve-canvas');
    const before = chart.getAttribute('aria-label');
    const began = performance.now();
    chart.dispatchEvent(new KeyboardEvent('keydown', { key: '+', bubbles: true }));
    const look = () => {
        if (chart.getAttribute('aria-label') === before) return void requestAnimationFrame(look);
        requestAnimationFrame(() => setTimeout(() => resolve(performance.now() - began), 0));
    };
    requestAnimationFrame(look);
})
"""


def run(console: Console, sizes: Sizes) -> list[Group]:
    """The ledger is temporary and gone afterwards."""
    with scratch() as folder:
        place = Place(home=str(folder / "home"))
        with progress_bar(console) as bar:
            task = bar.add_task(f"writing {RUNS} runs of {sizes.drawn_points:,} points", total=RUNS)
            fill(place, sizes.drawn_points, lambda: bar.advance(task))
        with server(folder / "home") as url, open_browser() as browser:
            return [measure(browser, url, sizes)]


def measure(browser: Browser, url: str, sizes: Sizes) -> Group:
    """Opening in pages of their own, then zooming in again and again in one."""
    raw = _curves_by_http(url, sizes.questions)
    pages = [_opened(browser, url) for _ in range(1 + sizes.repeats)][1:]
    zoomed = [float(page.evaluate(ZOOMED)) for _, page in pages for _ in range(_ZOOMS)]
    for _, page in pages:
        page.context.close()
    rows = (
        Measured(
            name=f"a comparison of {RUNS} runs, from its address to curves",
            unit="ms",
            values=tuple(took for took, _ in pages),
            raw=raw.value,
            raw_name=raw.name,
            aim=AIM_DRAWN_MS,
        ),
        Measured(
            name="zooming in by half, from the key to finer curves",
            unit="ms",
            values=tuple(zoomed),
            aim=AIM_ZOOMED_MS,
        ),
    )
    return Group(
        title=f"The Studio: a chart of {RUNS} runs with {sizes.drawn_points:,} points each",
        about="In Chromium without a window, over loopback; each drawing in a browser profile of its own, after one "
        "that warms the server. The ratio is to the same curves as JSON over a bare connection.",
        rows=rows,
    )


def fill(place: Place, points: int, progress: Callable[[], None]) -> None:
    """A loss that falls, with noise, in batches as a busy script sends them."""
    from runfold import Experiment

    workspace = place.workspace()
    experiment = Experiment(workspace, EXPERIMENT)
    connection = workspace._connection  # pyright: ignore[reportPrivateUsage]  # batches are encoded once for all runs
    for number in range(RUNS):
        rng = random.Random(number)
        run = experiment.start_logging(run_id=f"long-{number:02}")
        stream = connection.run_stream("default", run.id)
        for first in range(0, points, _BATCH_POINTS):
            batch = _batch(rng, number, range(first, min(points, first + _BATCH_POINTS)), points)
            connection.call_all([(stream, LogMetrics(run_id=run.id, batch=msgspec.Raw(batch)))], strict=True)
        run.complete()
        progress()
    next(iter(workspace.query(limit=1)))  # the views have folded all of it


def _batch(rng: random.Random, number: int, steps: range, points: int) -> bytes:
    pace = (3 + number % 5) / points
    values = array("d", (0.2 + 2 * math.exp(-pace * step) + rng.gauss(0, 0.05) for step in steps))
    series = Series(
        name="loss",
        times=pack_integers(array("q", (_START_MS + 10 * step for step in steps))),
        steps=pack_integers(array("q", steps)),
        columns={"loss": pack_floats(values)},
    )
    return encode_batch([series])


def _curves_by_http(url: str, questions: int) -> Raw:
    connection = Connection(url)
    body = {"runs": [f"long-{number:02}" for number in range(RUNS)], "names": ["loss"], "points_max": 200}
    took_ms = p50_ms(
        lambda: connection.expect(
            "POST", "/api/v1/workspaces/default/curves:query", msgspec.json.encode(body)
        ),
        questions,
    )
    return Raw("the curves as JSON, p50", took_ms)


def _opened(browser: Browser, url: str) -> tuple[float, Page]:
    context = browser.new_context(base_url=url, viewport={"width": WIDTH, "height": HEIGHT})
    page = context.new_page()
    asked = "&".join(f"run=long-{number:02}" for number in range(RUNS))
    page.goto(f"/studio/w/default/compare?{asked}", wait_until="commit")
    return float(page.evaluate(DRAWN, RUNS)), page
