"""Everybody can use it: axe finds nothing serious, and a keyboard is enough."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.support.axe import violations
from tests.support.browser import Scheme, Visitor
from tests.support.studio_scene import STATUSES, SWEEP, Scene

PAGES = (
    "w/default/experiments",
    f"w/default/runs?experiment={SWEEP}&children=1&sel=trial-0",
    f"w/default/runs?experiment={SWEEP}&children=1&group=params.optimizer",
    f"w/default/runs?experiment={STATUSES}",
    "w/default/runs?q=nobody",
    "w/default/runs/sweep",
    "w/default/runs/trial-3",
    "w/default/runs/trial-0/metrics",
    "w/default/runs/trial-0/logs",
    "w/default/runs/trial-0/files",
    "w/default/runs/trial-0/history",
    "w/default/compare?run=trial-0&run=trial-1",
    "system",
)

pytestmark = pytest.mark.source_tree  # axe comes with what the Studio is built from


@pytest.mark.timeout(300)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(
    visitors: Callable[..., Visitor], studio_server: str, scene: Scene, scheme: Scheme
) -> None:
    visitor = visitors(studio_server, scheme=scheme)
    assert scene.sweep == "sweep"
    for path in PAGES:
        page = visitor.visit(path)
        page.locator(".skeleton").wait_for(state="detached")
        page.wait_for_timeout(200)
        assert violations(page) == [], path
    page = visitor.visit("w/default/runs?children=1")
    page.locator(".grid-row").first.wait_for()
    for name in ("Columns", "Group", "How to search"):
        page.get_by_role("button", name=name, exact=True).click()
        assert violations(page) == [], name
        page.keyboard.press("Escape")


def test_axe_would_find_something(visitor: Visitor) -> None:
    page = visitor.visit("w/default/experiments")
    page.evaluate("() => { document.querySelector('main').append(document.createElement('input')); }")
    assert "label" in [rule for rule, *_ in violations(page)]


def test_a_keyboard_is_enough(visitor: Visitor, scene: Scene) -> None:
    """Skip link, pages by keys, search, table, selection, menus, dialog: without a mouse."""
    assert scene.sweep == "sweep"
    page = visitor.visit("w/default/experiments")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    page.keyboard.press("g")
    page.keyboard.press("r")
    expect(page.get_by_role("heading", level=1)).to_have_text("Runs")
    page.get_by_role("grid").wait_for()
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox", name="Search or filter runs")).to_be_focused()
    page.keyboard.type("learning-rate")
    page.keyboard.press("Enter")
    expect(page.locator(".grid-row")).to_have_count(1)
    page.keyboard.press("Escape")
    expect(page.locator(".grid-row").nth(3)).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("grid")).to_be_focused()
    for key in ("ArrowDown", "ArrowDown", "Space", "ArrowUp", "x"):
        page.keyboard.press(key)
    expect(page.get_by_role("toolbar", name="Selected runs")).to_contain_text("2 runs selected")
    page.keyboard.press("Escape")
    expect(page.get_by_role("toolbar", name="Selected runs")).to_have_count(0)
    page.keyboard.press("End")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("learning-rate sweep")
    page.get_by_role("tab", name="Overview").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="Metrics")).to_be_focused()
    expect(page.get_by_role("tab", name="Metrics")).to_have_attribute("aria-selected", "true")
    page.get_by_role("button", name="Cancel").focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(page.get_by_role("button", name="Cancel")).to_be_focused()
    page.get_by_role("button", name="More").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Archive")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="More")).to_be_focused()


def test_the_theme_is_chosen_and_remembered(visitor: Visitor, scene: Scene) -> None:
    assert scene.sweep == "sweep"
    page = visitor.visit("w/default/experiments")
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.get_by_role("button", name="Theme: As the system").click()
    page.get_by_role("button", name="Dark").click()
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert dark != light
    page.reload()
    page.locator("main > *").first.wait_for()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == dark


def test_times_are_local_and_say_utc(
    visitors: Callable[..., Visitor], studio_server: str, scene: Scene
) -> None:
    assert scene.sweep == "sweep"
    visitor = visitors(studio_server, timezone_id="Asia/Tokyo", locale="en-GB")
    page = visitor.visit("w/default/runs/trial-0")
    time = page.get_by_role("region", name="Details").locator("time").first
    machine, shown, title = time.get_attribute("datetime"), time.inner_text(), time.get_attribute("title")
    assert machine is not None
    assert title is not None
    hour = int(machine[11:13])
    assert shown.startswith(f"{(hour + 9) % 24:02}:{machine[14:16]}") or f", {(hour + 9) % 24:02}:" in shown
    assert f"{machine[:10]} {machine[11:23]} UTC" in title
