"""What a run measures, writes and leaves is data and stays data, however it is shown."""

from __future__ import annotations

import json
import re
from urllib.parse import quote

import pytest
from playwright.sync_api import expect

from tests.support.browser import Visitor
from tests.support.http_server import Client
from tests.support.studio_rich_run import chart

W = "/api/v1/workspaces/default"
EVIL = '<img src=x onerror="window.ran=1"><script>window.ran=2</script>'
LINK = "javascript:window.ran=3"
SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="40" height="20" onload="window.ran=4"><script>window.ran=5</script>'
    '<rect width="40" height="20"/></svg>'
)
PROGRAMS = "main script, main iframe, main object, main [onerror], main [onload]"
FILES = {
    "evil.svg": SVG,
    "evil.html": f"<h1>{EVIL}</h1>",
    "evil.csv": f'"{EVIL.replace(chr(34), chr(34) * 2)}",b\n=cmd|calc,{LINK}\n',
    "evil.json": json.dumps({EVIL: LINK, "__proto__": {"ran": 6}}),
    f"{EVIL.replace('/', '_')}.txt": EVIL,
    "matrix": json.dumps(chart("confusion_matrix", class_labels=[EVIL, LINK], matrix=[[1, 2], [3, 4]])),
    "table": json.dumps(
        chart("accuracy_table", class_labels=[EVIL], probability_tables=[[[1, 0, 1, 0], [0, 1, 0, 1]]])
    ),
    "strange": json.dumps({"schema_type": EVIL, "data": {"class_labels": {"length": 9}, "matrix": "x"}}),
    "broken": "{" + EVIL,
}


@pytest.fixture(scope="module")
def evil(studio_server: str) -> str:
    """A run whose metrics, files and log try to be more than that."""
    with Client(studio_server) as client:
        client.post(f"{W}/experiments", {"experiment": "evil"})
        assert (
            client.post(f"{W}/runs", {"experiment": "evil", "run_id": "evil", "display_name": EVIL}).status
            == 201
        )
        for name, content in FILES.items():
            path = f"{W}/runs/evil/artifacts/{quote(name, safe='')}"
            assert client.request("PUT", path, content.encode(), {"Content-Type": "text/html"}).status == 201
        file = "aml://artifactId/ExperimentRun/dcid.evil/{}"
        series = [
            _texts(name, "chart", [file.format(name)]) for name in ("matrix", "table", "strange", "broken")
        ]
        series.append(
            _texts("picture", "image", [file.format("evil.svg"), LINK, file.format("../../../health/live")])
        )
        series.append(_texts("words", "scalar", [EVIL, LINK]))
        table = {
            **_texts("rows", "table", [EVIL, LINK]),
            "columns": {EVIL: {"dtype": "str", "values": [EVIL, LINK]}},
        }
        series.append(table)
        numbers = {**_texts(EVIL, "scalar", []), "columns": {EVIL: {"dtype": "f64", "values": [1.0, 2.0]}}}
        series.append({**numbers, "times": {"dtype": "i64", "values": [1_700_000_000_000] * 2}})
        done = client.post(f"{W}/runs/evil/metrics", {"series": series})
        assert done.status == 200, done
        log = f"{EVIL}\n\x1b]8;;{LINK}\x07link\x1b]8;;\x07\n\x00\x07\n".encode()
        append = f"{W}/runs/evil/logs/logs/{quote(EVIL, safe='')}.txt?offset=0".replace("%2F", "_")
        assert client.request("POST", append, log, {"Content-Type": "text/plain"}).status == 200
    return "evil"


def _texts(name: str, kind: str, values: list[str]) -> dict[str, object]:
    return {
        "name": name,
        "kind": kind,
        "times": {"dtype": "i64", "values": [1_700_000_000_000] * len(values)},
        "columns": {name: {"dtype": "str", "values": values}},
    }


def test_hostile_metrics_logs_files_and_charts_run_nothing(visitor: Visitor, evil: str) -> None:
    addresses = [
        f"w/default/runs/{evil}/metrics",
        f"w/default/runs/{evil}/logs",
        f"w/default/runs/{evil}/logs?find={quote('<img')}",
        f"w/default/runs/{evil}/history",
        *(f"w/default/runs/{evil}/files?file={quote(name, safe='')}" for name in FILES),
        *(f"w/default/compare?run={evil}&view={view}" for view in ("curves", "table", "parallel", "scatter")),
    ]
    for address in addresses:
        page = visitor.visit(address)
        page.locator(".skeleton, .chart-wait").first.wait_for(state="detached")
        for line in page.locator(".history-line").all():
            line.click()  # to the event as it is recorded
        page.wait_for_timeout(150)
        assert page.evaluate("[window.ran, {}.ran]") == [None, None], address
        assert page.locator(PROGRAMS).count() == 0, address
        assert page.locator("a[href^='javascript:'], img[src^='http'], img[src='x']").count() == 0, address
    page = visitor.visit(f"w/default/runs/{evil}/metrics")
    page.set_viewport_size({"width": 1360, "height": 3000})
    expect(page.locator(".metric-table td", has_text=EVIL).first).to_be_visible()
    expect(page.locator(".confusion th", has_text=EVIL).first).to_be_visible()
    expect(page.get_by_role("region", name="strange", exact=True).locator("pre")).to_contain_text(
        "class_labels"
    )
    page = visitor.visit(f"w/default/runs/{evil}/files?file=evil.svg")
    expect(page.locator(".file-image img")).to_have_attribute("src", re.compile("^data:image/svg"))
    page = visitor.visit(f"w/default/runs/{evil}/files?file=evil.html")
    expect(page.locator(".file-lines")).to_have_text(FILES["evil.html"])
    visitor.complaints[:] = [text for text in visitor.complaints if "status of 40" not in text]
