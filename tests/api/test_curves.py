"""Curves over HTTP: the same in JSON and in columns of bytes."""

from __future__ import annotations

import math
import struct
from datetime import UTC, datetime
from typing import Any

import msgspec
import polars
import pytest

from runfold_projections.model import CurveBuckets
from runfold_services.api.bodies import CurvesAnswer, PackedCurvesAnswer
from tests.support.http_server import Client

W = "/api/v1/workspaces/default"
QUERY = f"{W}/curves:query"


@pytest.fixture(scope="module", autouse=True)
def runs(server: Any) -> None:
    """``many`` has more points than a chunk; ``odd`` has what JSON cannot say."""
    with Client(server.url) as client:
        client.post(f"{W}/experiments", {"experiment": "e"})
        for run_id in ("many", "odd"):
            client.post(f"{W}/runs", {"experiment": "e", "run_id": run_id, "tags": {"of": "curves"}})
        log(client, "many", [i / 10 for i in range(10_000)], list(range(10_000)))
        log(client, "odd", ["NaN", "Infinity", "-Infinity", 0.5], [3, None, 2, 1])


def log(client: Client, run_id: str, values: list[Any], steps: list[int | None]) -> None:
    series = {
        "name": "loss",
        "times": {"dtype": "i64", "values": list(range(len(values)))},
        "steps": {"dtype": "i64", "values": steps},
        "columns": {"loss": {"dtype": "f64", "values": values}},
    }
    assert client.post(f"{W}/runs/{run_id}/metrics", {"series": [series]}).status == 200


def test_points_as_they_are_with_what_json_cannot_say_as_text(client: Client) -> None:
    reply = client.post(QUERY, {"runs": ["odd"], "x": "time"})

    assert reply.status == 200
    assert reply.json == {
        "curves": [
            {
                "run_id": "odd",
                "name": "loss",
                "column": "loss",
                "kind": "scalar",
                "x": "time",
                "dtype": "f64",
                "total": 4,
                "count": 4,
                "nan_count": 1,
                "exact": True,
                "points": {
                    "x": [0, 1, 2, 3],
                    "values": ["NaN", "Infinity", "-Infinity", 0.5],
                    "steps": [3, None, 2, 1],
                    "times_ms": [0, 1, 2, 3],
                },
            }
        ]
    }
    assert "runfold-position" in reply.headers


def test_buckets_for_more_points_than_asked(client: Client) -> None:
    body = {"query": {"filter": 'tags.of = "curves"', "order_by": "run_id"}, "points_max": 4}
    many, odd = client.post(QUERY, body).json["curves"]

    assert (many["run_id"], many["exact"], many["count"], odd["exact"]) == ("many", False, 10_000, True)
    assert "points" not in many
    assert many["buckets"] == {
        "x_first": [0, 2_500, 5_000, 7_500],
        "x_last": [2_499, 4_999, 7_499, 9_999],
        "count": [2_500] * 4,
        "nan_count": [0] * 4,
        "min": [0.0, 250.0, 500.0, 750.0],
        "max": [249.9, 499.9, 749.9, 999.9],
        "mean": [pytest.approx(mean) for mean in (124.95, 374.95, 624.95, 874.95)],
        "first": [0.0, 250.0, 500.0, 750.0],
        "last": [249.9, 499.9, 749.9, 999.9],
    }
    part = {"runs": ["many"], "from": 10, "to": 20, "last": 2}
    assert client.post(QUERY, part).json["curves"][0]["points"]["x"] == [18, 19]


def test_a_bucket_without_a_number_has_null(client: Client) -> None:
    (odd,) = client.post(QUERY, {"runs": ["odd"], "points_max": 3}).json["curves"]
    assert odd["count"] == 3  # one has no step
    (odd,) = client.post(QUERY, {"runs": ["odd"], "points_max": 2, "x": "time"}).json["curves"]
    assert (odd["buckets"]["min"], odd["buckets"]["max"]) == (["Infinity", "-Infinity"], ["Infinity", 0.5])
    (odd,) = client.post(QUERY, {"runs": ["odd"], "points_max": 3, "x": "time"}).json["curves"]
    assert odd["buckets"]["mean"][0] is None
    assert odd["buckets"]["first"] == [None, "Infinity", "-Infinity"]


@pytest.mark.parametrize("points_max", [10, 20_000])
def test_msgpack_carries_the_same_in_columns_of_bytes(client: Client, points_max: int) -> None:
    body = {"runs": ["many", "odd"], "x": "time", "points_max": points_max}
    plain = msgspec.json.decode(client.post(QUERY, body).body, type=CurvesAnswer)
    packed = msgspec.msgpack.decode(
        client.post(QUERY, body, {"Accept": "application/msgpack"}).body, type=PackedCurvesAnswer
    )

    assert len(plain.curves) == len(packed.curves) == 2
    for lists, columns in zip(plain.curves, packed.curves, strict=True):
        assert (lists.count, lists.exact, lists.dtype) == (columns.count, columns.exact, columns.dtype)
        if columns.points is not None:
            assert lists.points is not None
            assert unpacked("q", columns.points.x) == lists.points.x
            assert [show(value) for value in unpacked("d", columns.points.values)] == lists.points.values
        else:
            assert lists.buckets is not None
            assert columns.buckets is not None
            assert unpacked("q", columns.buckets.x_last) == lists.buckets.x_last
            assert unpacked("d", columns.buckets.mean) == lists.buckets.mean


def test_arrow_carries_one_table(client: Client) -> None:
    """Read by another implementation than the one that wrote it."""
    body = {"runs": ["many", "odd"], "x": "time", "points_max": 3}

    reply = client.post(QUERY, body, {"Accept": "application/vnd.apache.arrow.stream"})

    assert (reply.status, reply.headers["content-type"]) == (200, "application/vnd.apache.arrow.stream")
    table = polars.read_ipc_stream(reply.body)
    assert table["run_id"].to_list() == ["many"] * 3 + ["odd"] * 3
    assert table.columns == ["run_id", "metric", "column", *CurveBuckets.__struct_fields__]
    assert table["count"].to_list() == [4_096, 4_096, 1_808, 1, 1, 2]
    assert table["last"].to_list()[3:] == [pytest.approx(math.nan, nan_ok=True), math.inf, 0.5]
    body |= {"points_max": 20_000, "runs": ["odd", "many"]}
    table = polars.read_ipc_stream(
        client.post(QUERY, body, {"Accept": "application/vnd.apache.arrow.stream"}).body
    )
    assert table.columns == ["run_id", "metric", "column", "x", "step", "time", "value"]
    assert table["value"].to_list()[1:6] == [math.inf, -math.inf, 0.5, 0.0, 0.1]
    assert table["time"].to_list()[2] == datetime.fromtimestamp(0.002, UTC)
    nothing = client.post(
        QUERY, body | {"names": ["nothing"]}, {"Accept": "application/vnd.apache.arrow.stream"}
    )
    assert polars.read_ipc_stream(nothing.body).shape == (0, 7)


def test_a_server_without_arrow_says_so(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runfold_services.api.curve_formats.find_spec", lambda name: None)
    reply = client.post(QUERY, {"runs": ["odd"]}, {"Accept": "application/vnd.apache.arrow.stream"})
    assert (reply.status, reply.code) == (415, "unsupported_media_type")
    assert "runfold[arrow]" in reply.json["detail"]


def unpacked(code: str, data: bytes) -> list[Any]:
    return list(struct.unpack(f"<{len(data) // 8}{code}", data))


def show(value: float) -> Any:
    if math.isnan(value):
        return "NaN"
    return value if math.isfinite(value) else "Infinity" if value > 0 else "-Infinity"


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({}, 400, "runs"),
        ({"runs": ["odd"], "query": {}}, 400, "runs"),
        ({"runs": ["odd"], "points_max": 0}, 400, "points_max"),
        ({"runs": ["odd"], "x": "epoch"}, 400, "x"),
        ({"runs": ["odd"], "last": 2_000}, 400, "last"),
        ({"runs": ["odd"], "form": 3}, 400, "form"),
        ({"query": {"limit": 1_001}}, 413, "limit"),
        ({"query": {"filter": "nonsense"}}, 400, "filter"),
        ({"runs": ["nobody"]}, 404, None),
        ({"runs": ["many", "odd"], "points_max": 600_000}, 413, "points_max"),
    ],
)
def test_what_is_no_query_says_what_is_wrong(
    client: Client, body: dict[str, Any], status: int, field: str | None
) -> None:
    reply = client.post(QUERY, body)

    assert reply.status == status
    assert reply.json["facts"].get("field") == field
