"""Any bytes at all, by properties: a metric batch or a clear refusal, the same for who reads it and who only checks."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from runfold_events.contract.envelope import JSON, MSGPACK
from runfold_events.contract.metrics import decode_batch, plain_series
from tests.support.columns import json_batch, msgpack_batch, packed, plain, series
from tests.support.read_batches import read_or_refused
from tests.support.strategies import damaged

# ── any bytes ─────────────────────────────────────────────────────────────────────────────────────────────

SEEDS: Final = {
    JSON: json_batch(
        series(plain("f64", [1.5, "NaN", 3]), steps=plain("i64", [1, None, 2])),
        series(plain("any", [True, 1, "x"])),
    ),
    MSGPACK: msgpack_batch(
        series(packed("f64", "shuffle-zstd", [0.5, 1.5]), packed("i64", "delta-zstd", [1, 2])),
        series(packed("bool", "raw", [True]), steps=packed("i64", "zstd", [3])),
        series(plain("str", ["a", "é"])),
    ),
}


@given(st.sampled_from([JSON, MSGPACK]), st.binary(max_size=100))
def test_any_bytes_are_a_batch_or_refused(content_type: str, body: bytes) -> None:
    read_or_refused(content_type, body)


@settings(max_examples=300)
@given(st.sampled_from([JSON, MSGPACK]), st.data())
def test_a_batch_with_bytes_changed_is_a_batch_or_refused(content_type: str, data: st.DataObject) -> None:
    read_or_refused(content_type, bytes(data.draw(damaged(SEEDS[content_type], 3))))


JSON_VALUES: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)
COLUMNS: Final = st.fixed_dictionaries(
    {"dtype": st.sampled_from(["f64", "i64", "bool", "str", "any"]) | JSON_VALUES},
    optional={
        "values": st.lists(JSON_VALUES, max_size=3) | JSON_VALUES,
        "codec": st.sampled_from(["raw", "zstd", "delta-zstd", "shuffle-zstd", "delta-shuffle-zstd"]),
        "count": st.integers(),
        "data": st.text("ABC=", max_size=8),
    },
)
SERIES: Final = st.fixed_dictionaries(
    {
        "name": st.text(max_size=3) | JSON_VALUES,
        "times": COLUMNS,
        "columns": st.dictionaries(st.text(max_size=3), COLUMNS, max_size=2),
    },
    optional={"steps": COLUMNS, "kind": st.sampled_from(["scalar", "list", "row"]) | JSON_VALUES},
)


@settings(max_examples=120)
@given(st.lists(SERIES, max_size=2))
def test_anything_that_looks_like_a_batch_is_one_or_refused(many: list[Any]) -> None:
    read_or_refused(JSON, msgspec.json.encode({"series": many}))


# ── who only checks ───────────────────────────────────────────────────────────────────────────────────────

ODD_VALUES = st.lists(
    st.sampled_from([0, 1, -1, 2**63 - 1, -(2**63), 2**63, 0.5, True, None, "x", float("inf")]), max_size=3
)
RAW = st.sampled_from([b"", b"\x01", bytes(7), bytes(8), b"\xff" * 16, bytes(24)])
ODD_FIELDS: Final = {
    "dtype": st.sampled_from(["i64", "f64", "bool", "any"]),
    "values": st.none() | ODD_VALUES,
    "codec": st.sampled_from(["raw", "zstd", "shuffle-zstd", "delta-zstd", "delta-shuffle-zstd"]),
    "count": st.sampled_from([None, -(2**63), -1, 0, 1, 2, 3, 4_097, 2**62]),
    "data": RAW | RAW.map(zstandard.ZstdCompressor().compress),
}
NAMES = st.sampled_from(["m", "", "n", "\x00", "x" * 256, "x" * 257, "x" * 1_025])


@st.composite
def column(draw: st.DrawFn, dtype: str, odd_fields: int) -> dict[str, Any]:
    """A column of two numbers, of which some fields are others."""
    kind = draw(st.sampled_from(["plain", "raw", "zstd", "delta-zstd" if dtype == "i64" else "shuffle-zstd"]))
    data = bytes(16) if kind == "raw" else zstandard.ZstdCompressor().compress(bytes(16))
    right = {"values": [0, 1]} if kind == "plain" else {"codec": kind, "count": 2, "data": data}
    odd = draw(st.lists(st.sampled_from(list(ODD_FIELDS)), min_size=odd_fields, max_size=odd_fields))
    return {"dtype": dtype} | right | {field: draw(ODD_FIELDS[field]) for field in odd}


@st.composite
def one_series(draw: st.DrawFn) -> dict[str, Any]:
    """One that is right but in one place."""
    name = "m"
    odd = draw(st.sampled_from(["times", "steps", "values", "name", "columns", "description"]))
    fields = draw(st.integers(1, 2))
    if odd == "name":
        name = draw(NAMES)
    found = {
        "name": name,
        "times": draw(column("i64", fields * (odd == "times"))),
        "columns": {name: draw(column("f64", fields * (odd == "values")))},
    }
    if draw(st.booleans()) or odd == "steps":
        found["steps"] = draw(column("i64", fields * (odd == "steps")))
    if odd == "columns":
        found["columns"] = draw(st.dictionaries(NAMES, column("f64", 0), max_size=2))
    if odd == "description":
        found["description"] = draw(st.sampled_from(["", "d", "d" * 100_000]))
    if draw(st.booleans()):
        found["kind"] = draw(st.sampled_from(["scalar", "row", "", "no such kind"]))
    return found


@given(st.lists(one_series(), max_size=2), st.sampled_from([JSON, MSGPACK]))
@settings(max_examples=900)
def test_who_only_checks_a_batch_is_told_what_who_reads_it_is(batch: list[Any], content_type: str) -> None:
    encode = msgspec.json.encode if content_type == JSON else msgspec.msgpack.encode
    read_or_refused(content_type, encode({"series": batch}))


@pytest.mark.parametrize(
    "number",
    [
        *("0", "-0", "-0.0", "1", "0.1", "1e-400", "5e-324", "1.7976931348623157e308", "9007199254740993"),
        *("9223372036854775807", "18446744073709551616", "36893488147419103233", "1" * 30),
    ],
)
def test_a_plain_number_is_the_same_whoever_reads_it(number: str) -> None:
    """Zeros keep their sign, and what has more digits than a float is rounded alike."""
    times = '{"dtype":"i64","values":[7]}'
    column = f'{{"dtype":"f64","values":[{number}]}}'
    body = (
        f'{{"series":[{{"name":"m","times":{times},"steps":{times},"columns":{{"m":{column}}}}}]}}'.encode()
    )
    (generally,) = decode_batch(JSON, body)
    plainly = plain_series(JSON, body)
    assert plainly is not None
    (one,) = plainly
    assert one.columns["m"].values[0].hex() == generally.columns["m"][1][0].hex()
    assert one.times.values == list(generally.times)
    assert one.steps is not None
    assert generally.steps is not None
    assert one.steps.values == list(generally.steps)
