"""Names, paths, filters, heads that nobody should send: each gets a 4xx, and the server goes on."""

from __future__ import annotations

import itertools
import re
from collections.abc import Generator
from typing import Any, Final
from uuid import uuid4

import pytest

from runfold_events.contract import limits
from runfold_services.api.openapi import document
from runfold_services.api.routes import OPERATIONS
from runfold_services.bounded_http import HEAD_BYTES_MAX
from runfold_services.server import Server
from tests.support.http_server import Client
from tests.support.raw_http import RawConnection
from tests.support.refusals import refused

W: Final = "/api/v1/workspaces/default"
DOCUMENT: Final = document(OPERATIONS)


@pytest.fixture(autouse=True)
def goes_on(client: Client) -> Generator[None]:
    """After whatever a test did the server answers, and every projection folds."""
    yield
    assert client.get("/health/ready").status == 200


# names, paths, query strings

BAD_NAMES: Final = [
    "%00",
    "a%00b",
    "%ff",
    "%zz",
    "a%2Fb",
    "%20",
    "..%2f..",
    "'%3B--",
    "a" * 257,
    "%F0%9F%98%80",
]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_hostile_names_in_paths(server: Server, name: str) -> None:
    for path in (f"{W}/runs/{name}", f"/api/v1/workspaces/{name}/runs", f"{W}/experiments/{name}"):
        with Client(server.url) as client:
            refused(client.get(path), "invalid", "limit_exceeded", "not_found")
            refused(
                client.request("PATCH", path, {}),
                "invalid",
                "limit_exceeded",
                "not_found",
                "method_not_allowed",
            )


@pytest.mark.parametrize(
    "path", ["/api", "/api/v1", "/api/v1/nothing", f"{W}/runs/r/nothing", "//", "/%00", "/..%2f"]
)
def test_paths_that_are_not_there(client: Client, path: str) -> None:
    refused(client.get(path), "not_found")


def test_bytes_that_are_no_text_in_a_path(server: Server) -> None:
    for path in ("/\xff", f"{W}/runs/\xc3\x28", f"{W}/runs?filter=\xff"):
        with RawConnection(server.url) as raw:
            raw.send(raw.head("GET", path, "Connection: close"))
            assert 400 <= raw.status() < 500


HOSTILE_FILTERS: Final = [
    "'",
    '"',
    "status = ",
    "1; DROP TABLE events; --",
    'tags.x = "a" OR 1=1 --',
    "status = 'x' UNION SELECT * FROM events",
    "(" * 10_000,
    "not " * 2_000 + "archived",
    " and ".join(['status = "Running"'] * 1_000),
    'status like "' + "%" * 8_000 + '"',
    "metrics.\x00 > 1",
    "tags.\u202e = 1",
    "metrics.loss > 1e999",
    "metrics.loss > " + "9" * 4_000,
    "has(has(x))",
    "params.a in (" + ",".join("1" * 3 for _ in range(2_000)) + ")",
    "x" * (limits.FILTER_CHARS_MAX + 1),
    'status = "' + "\\" * 101 + '"',
    "runs.status = 1",
    "__class__ = 1",
    "sqlite_version() = 1",
]


@pytest.mark.parametrize("text", HOSTILE_FILTERS, ids=range(len(HOSTILE_FILTERS)))
def test_hostile_filters(client: Client, text: str) -> None:
    for path in (f"{W}/runs:query", f"{W}/runs:count"):
        reply = client.post(path, {"filter": text})
        assert reply.status == 200 or refused(reply, "invalid", "limit_exceeded")["field"], reply


@pytest.mark.parametrize(
    "body",
    [
        {"order_by": "'; DROP TABLE x"},
        {"order_by": "-" * 100},
        {"order_by": "metrics." + "x" * 100_000},
        {"order_by": ""},
        {"fields": ["nothing"]},
        {"fields": ["status"] * 101},
        {"fields": ["metrics." + "x" * 10_000]},
        {"page": "x"},
        {"page": "A" * 100_000},
        {"page": "\x00"},
        {"limit": 0},
        {"limit": -1},
        {"limit": 2**70},
        {"limit": 1_001},
        {"limit": "many"},
        {"status": ["Gone"]},
        {"tags": {"a\x00": "b"}},
        {"tags": {f"k{i}": "v" for i in range(5_000)}},
        {"tag_keys": ["k"] * 5_000},
        {"parent_run_id": "\x00"},
        {"experiment": "x" * 100_000},
        {"more": 1},
    ],
)
def test_hostile_queries(client: Client, body: dict[str, Any]) -> None:
    reply = client.post(f"{W}/runs:query", body)
    assert reply.status == 200 or refused(reply, "invalid", "limit_exceeded")["field"], reply


@pytest.mark.parametrize(
    "query",
    [
        "limit=x",
        "limits=1",
        "filter=%",
        "filter=%ff",
        "a" * 70_000,
        "&".join(["tag=a"] * 2_000),
        "limit=1&limit=1",
    ],
)
def test_hostile_query_strings(client: Client, query: str) -> None:
    assert refused(client.get(f"{W}/runs?{query}"), "invalid", "limit_exceeded")["field"]


def test_a_head_that_is_too_large(server: Server) -> None:
    heads: list[tuple[str, list[str]]] = [
        ("/" + "a" * HEAD_BYTES_MAX, []),
        (f"{W}/runs?filter=" + "a" * HEAD_BYTES_MAX, []),
        ("/health/live", ["X-Large: " + "a" * HEAD_BYTES_MAX]),
        ("/health/live", [f"X-{index}: {'a' * 100}" for index in range(2_000)]),
    ]
    for path, headers in heads:
        with RawConnection(server.url) as raw:
            raw.send(raw.head("GET", path, *headers, "Connection: close"))
            assert raw.status() == 431, path[:20]


def test_a_head_that_never_ends_is_not_kept(server: Server) -> None:
    with RawConnection(server.url) as raw:
        raw.send(b"GET / HTTP/1.1\r\nX-Endless: ")
        sent = sum(1 for _ in itertools.takewhile(lambda _: raw.send(b"a" * 65_536), range(1_000)))
        assert sent < 500


@pytest.mark.parametrize(
    "text",
    [
        b"nonsense\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nBad Header: 1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
def test_what_is_no_http(server: Server, text: bytes) -> None:
    with RawConnection(server.url) as raw:
        raw.send(text)
        assert raw.status() in {400, 404, 405, 411}


# the rest


def test_methods_that_a_path_does_not_have(client: Client) -> None:
    for path, allowed in [("/api/v1/commands", {"POST"}), (f"{W}/runs", {"GET", "POST"})]:
        reply = client.request("DELETE", path)
        assert (reply.status, reply.code) == (405, "method_not_allowed")
        assert set(reply.headers["allow"].replace(" ", "").split(",")) >= allowed


@pytest.mark.parametrize("process", ["me", "0", "%00", "a" * 400, "00000000-0000-4000-8000-000000000001x"])
def test_process_ids_are_uuids(client: Client, process: str) -> None:
    for method in ("PUT", "DELETE"):
        facts = refused(client.request(method, f"/api/v1/processes/{process}"), "invalid")
        assert facts["field"] == "process_id"


@pytest.mark.parametrize(
    "numbers",
    [{"s": 0}, {"s": 2**63}, {"s": "1"}, [], {"\x00": 1}, {"w/run/" + "x" * 300: 1}, {"w/run/a/b": 1}],
)
def test_numbers_of_a_heartbeat(client: Client, numbers: Any) -> None:
    reply = client.request("PUT", f"/api/v1/processes/{uuid4()}", {"last_numbers": numbers})
    assert "last_numbers" in refused(reply, "invalid", "limit_exceeded")["field"]


def test_a_heartbeat_names_a_bounded_number_of_streams(client: Client) -> None:
    numbers = {f"w/run/r{index}": 1 for index in range(10_001)}
    reply = client.request("PUT", f"/api/v1/processes/{uuid4()}", {"last_numbers": numbers})
    assert refused(reply, "limit_exceeded")["limit"] == 10_000


def test_a_path_has_a_length(client: Client) -> None:
    assert refused(client.get(f"{W}/runs/{'a' * 5_000}"), "limit_exceeded")["field"] == "path"


@pytest.mark.parametrize("given", ["nonsense", "00-" + "0" * 400, "", "00-xyz"])
def test_a_malformed_trace_context_is_left_out(client: Client, bad_run: str, given: str) -> None:
    reply = client.request("PATCH", f"{bad_run}/tags", {"set": {"t": uuid4().hex}}, {"traceparent": given})
    assert reply.status == 200


@pytest.mark.parametrize("kind", ["run.mark_lost", "run.mark_found"])
def test_the_keepers_own_commands_are_forbidden(client: Client, kind: str) -> None:
    body = {"workspace": "default", "commands": [{"command": {"type": kind, "run_id": "r"}}]}
    assert refused(client.post("/api/v1/commands", body), "forbidden") is not None


def test_unknown_runs_and_experiments(client: Client) -> None:
    for what in (
        "",
        "/metrics",
        "/params",
        "/tags",
        "/properties",
        "/history",
        "/writers",
        "/stream",
        "/children/counts",
    ):
        refused(client.get(f"{W}/runs/nobody{what}"), "not_found")
    for what in ("complete", "start", "fail", "cancel"):
        refused(client.post(f"{W}/runs/nobody/{what}"), "not_found")
    refused(client.get(f"{W}/experiments/nobody"), "not_found")
    refused(client.post(f"{W}/runs", {"experiment": "nobody"}), "not_found")
    refused(client.post(f"{W}/runs", {"experiment": "bad", "parent_run_id": "nobody"}), "not_found")


def test_pages_of_other_origins_and_names(client: Client) -> None:
    refused(client.get("/health/live", {"Host": "evil.example"}), "forbidden")
    refused(client.post(f"{W}/runs", {"experiment": "bad"}, {"Origin": "http://evil.example"}), "forbidden")
    reply = client.request("OPTIONS", f"{W}/runs", headers={"Origin": "http://evil.example"})
    assert "access-control-allow-origin" not in reply.headers


VALUES: Final[list[Any]] = [
    None,
    True,
    -1,
    2**70,
    1.5,
    "",
    "a\x00b",
    "\u202e",
    [],
    [[]],
    {},
    {"a": {"b": [1]}},
    "x" * 10_000,
]


def test_every_operation_takes_any_json_without_falling_over(client: Client) -> None:
    """Every field of every body with every kind of value: cheap, and it finds what nobody thought of."""
    schemas = DOCUMENT["components"]["schemas"]
    for path, methods in DOCUMENT["paths"].items():
        concrete = re.sub(r"{process_id}", str(uuid4()), path)
        concrete = re.sub(r"{\w+}", "some-name", concrete)
        for method, told in methods.items():
            if "application/json" not in told.get("requestBody", {}).get("content", {}):
                continue
            name = told["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
            for field, value in itertools.product(schemas[name].get("properties", {"none": {}}), VALUES):
                reply = client.request(method.upper(), concrete, {field: value})
                assert reply.status < 500, (method, path, field, value, reply)


def test_every_parameter_takes_any_text_without_falling_over(client: Client) -> None:
    texts = [
        "",
        "%00",
        "-1",
        "9" * 40,
        "a,b,,",
        "=",
        "a=b=c",
        "%F0%9F%98%80",
        "%22%27%3B--",
        "true",
        "x" * 5_000,
    ]
    for path, methods in DOCUMENT["paths"].items():
        if "get" not in methods or path.endswith("/stream"):
            continue
        concrete = re.sub(r"{\w+}", "some-name", path)
        for parameter in methods["get"]["parameters"]:
            for text in texts if parameter["in"] == "query" else ():
                reply = client.get(f"{concrete}?{parameter['name']}={text}")
                assert reply.status < 500, (path, parameter["name"], text, reply)
