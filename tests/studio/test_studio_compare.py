"""Runs beside each other."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.support.browser import Visitor
from tests.support.studio_scene import Scene

TRIALS = (0, 1, 2, 3)
ADDRESS = "w/default/compare?" + "&".join(f"run=trial-{number}" for number in TRIALS)


@pytest.fixture
def page(visitor: Visitor, scene: Scene) -> Page:
    """Four trials of the sweep."""
    assert scene.children[:4] == tuple(f"trial-{number}" for number in TRIALS)
    return visitor.visit(ADDRESS)


def panel(page: Page, name: str) -> Locator:
    return page.get_by_role("region", name=name, exact=True)


def read(page: Page, name: str) -> str:
    chart = panel(page, name).get_by_role("application")
    chart.focus()
    page.keyboard.press("ArrowRight")
    return str(panel(page, name).locator(".chart-tooltip").inner_text())


def test_curves_of_all_runs_are_in_one_chart_for_each_metric(page: Page) -> None:
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url) if "curves" in request.url else None)
    page.reload()
    expect(page.locator(".metric-panel canvas")).to_have_count(3)
    assert len(requests) == 1  # of all metrics of all runs
    text = read(page, "loss")
    assert text.count("depth") == len(TRIALS)
    page.get_by_role("button", name="Draw lr 1, depth 30").click()
    expect(page).to_have_url(re.compile("hide=trial-3"))
    expect(panel(page, "loss")).to_contain_text("3 of 3 runs")
    assert "depth 30" not in read(page, "loss")
    page.get_by_role("button", name="Leave lr 0.3, depth 18 out").click()
    expect(page.locator(".compare-run")).to_have_count(3)
    assert "run=trial-0" not in page.url
    assert page.evaluate("getComputedStyle(document.querySelector('.compare-run .swatch')).backgroundColor")


def test_the_table_marks_what_differs(page: Page) -> None:
    page.get_by_role("tab", name="Table").click()
    table = page.get_by_role("table")
    rate = table.get_by_role("row", name=re.compile("^lr 0.30"))
    expect(rate.locator("td.is-other")).to_have_count(3)
    expect(rate).to_contain_text("67 %")
    expect(table.get_by_role("row", name=re.compile("^amp true false false true"))).to_be_visible()
    expect(table.get_by_role("row", name=re.compile("^dataset"))).to_have_count(0)  # the same for all
    page.get_by_role("button", name="Only what differs").click()
    expect(table.get_by_role("row", name=re.compile("^dataset"))).to_be_visible()
    latest = table.get_by_role("row", name=re.compile("^loss")).inner_text()
    page.get_by_role("button", name="Greatest").click()
    expect(page).to_have_url(re.compile("pick=max"))
    assert table.get_by_role("row", name=re.compile("^loss")).inner_text() != latest


def test_parallel_coordinates_and_scatter_lead_to_their_runs(page: Page) -> None:
    page.get_by_role("tab", name="Parallel coordinates").click()
    lines = page.locator(".parallel-run")
    expect(lines).to_have_count(len(TRIALS))
    expect(page.locator(".parallel-name")).to_have_count(7)
    page.get_by_role("button", name=re.compile("^Axes: 7")).click()
    page.locator(".menu-panel").get_by_role("button", name="amp").click()
    page.keyboard.press("Escape")
    expect(page.locator(".parallel-name")).to_have_count(6)
    page.get_by_role("tab", name="Scatter").click()
    expect(page.locator(".scatter-point")).to_have_count(len(TRIALS))
    page.get_by_role("combobox", name="Across").select_option(label="optimizer")
    expect(page).to_have_url(re.compile("sx=params.optimizer"))
    page.get_by_role("link", name=re.compile("^lr 0.1, depth 22: adam, 0.")).focus()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/runs/trial-1$"))


def test_what_cannot_be_compared_says_so(visitor: Visitor, scene: Scene) -> None:
    assert scene.sweep == "sweep"
    page = visitor.visit("w/default/compare")
    expect(page.get_by_role("heading", name="No runs are chosen")).to_be_visible()
    page = visitor.visit("w/default/compare?run=trial-0&run=gone")
    expect(page.locator(".notice")).to_contain_text("There is no run gone")
    expect(page.locator(".metric-panel")).to_have_count(3)
