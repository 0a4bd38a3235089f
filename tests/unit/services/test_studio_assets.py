"""Serving the Studio's files, and what is said where they have not been built."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from runfold_services.studio.assets import POLICY, Studio


class Sent:
    """What an ASGI application has sent."""

    def __init__(self, studio: Studio, path: str, method: str = "GET", **headers: str) -> None:
        self.body = b""
        self.headers: dict[str, str] = {}
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        scope = {"type": "http", "method": method, "path": path}
        self.status = asyncio.run(studio(scope, given, self._send))

    async def _send(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            self.body += message["body"]


@pytest.fixture
def built(tmp_path: Path) -> Studio:
    (tmp_path / "assets").mkdir()
    for name, content in {
        "index.html": b"<p>page</p>",
        "assets/index-Abcd_123.js": b"program",
        "assets/index-Abcd_123.js.gz": b"gz",
        "assets/index-Abcd_123.js.br": b"br",
        "theme.js": b"theme",
        "built-from": b"0123",
    }.items():
        (tmp_path / name).write_bytes(content)
    return Studio(tmp_path)


def test_without_a_build_it_says_how_to_make_one(tmp_path: Path) -> None:
    sent = Sent(Studio(tmp_path / "nothing"), "/studio/w/default/runs")
    assert sent.status == 503
    assert "./dev studio" in sent.body.decode()
    assert sent.headers["content-security-policy"] == POLICY
    assert Sent(Studio(tmp_path), "/").headers["location"] == "/studio/"


@pytest.mark.parametrize("path", ["/studio/", "/studio/w/a%2Fb/runs/x", "/studio/built-from", "/studio/../x"])
def test_every_address_that_is_no_file_is_the_page(built: Studio, path: str) -> None:
    sent = Sent(built, path)
    assert (sent.status, sent.body) == (200, b"<p>page</p>")
    assert sent.headers["cache-control"] == "no-cache"
    assert sent.headers["content-security-policy"] == POLICY


@pytest.mark.parametrize(
    ("accepted", "encoding", "body"),
    [
        ("", None, b"program"),
        ("gzip", "gzip", b"gz"),
        ("br;q=1.0, gzip;q=0.8, *;q=0.1", "br", b"br"),
        ("br;q=0, gzip", "gzip", b"gz"),
        ("br; q=0.0, gzip;q=0", None, b"program"),
    ],
)
def test_the_smallest_form_that_is_accepted_is_sent(
    built: Studio, accepted: str, encoding: str | None, body: bytes
) -> None:
    sent = Sent(built, "/studio/assets/index-Abcd_123.js", accept_encoding=accepted)
    assert (sent.headers.get("content-encoding"), sent.body) == (encoding, body)
    assert "immutable" in sent.headers["cache-control"]
    assert sent.headers["vary"] == "accept-encoding"


def test_what_has_no_digest_in_its_name_is_asked_for_again(built: Studio) -> None:
    first = Sent(built, "/studio/theme.js")
    assert first.headers["cache-control"] == "no-cache"
    again = Sent(built, "/studio/theme.js", if_none_match=first.headers["etag"])
    assert (again.status, again.body) == (304, b"")


def test_what_it_does_not_do_is_refused(built: Studio) -> None:
    assert Sent(built, "/studio/assets/gone-Abcd_123.js").status == 404
    post = Sent(built, "/studio/", "POST")
    assert (post.status, post.headers["allow"]) == (405, "GET, HEAD")
    head = Sent(built, "/studio/", "HEAD")
    assert (head.body, head.headers["content-length"]) == (b"", "11")


@pytest.mark.parametrize(
    ("path", "is_its"),
    [
        ("/", True),
        ("/studio", True),
        ("/studio/x", True),
        ("/studios", False),
        ("/api/v1", False),
        ("//", False),
    ],
)
def test_which_addresses_are_its(path: str, is_its: bool) -> None:
    assert Studio.owns(path) is is_its
