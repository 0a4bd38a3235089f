"""A real Chromium for tests: Playwright's own where it was fetched, else the system's. ``python -m`` says whether."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Playwright,
    Request,
    sync_playwright,
)

NAMES: Final = ("chromium", "chromium-browser", "google-chrome")
PLACE: Final = "RUNFOLD_CHROMIUM"
MISSING: Final = """\
there is no Chromium to test the Studio with. Get one by any of:
    apt-get install chromium                          (Debian and Ubuntu; ./dev test does it when it may)
    .venv/bin/python -m playwright install chromium   (Playwright's own)
    RUNFOLD_CHROMIUM=/path/to/chromium ./dev test     (one that is there already)"""
ARGUMENTS: Final = (
    "--no-sandbox",  # which root has none of
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
WIDTH, HEIGHT = 1360, 860
# An answer of a real server on a busy machine; what must be quick is measured and not waited for.
PATIENCE_MS: Final = 20_000

Scheme = Literal["light", "dark"]


class BrowserMissing(Exception):
    """There is none; the message says how to get one."""


def find_browser(playwright: Playwright) -> str:
    """The program to start.

    Raises:
        BrowserMissing: there is none.
    """
    named = os.environ.get(PLACE)
    if named is not None:
        return named
    own = Path(playwright.chromium.executable_path)
    if own.is_file():
        return str(own)
    for name in NAMES:
        found = shutil.which(name)
        if found is not None:
            return found
    raise BrowserMissing(MISSING)


@contextmanager
def open_browser() -> Generator[Browser]:
    """One browser, ended with the block. No test that runs an event loop of its own may run inside."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=find_browser(playwright), headless=True, args=ARGUMENTS
        )
        try:
            yield browser
        finally:
            browser.close()


class Visitor:
    """Somebody with a browser: pages of one server, and everything that went wrong on them."""

    def __init__(self, browser: Browser, url: str, *, scheme: Scheme = "light", **options: Any) -> None:
        self.url = url
        self.complaints: list[str] = []  # errors on the console, exceptions, policy violations
        self.foreign: list[str] = []  # requests to anybody but the server
        self.requests: list[str] = []
        self.context: BrowserContext = browser.new_context(
            base_url=url,
            color_scheme=scheme,
            viewport={"width": WIDTH, "height": HEIGHT},
            reduced_motion="reduce",
            **options,
        )
        self.context.set_default_timeout(PATIENCE_MS)
        self.page = self.open()

    def open(self) -> Page:
        """One more page."""
        page = self.context.new_page()
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.complaints.append(f"exception: {error}"))
        page.on("request", self._on_request)
        return page

    def visit(self, path: str) -> Page:
        """Go to an address of the Studio, such as ``w/default/runs``, and wait until something is shown."""
        self.page.goto(f"/studio/{path}")
        self.page.locator("main > *").first.wait_for()
        return self.page

    def heard(self, event: Literal["request", "response"]) -> list[Any]:
        """What the page asks for, or is answered, from now on. The list grows."""
        found: list[Any] = []

        def keep(
            one: Any,
        ) -> None:  # Playwright keeps attributes on handlers, which a bound append has none of
            found.append(one)

        self.page.on(event, keep)
        return found

    def close(self) -> None:
        """Close all pages."""
        self.context.close()

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(f"{message.type}: {message.text}")

    def _on_request(self, request: Request) -> None:
        self.requests.append(request.url)
        parts = urlsplit(request.url)
        if parts.scheme in {"http", "https", "ws", "wss"} and parts.netloc != urlsplit(self.url).netloc:
            self.foreign.append(request.url)


def main() -> int:
    """0 when there is a browser; else how to get one."""
    with sync_playwright() as playwright:
        try:
            find_browser(playwright)
        except BrowserMissing as error:
            sys.stderr.write(f"dev: {error}\n")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
