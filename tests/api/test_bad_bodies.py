"""Bodies that nobody should send: each gets a 4xx that names field and limit, and the server goes on."""

from __future__ import annotations

import itertools
from collections.abc import Generator
from typing import Any, Final

import msgspec
import pytest
import zstandard

from runfold_events.contract import limits
from runfold_services.server import Server
from tests.support.http_server import Client
from tests.support.raw_http import RawConnection
from tests.support.refusals import refused

W: Final = "/api/v1/workspaces/default"
JSON: Final = {"Content-Type": "application/json"}
MSGPACK: Final = {"Content-Type": "application/msgpack"}


@pytest.fixture(autouse=True)
def goes_on(client: Client) -> Generator[None]:
    """After whatever a test did the server answers, and every projection folds."""
    yield
    assert client.get("/health/ready").status == 200


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
def test_broken_json(client: Client, bad_run: str, body: bytes) -> None:
    for path in ("/api/v1/commands", f"{W}/runs", f"{bad_run}/metrics", f"{bad_run}/params"):
        refused(client.post(path, body, JSON), "invalid", "unsupported_media_type")


@pytest.mark.parametrize("body", BROKEN_MSGPACK, ids=range(len(BROKEN_MSGPACK)))
def test_broken_msgpack(client: Client, bad_run: str, body: bytes) -> None:
    for path in ("/api/v1/commands", f"{W}/runs", f"{bad_run}/metrics", f"{bad_run}/params"):
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
def test_other_content_types(client: Client, bad_run: str, content_type: str) -> None:
    for path in ("/api/v1/commands", f"{bad_run}/metrics", f"{bad_run}/complete"):
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


def test_a_metric_batch_has_a_limit_of_its_own(client: Client, bad_run: str) -> None:
    facts = refused(client.post(f"{bad_run}/metrics", b" " * 5_000_000, JSON), "limit_exceeded")
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
    client: Client, bad_run: str, path: str, body: dict[str, Any]
) -> None:
    method = "PATCH" if path in {"", "/tags"} else "POST"
    facts = refused(client.request(method, bad_run + path, body), "limit_exceeded", "invalid")
    assert facts["field"]
    assert "limit" in facts


def test_lone_surrogates_are_refused_wherever_text_is_taken(client: Client, bad_run: str) -> None:
    for path, body in [
        ("/params", b'{"params":{"k":"\\ud800"}}'),
        ("/params", b'{"params":{"\\udfff":1}}'),
        ("/properties", b'{"properties":{"k":"x\\udc00"}}'),
        ("/cancel", b'{"reason":"\\ud83d"}'),
        ("/complete", b'{"\\ud800":1}'),
    ]:
        refused(client.post(bad_run + path, body, JSON), "invalid")
    surrogate = b"\x81\xa6params\x81\xa1k\xa3\xed\xa0\x80"  # U+D800 as three bytes, which UTF-8 forbids
    refused(client.post(f"{bad_run}/params", surrogate, MSGPACK), "invalid")


@pytest.mark.parametrize("literal", [b"NaN", b"Infinity", b"-Infinity", b"1e400"])
def test_numbers_that_json_does_not_have(client: Client, bad_run: str, literal: bytes) -> None:
    refused(client.post(f"{bad_run}/params", b'{"params":{"k":' + literal + b"}}", JSON), "invalid")


def test_parameters_that_are_not_finite(client: Client, bad_run: str) -> None:
    body = msgspec.msgpack.encode({"params": {"k": float("nan")}})
    assert refused(client.post(f"{bad_run}/params", body, MSGPACK), "invalid")["field"] == "params.k"


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
def test_hostile_metric_batches(client: Client, bad_run: str, body: bytes) -> None:
    facts = refused(client.post(f"{bad_run}/metrics", body, MSGPACK), "invalid", "limit_exceeded")
    assert facts["field"]


def test_one_bad_batch_leaves_its_neighbours_alone(client: Client, bad_run: str) -> None:
    run_id = bad_run.rpartition("/")[2]

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
