"""What the first visit loads: little, from the server alone, and only once."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable

from playwright.sync_api import Response

from tests.support.browser import Visitor
from tests.support.http_server import Client

FIRST_LOAD_BYTES_MAX = 300 * 1024


def test_the_first_load_is_small_and_the_second_smaller(visitor: Visitor) -> None:
    answers: list[Response] = visitor.heard("response")
    visitor.visit("w/default/runs")
    visitor.page.wait_for_load_state("load")
    files = [one for one in answers if "/studio/" in one.url]
    sizes = {one.url: one.request.sizes()["responseBodySize"] for one in files}
    assert any(url.endswith(".js") for url in sizes)
    assert any(url.endswith(".css") for url in sizes)
    print(f"first load: {sum(sizes.values()) / 1024:.0f} KiB in {len(sizes)} files")
    assert sum(sizes.values()) <= FIRST_LOAD_BYTES_MAX, sizes

    visitor.page.reload()
    visitor.page.wait_for_load_state("load")
    transferred = visitor.page.evaluate(
        "() => performance.getEntriesByType('resource').filter((one) => one.name.includes('/assets/'))"
        ".map((one) => one.transferSize)"
    )
    assert transferred
    assert set(transferred) == {0}


def test_files_come_as_they_were_compressed(studio_server: str, visitors: Callable[..., Visitor]) -> None:
    with Client(studio_server) as client:
        page = client.get("/studio/w/any/address?at=all")
        assert page.headers["cache-control"] == "no-cache"
        (script,) = re.findall(r'src="(/studio/assets/[^"]+\.js)"', page.body.decode())
        plain = client.get(script)
        packed = client.get(script, {"Accept-Encoding": "gzip"})
        smaller = client.get(script, {"Accept-Encoding": "gzip, deflate, br"})
        assert (packed.headers["content-encoding"], smaller.headers["content-encoding"]) == ("gzip", "br")
        assert gzip.decompress(packed.body) == plain.body
        assert len(smaller.body) < len(packed.body) < len(plain.body)
        assert plain.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert client.get(script, {"If-None-Match": plain.headers["etag"]}).status == 304
        assert client.get("/studio/assets/nothing.js").status == 404
        assert client.request("HEAD", script).body == b""
        assert client.post("/studio/w/default/runs", {}).status == 405
        assert client.get("/").headers["location"] == "/studio/"
