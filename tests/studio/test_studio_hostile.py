"""What others put into runs is text and stays text; files of runs cannot act as the Studio."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, expect

from tests.support.browser import Visitor
from tests.support.http_server import Client

W = "/api/v1/workspaces/default"
HOSTILE = (
    '<script>window.ran=1</script><img src=x onerror="window.ran=2"><svg onload="window.ran=3">',
    '"><a href="javascript:window.ran=4" autofocus onfocus="window.ran=5">x</a>',
    "{{constructor.constructor('window.ran=6')()}}${window.ran=7}",
)
FILES = {
    "page.html": ("text/html", b"<script>window.top.ran=8; window.ran=8</script><h1>hello</h1>"),
    "drawing.svg": (
        "image/svg+xml",
        b'<svg xmlns="http://www.w3.org/2000/svg" onload="window.ran=9"><script>window.ran=9</script></svg>',
    ),
    "feed.xml": (
        "application/xhtml+xml",
        b"<html xmlns='http://www.w3.org/1999/xhtml'><script>window.ran=10</script></html>",
    ),
    "code.js": ("text/javascript", b"window.ran = 11"),
    "<img src=x onerror=window.ran=12>.txt": ("text/plain", b"<script>window.ran=13</script>"),
}
# What a page says to a program that the test gives it; the browser lets tests evaluate what pages may not.
TRY = "(program) => { try { eval(program); return ''; } catch (error) { return String(error); } }"
TABS = ("", "/metrics", "/logs", "/files", "/history")


@pytest.fixture(scope="module")
def hostile_run(studio_server: str) -> str:
    """A run in which everything that has a text holds something hostile."""
    first, second, third = HOSTILE
    with Client(studio_server) as client:
        experiment = {"experiment": "hostile", "description": first, "tags": {second: third}}
        assert client.post(f"{W}/experiments", experiment).status == 201
        body = {
            "experiment": "hostile",
            "run_id": "evil",
            "display_name": first,
            "name": second,
            "description": third + first,
            "tags": {first: second, "onclick": third},
            "properties": {second: first},
            "run_type": "<b>type</b>",
        }
        assert client.post(f"{W}/runs", body).status == 201
        child = {
            "experiment": "hostile",
            "run_id": "evil-child",
            "parent_run_id": "evil",
            "display_name": second,
        }
        assert client.post(f"{W}/runs", child).status == 201
        assert client.post(f"{W}/runs/evil/params", {"params": {third: first}}).status == 200
        series = {
            "name": first,
            "times": {"dtype": "i64", "values": [1_700_000_000_000, 1_700_000_001_000]},
            "steps": {"dtype": "i64", "values": [0, 1]},
            "columns": {first: {"dtype": "f64", "values": [0.5, 0.25]}},
        }
        assert client.post(f"{W}/runs/evil/metrics", {"series": [series]}).status == 200
        for name, (kind, content) in FILES.items():
            path = f"{W}/runs/evil/artifacts/{quote(name)}"
            assert client.request("PUT", path, content, {"Content-Type": kind}).status == 201
        log = f"{first}\n{second}\n{third}\n".encode()
        append = f"{W}/runs/evil/logs/logs/%3Cscript%3E.txt?offset=0"
        assert client.request("POST", append, log, {"Content-Type": "text/plain"}).status == 200
        error = {"error_type": first, "message": second, "traceback": third + first}
        assert client.post(f"{W}/runs/evil/fail", {"error": error}).status == 200
    return "evil"


def test_hostile_texts_are_shown_and_run_nothing(visitor: Visitor, hostile_run: str) -> None:
    pages = [
        "w/default/experiments",
        "w/default/runs?experiment=hostile&children=1",
        f"w/default/runs?q={quote(HOSTILE[0])}&children=1",
        f"w/default/runs?experiment={quote(HOSTILE[0])}",
        f"w/{quote(HOSTILE[1], safe='')}/runs",
        f"w/default/compare?run={hostile_run}&run=evil-child",
        *(f"w/default/runs/{hostile_run}{tab}" for tab in TABS),
    ]
    for path in pages:
        page = visitor.visit(path)
        page.wait_for_timeout(250)
        assert page.evaluate("window.ran") is None, path
        assert page.locator("main script, main [onerror], main [onload], main [onfocus]").count() == 0, path
        assert page.locator("a[href^='javascript:']").count() == 0, path
    page = visitor.visit(f"w/default/runs/{hostile_run}")
    expect(page.get_by_role("heading", level=1)).to_contain_text(
        HOSTILE[0]
    )  # as it is written, to the letter
    visitor.complaints[:] = [text for text in visitor.complaints if not re.search("status of 40[04]", text)]


def test_the_policy_lets_no_foreign_program_run(visitors: Callable[..., Visitor], studio_server: str) -> None:
    """The control: the same texts made into HTML on purpose do not run either, and are reported."""
    visitor = visitors(studio_server)
    page = visitor.visit("w/default/experiments")
    assert "TrustedHTML" in page.evaluate(TRY, f"document.querySelector('main').innerHTML = {HOSTILE[0]!r}")
    assert "Trusted" in page.evaluate(TRY, "document.body.setAttribute('onclick', 'window.ran=1')")
    assert "Trusted" in page.evaluate(
        TRY, "const s = document.createElement('script'); s.text = 'window.ran=1'; document.body.append(s)"
    )
    assert page.evaluate("window.ran") is None
    assert len(visitor.complaints) >= 3
    visitor.complaints.clear()


def test_without_the_policy_they_would_run(browser: Browser, studio_server: str) -> None:
    """What the tests above look for does happen where nothing forbids it."""
    context = browser.new_context(base_url=studio_server, bypass_csp=True)
    page = context.new_page()
    page.goto("/studio/w/default/experiments")
    page.locator("main > *").first.wait_for()
    assert page.evaluate(TRY, f"document.querySelector('main').innerHTML = {HOSTILE[0]!r}") == ""
    page.wait_for_function("window.ran !== undefined")
    context.close()


def test_headers_say_what_a_page_may_do(studio_server: str, hostile_run: str) -> None:
    with Client(studio_server) as client:
        page = client.get("/studio/w/default/runs")
        policy = dict(part.split(" ", 1) for part in page.headers["content-security-policy"].split("; "))
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
        assert {policy[name] for name in ("object-src", "base-uri", "frame-ancestors", "form-action")} == {
            "'none'"
        }
        assert "unsafe" not in page.headers["content-security-policy"]
        assert page.headers["x-content-type-options"] == "nosniff"
        for name in FILES:
            got = client.get(f"{W}/runs/{hostile_run}/artifacts/{quote(name)}")
            assert got.headers["content-security-policy"] == "sandbox; default-src 'none'", name
            assert got.headers["content-disposition"].startswith("attachment"), name
            assert got.headers["x-content-type-options"] == "nosniff", name


def test_a_file_that_is_opened_by_its_address_is_saved_and_not_shown(
    visitor: Visitor, hostile_run: str
) -> None:
    page = visitor.visit("w/default/experiments")
    for name in ("page.html", "drawing.svg"):
        with page.expect_download() as download:
            page.evaluate("(path) => { location.href = path; }", f"{W}/runs/{hostile_run}/artifacts/{name}")
        assert download.value.suggested_filename == name
    assert page.url.endswith("/experiments")
    assert page.evaluate("window.ran") is None
