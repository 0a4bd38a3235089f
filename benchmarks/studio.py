"""The Studio with 100,000 runs in one experiment, in a real Chromium: how soon it can be used, scrolled and asked."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any, Final

import msgspec
from playwright.sync_api import Browser, Page
from rich.console import Console

from benchmarks.connection import Connection
from benchmarks.measure import Group, Measured, Raw, Sizes, percentile
from benchmarks.place import Place, scratch
from benchmarks.processes import server
from benchmarks.progress import bar as progress_bar
from runfold_events.contract.columns import Column
from runfold_events.contract.commands import (
    Command,
    CompleteRun,
    CreateRun,
    FailRun,
    LogMetrics,
    LogParams,
    Params,
)
from runfold_events.contract.metrics import Series, encode_batch
from tests.support.browser import HEIGHT, WIDTH, open_browser

EXPERIMENT: Final = "hundred-thousand"
PAGE: Final = f"/studio/w/default/runs?experiment={EXPERIMENT}"
AIM_INTERACTIVE_MS: Final = 1_500.0
AIM_ANSWER_MS: Final = 300.0
WORDS: Final = (
    "brisk",
    "calm",
    "dawn",
    "ember",
    "fjord",
    "grove",
    "haze",
    "iris",
    "jade",
    "knoll",
    "lark",
    "mist",
)
# What is typed, and a text that the first row of the answer holds.
QUESTIONS: Final = (
    ("filter by a parameter and a metric", "params.lr < 0.001 and metrics.loss < 0.2"),
    ("filter by status", 'status = "Failed"'),
    ("words that many runs have", "ember fjord"),
    ("words that one run has", "number-1711"),
)
_RUNS_A_REQUEST: Final = 500

# Resolves with the time at which rows can be seen and the search box takes what is typed.
INTERACTIVE: Final = """
() => new Promise((resolve) => {
    const look = () => {
        const isThere = document.querySelector('.grid-row[data-run]') && document.querySelector('[data-search]');
        if (isThere) setTimeout(() => resolve(performance.now()), 0);
        else requestAnimationFrame(look);
    };
    look();
})
"""
# Types a question, and resolves with the milliseconds until another answer is drawn.
ANSWER: Final = """
(text) => new Promise((resolve) => {
    const box = document.querySelector('[data-search]');
    const before = document.querySelector('.grid-foot').textContent;
    const rows = document.querySelector('.grid-row').dataset.run;
    box.value = text;
    box.dispatchEvent(new Event('input', { bubbles: true }));
    const began = performance.now();
    box.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', bubbles: true }));
    const look = () => {
        const first = document.querySelector('.grid-row')?.dataset.run;
        const foot = document.querySelector('.grid-foot').textContent;
        if (first !== rows || foot !== before) resolve(performance.now() - began);
        else requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
})
"""
# Scrolls by three quarters of a screen in each frame, and looks in each at nine places whether there is a run.
SCROLL: Final = """
(frames) => new Promise((resolve) => {
    const grid = document.querySelector('.grid');
    const box = grid.getBoundingClientRect();
    let blank = 0, seen = 0, took = [], last = performance.now();
    const look = () => {
        const now = performance.now();
        took.push(now - last);
        last = now;
        for (let place = 0; place < 9; place++) {
            const at = document.elementFromPoint(box.left + 300, box.top + 44 + (place * (box.height - 60)) / 8);
            seen++;
            if (!at?.closest('.grid-row[data-run]')) blank++;
        }
        if (took.length > frames) resolve({ blank, seen, took: took.slice(1), rows: grid.scrollTop / 34 });
        else {
            grid.scrollTop += box.height * 0.75;
            requestAnimationFrame(look);
        }
    };
    requestAnimationFrame(look);
})
"""


def run(console: Console, sizes: Sizes) -> list[Group]:
    """The ledger is temporary and gone afterwards."""
    with scratch() as folder:
        place = Place(home=str(folder / "home"))
        with progress_bar(console) as bar:
            task = bar.add_task(f"writing {sizes.studio_runs:,} runs", total=sizes.studio_runs)
            fill(place, sizes.studio_runs, lambda count: bar.advance(task, count))
        with server(folder / "home") as url, open_browser() as browser:
            return [measure(browser, url, sizes)]


def measure(browser: Browser, url: str, sizes: Sizes) -> Group:
    """Opening, scrolling, asking; each in pages of its own."""
    raw = _page_by_http(url, sizes.questions)
    opened = [_open_ms(browser, url) for _ in range(2 + sizes.repeats)][2:]
    rows = [
        Measured(
            name="runs page, from its address to rows and a search box",
            unit="ms",
            values=tuple(opened),
            raw=raw.value,
            raw_name=raw.name,
            aim=AIM_INTERACTIVE_MS,
        )
    ]
    scrolled = [_scroll(browser, url, sizes.scroll_frames) for _ in range(sizes.repeats)]
    rows += [
        Measured(
            name=f"scroll, {sizes.scroll_frames} frames of ¾ screen: places without a run",
            unit="places",
            values=tuple(float(one["blank"]) for one in scrolled),
            aim=0.0,
        ),
        Measured(
            name="the same: a frame, p95",
            unit="ms",
            values=tuple(percentile(one["took"], 0.95) for one in scrolled),
        ),
    ]
    for name, text in QUESTIONS:
        values = tuple(_answer_ms(browser, url, text) for _ in range(sizes.repeats))
        rows.append(Measured(name=f"{name}, from Enter to rows", unit="ms", values=values, aim=AIM_ANSWER_MS))
    return Group(
        title=f"The Studio: {sizes.studio_runs:,} runs in one experiment",
        about="In Chromium without a window, over loopback; each figure from a browser profile of its own, after two "
        "that warm the server. The ratio is to the first page of the table as JSON over a bare connection.",
        rows=tuple(rows),
    )


def fill(place: Place, runs: int, progress: Callable[[int], None]) -> None:
    """Root runs with names, tags, parameters and three metrics each, through the SDK's own queue."""
    from runfold import Experiment

    rng = random.Random(11)
    workspace = place.workspace()
    Experiment(workspace, EXPERIMENT)
    connection = workspace._connection  # pyright: ignore[reportPrivateUsage]  # no public call creates so many roots
    for first in range(0, runs, _RUNS_A_REQUEST):
        calls: list[tuple[Any, Command]] = []
        for number in range(first, min(runs, first + _RUNS_A_REQUEST)):
            stream = connection.run_stream("default", f"run-{number:06}")
            calls += [(stream, command) for command in _commands(rng, number)]
        connection.call_all(calls, strict=True)
        progress(_RUNS_A_REQUEST)
    next(iter(workspace.query(limit=1)))  # the views have folded all of it


def _commands(rng: random.Random, number: int) -> list[Command]:
    run_id = f"run-{number:06}"
    name = f"{rng.choice(WORDS)}-{rng.choice(WORDS)}-number-{number}"
    rate, optimizer = round(10 ** rng.uniform(-4, -1), 6), rng.choice(("adam", "sgd"))
    params: Params = {"lr": rate, "depth": rng.randint(2, 12), "optimizer": optimizer}
    batch = encode_batch([_series(metric, rng.random()) for metric in ("loss", "accuracy", "val/loss")])
    end: Command = FailRun(run_id=run_id) if number % 17 == 0 else CompleteRun(run_id=run_id)
    commands: list[Command] = [
        CreateRun(
            run_id=run_id,
            experiment=EXPERIMENT,
            display_name=name,
            description=f"trial {number} of the {rng.choice(WORDS)} set",
            tags={"group": f"g{number % 10}", "owner": rng.choice(WORDS)},
        ),
        LogParams(run_id=run_id, params=params),
        LogMetrics(run_id=run_id, batch=msgspec.Raw(batch)),
        end,
    ]
    return commands


def _series(name: str, value: float) -> Series:
    return Series(
        name=name,
        times=Column(dtype="i64", values=[1_700_000_000_000]),
        steps=Column(dtype="i64", values=[1]),
        columns={name: Column(dtype="f64", values=[value])},
    )


def _page_by_http(url: str, questions: int) -> Raw:
    connection = Connection(url)
    path = f"/api/v1/workspaces/default/runs?experiment={EXPERIMENT}&limit=100"
    samples: list[float] = []
    for _ in range(questions):
        began = time.perf_counter_ns()
        connection.expect("GET", path)
        samples.append((time.perf_counter_ns() - began) / 1e6)
    return Raw("its first 100 runs as JSON, p50", percentile(samples, 0.5))


def _opened(browser: Browser, url: str) -> Page:
    context = browser.new_context(base_url=url, viewport={"width": WIDTH, "height": HEIGHT})
    page = context.new_page()
    page.goto(PAGE, wait_until="commit")
    return page


def _open_ms(browser: Browser, url: str) -> float:
    page = _opened(browser, url)
    took = float(page.evaluate(INTERACTIVE))
    page.context.close()
    return took


def _scroll(browser: Browser, url: str, frames: int) -> dict[str, Any]:
    page = _opened(browser, url)
    page.evaluate(INTERACTIVE)
    page.wait_for_timeout(500)  # as somebody who has looked before they scroll
    found: dict[str, Any] = page.evaluate(SCROLL, frames)
    page.context.close()
    return found


def _answer_ms(browser: Browser, url: str, text: str) -> float:
    page = _opened(browser, url)
    page.evaluate(INTERACTIVE)
    page.wait_for_timeout(500)
    took = float(page.evaluate(ANSWER, text))
    page.context.close()
    return took
