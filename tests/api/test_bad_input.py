"""Nothing that is sent gets a 5xx or stops the server: each fault gets an error that names field and limit."""

from __future__ import annotations

import itertools
import re
from collections.abc import Generator
from typing import Any, Final
from uuid import uuid4

import msgspec
import pytest
import zstandard

from runfold_events.contract import limits
from runfold_services.api.openapi import document
from runfold_services.api.routes import OPERATIONS
from runfold_services.bounded_http import HEAD_BYTES_MAX
from runfold_services.server import Server
from tests.support.http_server import Client, Reply
from tests.support.raw_http import RawConnection

W: Final = "/api/v1/workspaces/default"
JSON: Final = {"Content-Type": "application/json"}
MSGPACK: Final = {"Content-Type": "application/msgpack"}
DOCUMENT: Final = document(OPERATIONS)


@pytest.fixture(scope="module")
def run(server: Server) -> str:
    """The path of a run that is there."""
    with Client(server.url) as client:
        client.post(f"{W}/experiments", {"experiment": "bad"})
        return f"{W}/runs/{client.post(f'{W}/runs', {'experiment': 'bad'}).json['run_id']}"


@pytest.fixture(autouse=True)
def goes_on(client: Client) -> Generator[None]:
    """After whatever a test did the server answers, and every projection folds."""
    yield
    assert client.get("/health/ready").status == 200


def refused(reply: Reply, *codes: str) -> dict[str, Any]:
    """The problem of a refusal, which is told by a 4xx; its code is one of ``codes``, if any are given."""
    assert 400 <= reply.status < 500, reply
    assert reply.code in codes or not codes, reply
    assert reply.json["detail"]
    facts: dict[str, Any] = reply.json["facts"]
    return facts


# bodies that are no bodies

BROKEN_JSON: Final = [
    b"",
    b"{",
    b"nul",
    b"\x00",
    b"\xff\xfe{}",
    b'{"workspace": "default", "commands": [}',
    b'{"workspace": "default", "commands": []} trailing',
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b'{"workspace":"default","commands":[{"command":{"type":"run.log_metrics","run_id":"r","batch":'
    + b"[" * 100_000,
    b'"' + b"a" * 1_000_000,
    b"1e999999999",
    b"-",
    b'{"workspace":"\xc3\x28","commands":[]}',
    b'{"workspace":"\\ud800","commands":[]}',
    b'{"workspace":"a\\u0000b","commands":[]}',
]
BROKEN_MSGPACK: Final = [
    b"",
    b"\xc1",
    b"\xdf\xff\xff\xff\xff",
    b"\xdd\xff\xff\xff\xff",
    b"\xc6\xff\xff\xff\xff",
    b"\x91" * 100_000,
    b"\x81\xa1a" * 100_000,
    b"\x82\xa9workspace\xa7default\xa8commands\xdd\x7f\xff\xff\xff",
    msgspec.msgpack.encode({"workspace": "default"}),
    msgspec.msgpack.encode({1: 2}),
    msgspec.msgpack.encode(msgspec.msgpack.Ext(5, b"x")),
    b"\x82\xa9workspace\xa4\xff\xff\xff\xff\xa8commands\x90",
]


@pytest.mark.parametrize("body", BROKEN_JSON, ids=range(len(BROKEN_JSON)))
def test_broken_json(client: Client, run: str, body: bytes) -> None:
    for path in ("/api/v1/commands", f"{W}/runs", f"{run}/metrics", f"{run}/params"):
        refused(client.post(path, body, JSON), "invalid", "unsupported_media_type")


@pytest.mark.parametrize("body", BROKEN_MSGPACK, ids=range(len(BROKEN_MSGPACK)))
def test_broken_msgpack(client: Client, run: str, body: bytes) -> None:
    for path in ("/api/v1/commands", f"{W}/runs", f"{run}/metrics", f"{run}/params"):
        refused(client.post(path, body, MSGPACK), "invalid", "unsupported_media_type")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"workspace": "default", "commands": [], "more": 1}, "more"),
        ({"commands": []}, "workspace"),
        ({"workspace": 3, "commands": []}, "workspace"),
        ({"workspace": "default", "commands": {}}, "commands"),
        ({"workspace": "default", "commands": [{"command": {"type": "run.fly", "run_id": "r"}}]}, "commands"),
        ({"workspace": "default", "commands": [{"command": {"run_id": "r"}}]}, "commands"),
        ({"workspace": "default", "commands": [{"command": {"type": "run.start", "run_id": 1}}]}, "run_id"),
        (
            {"workspace": "default", "commands": [{"command": {"type": "run.start", "run_id": "r", "x": 1}}]},
            "x",
        ),
        (
            {"workspace": "default", "commands": [{"command": {"type": "run.start", "run_id": "r"}, "y": 1}]},
            "y",
        ),
        (
            {
                "workspace": "default",
                "commands": [{"command": {"type": "run.start", "run_id": "r"}, "correlation_id": "zz"}],
            },
            "correlation_id",
        ),
        ({"workspace": "default", "commands": [], "hold": "yes"}, "hold"),
        ({"workspace": "../etc", "commands": []}, "workspace"),
        ({"workspace": "w" * 65, "commands": []}, "workspace"),
    ],
)
def test_wrong_types_and_unknown_fields_are_named(client: Client, body: dict[str, Any], field: str) -> None:
    assert field in refused(client.post("/api/v1/commands", body), "invalid", "limit_exceeded")["field"]


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "", "application/xml"],
)
def test_other_content_types(client: Client, run: str, content_type: str) -> None:
    for path in ("/api/v1/commands", f"{run}/metrics", f"{run}/complete"):
        facts = refused(client.post(path, b"{}", {"Content-Type": content_type}), "unsupported_media_type")
        assert facts["field"] == "Content-Type"


@pytest.mark.parametrize("encoding", ["gzip", "zstd", "deflate", "br", "identity, gzip"])
def test_compressed_bodies_are_not_unpacked(client: Client, encoding: str) -> None:
    bomb = zstandard.ZstdCompressor().compress(bytes(50_000_000))
    facts = refused(
        client.post("/api/v1/commands", bomb, JSON | {"Content-Encoding": encoding}), "unsupported_media_type"
    )
    assert facts["field"] == "Content-Encoding"


# sizes


@pytest.mark.parametrize("path", ["/api/v1/commands", f"{W}/runs", f"{W}/runs:query"])
def test_ten_megabytes(client: Client, path: str) -> None:
    facts = refused(client.post(path, b" " * 10_000_000, JSON), "limit_exceeded")
    assert (facts["field"], facts["limit"]) == ("body", limits.REQUEST_BODY_BYTES_MAX)
    assert facts["size"] >= limits.REQUEST_BODY_BYTES_MAX


def test_a_metric_batch_has_a_limit_of_its_own(client: Client, run: str) -> None:
    facts = refused(client.post(f"{run}/metrics", b" " * 5_000_000, JSON), "limit_exceeded")
    assert facts["limit"] == limits.METRIC_BATCH_BYTES_MAX


def test_a_body_without_an_announced_end_is_cut_off_at_the_limit(server: Server) -> None:
    with RawConnection(server.url) as raw:
        head = raw.head(
            "POST", "/api/v1/commands", "Content-Type: application/json", "Transfer-Encoding: chunked"
        )
        assert raw.send(head)
        chunk = b"10000\r\n" + b" " * 65_536 + b"\r\n"
        sent = sum(1 for _ in itertools.takewhile(lambda _: raw.send(chunk), range(2_000)))
        assert sent * 65_536 < 100_000_000, "the server read on for ever"
        assert raw.status() in {413, 0}, "a reset may overtake the answer when the client never stops sending"


def test_a_chunked_body_over_the_limit_gets_its_answer_before_the_connection_ends(server: Server) -> None:
    with RawConnection(server.url) as raw:
        head = raw.head(
            "POST", "/api/v1/commands", "Content-Type: application/json", "Transfer-Encoding: chunked"
        )
        assert raw.send(head)
        for _ in range(160):
            assert raw.send(b"10000\r\n" + b" " * 65_536 + b"\r\n")
        assert raw.send(b"0\r\n\r\n")
        answer = raw.read_to_end()
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert b"connection: close" in answer.lower()


def test_too_many_commands(client: Client) -> None:
    item = {"command": {"type": "run.start", "run_id": "r"}}
    body = {"workspace": "default", "commands": [item] * (limits.COMMANDS_PER_REQUEST_MAX + 1)}
    facts = refused(client.post("/api/v1/commands", body), "limit_exceeded")
    assert (facts["field"], facts["limit"]) == ("commands", limits.COMMANDS_PER_REQUEST_MAX)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/tags", {"set": {"k" * (limits.TAG_KEY_CHARS_MAX + 1): "v"}}),
        ("/tags", {"set": {"": "v"}}),
        ("/tags", {"set": {"k": "v" * (limits.TAG_VALUE_CHARS_MAX + 1)}}),
        ("/tags", {"set": {f"k{i}": "v" for i in range(limits.TAGS_PER_RUN_MAX + 1)}}),
        ("/tags", {"set": {"k": "a\x00b"}}),
        ("/tags", {"remove": ["k\x00"]}),
        ("/properties", {"properties": {"k": "v" * (limits.PROPERTY_VALUE_CHARS_MAX + 1)}}),
        ("/params", {"params": {"k": "v" * (limits.PARAM_VALUE_CHARS_MAX + 1)}}),
        ("/params", {"params": {"k": 2**63}}),
        ("/params", {"params": {"k": 2**70}}),
        ("/artifacts", {"path": "../x", "sha256": "a" * 64, "size_bytes": 1}),
        ("/artifacts", {"path": "x", "sha256": "a", "size_bytes": 1}),
        ("/artifacts", {"path": "x", "sha256": "a" * 64, "size_bytes": -1}),
        ("/artifacts", {"path": "x", "sha256": "a" * 64, "size_bytes": 2**63}),
        ("/fail", {"error": {"message": "m" * (limits.ERROR_MESSAGE_CHARS_MAX + 1)}}),
        ("/cancel", {"reason": "r" * (limits.REASON_CHARS_MAX + 1)}),
        ("", {"display_name": "d" * (limits.DISPLAY_NAME_CHARS_MAX + 1)}),
        ("", {"description": "d" * (limits.DESCRIPTION_CHARS_MAX + 1)}),
    ],
)
def test_values_over_their_limits_name_field_limit_and_size(
    client: Client, run: str, path: str, body: dict[str, Any]
) -> None:
    method = "PATCH" if path in {"", "/tags"} else "POST"
    facts = refused(client.request(method, run + path, body), "limit_exceeded", "invalid")
    assert facts["field"]
    assert "limit" in facts


def test_lone_surrogates_are_refused_wherever_text_is_taken(client: Client, run: str) -> None:
    for path, body in [
        ("/params", b'{"params":{"k":"\\ud800"}}'),
        ("/params", b'{"params":{"\\udfff":1}}'),
        ("/properties", b'{"properties":{"k":"x\\udc00"}}'),
        ("/cancel", b'{"reason":"\\ud83d"}'),
        ("/complete", b'{"\\ud800":1}'),
    ]:
        refused(client.post(run + path, body, JSON), "invalid")
    surrogate = b"\x81\xa6params\x81\xa1k\xa3\xed\xa0\x80"  # U+D800 as three bytes, which UTF-8 forbids
    refused(client.post(f"{run}/params", surrogate, MSGPACK), "invalid")


@pytest.mark.parametrize("literal", [b"NaN", b"Infinity", b"-Infinity", b"1e400"])
def test_numbers_that_json_does_not_have(client: Client, run: str, literal: bytes) -> None:
    refused(client.post(f"{run}/params", b'{"params":{"k":' + literal + b"}}", JSON), "invalid")


def test_parameters_that_are_not_finite(client: Client, run: str) -> None:
    body = msgspec.msgpack.encode({"params": {"k": float("nan")}})
    assert refused(client.post(f"{run}/params", body, MSGPACK), "invalid")["field"] == "params.k"


# metric batches


def packed(codec: str, count: int, data: bytes) -> bytes:
    times = {"dtype": "i64", "codec": codec, "count": count, "data": data}
    column = {"dtype": "f64", "values": [1.0]}
    return msgspec.msgpack.encode({"series": [{"name": "m", "times": times, "columns": {"m": column}}]})


BOMB: Final = zstandard.ZstdCompressor(level=19).compress(bytes(200_000_000))


@pytest.mark.parametrize(
    "body",
    [
        packed("zstd", 1, BOMB),
        packed("delta-zstd", 100_000, BOMB),
        packed("zstd", 2**62, BOMB),
        packed("zstd", -1, BOMB),
        packed("zstd", 1, b"no zstd"),
        packed("raw", 1, b"1234567"),
        packed("lz4", 1, b""),
        packed("zstd", 4, zstandard.ZstdCompressor().compress(bytes(8))),
        msgspec.msgpack.encode(
            {"series": [{"name": "m", "times": {"dtype": "str", "values": ["x"]}, "columns": {}}]}
        ),
        msgspec.msgpack.encode(
            {"series": [{"name": "", "times": {"dtype": "i64", "values": []}, "columns": {}}]}
        ),
        msgspec.msgpack.encode({"series": [], "more": 1}),
        msgspec.msgpack.encode([1, 2, 3]),
    ],
    ids=range(12),
)
def test_hostile_metric_batches(client: Client, run: str, body: bytes) -> None:
    facts = refused(client.post(f"{run}/metrics", body, MSGPACK), "invalid", "limit_exceeded")
    assert facts["field"]


def test_one_bad_batch_leaves_its_neighbours_alone(client: Client, run: str) -> None:
    run_id = run.rpartition("/")[2]

    def log(batch: Any) -> dict[str, Any]:
        return {"command": {"type": "run.log_metrics", "run_id": run_id, "batch": batch}}

    good = {
        "series": [
            {
                "name": "m",
                "times": {"dtype": "i64", "values": [1]},
                "columns": {"m": {"dtype": "f64", "values": [1]}},
            }
        ]
    }
    body = {"workspace": "default", "commands": [log(good), log({"series": 3}), log(good)]}
    outcomes = client.post("/api/v1/commands", body).json["outcomes"]
    assert [outcome["outcome"] for outcome in outcomes] == ["accepted", "refused", "accepted"]
    assert outcomes[1]["code"] == "invalid"


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
    "path", ["/", "/api", "/api/v1", "/api/v1/nothing", f"{W}/runs/r/nothing", "//", "/%00", "/..%2f"]
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
def test_a_malformed_trace_context_is_left_out(client: Client, run: str, given: str) -> None:
    reply = client.request("PATCH", f"{run}/tags", {"set": {"t": uuid4().hex}}, {"traceparent": given})
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
            if "requestBody" not in told:
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
