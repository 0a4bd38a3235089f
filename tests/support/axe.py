"""axe-core, as it comes with what the Studio is built from, asked about an open page."""

from __future__ import annotations

from typing import Any, Final

from playwright.sync_api import Page

from tests.support.repository import ROOT

AXE: Final = ROOT / "studio" / "node_modules" / "axe-core" / "axe.min.js"
SERIOUS: Final = frozenset({"serious", "critical"})


def violations(page: Page) -> list[Any]:
    """What axe finds that is serious or worse: which rule, where."""
    # Between the page's own policy and the test: added by the browser itself, as an extension would.
    page.evaluate(AXE.read_text("utf-8"))
    found: list[dict[str, Any]] = page.evaluate("async () => (await axe.run(document)).violations")
    return [
        (one["id"], one["help"], [node["html"][:200] for node in one["nodes"][:4]])
        for one in found
        if one["impact"] in SERIOUS
    ]
