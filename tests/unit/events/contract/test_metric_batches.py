"""Metric batches: what is sent is what is read, bit for bit, plain or packed, in JSON or msgpack."""

from __future__ import annotations

import base64
import struct
from array import array
from collections.abc import Iterable
from typing import Any, Final

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from runfold_events.contract import columns, metrics
from runfold_events.contract.envelope import JSON, MSGPACK
from tests.support.columns import Plain, json_batch, msgpack_batch, packed, plain, series

NO_STEP: Final = -(2**63)
FLOAT_CODECS: Final = ("raw", "zstd", "shuffle-zstd")
DELTA_CODECS: Final = ("delta-zstd", "delta-shuffle-zstd")
INTEGER_CODECS: Final = (*FLOAT_CODECS, *DELTA_CODECS)

# Bit patterns that a careless decoder changes.
DELICATE: Final = (
    0x0000000000000000,  # 0.0
    0x8000000000000000,  # -0.0
    0x7FF0000000000000,  # inf
    0xFFF0000000000000,  # -inf
    0x7FF8000000000000,  # the usual NaN
    0xFFF8000000000000,  # NaN with its sign set
    0x7FF8DEADBEEF0001,  # NaN with a payload
    0x7FF0000000000001,  # signalling NaN
    0x0000000000000001,  # the smallest subnormal
    0x7FEFFFFFFFFFFFFF,  # the largest finite
    0x3FB999999999999A,  # 0.1
)
BITS: Final = st.lists(st.integers(0, 2**64 - 1) | st.sampled_from(DELICATE), max_size=60)
INTEGERS: Final = st.lists(st.integers(-(2**63), 2**63 - 1), max_size=60)


def floats_of(bits: Iterable[int]) -> list[float]:
    return [struct.unpack("<d", struct.pack("<Q", one))[0] for one in bits]


def bits_of(values: Any) -> list[int]:
    return [struct.unpack("<Q", struct.pack("<d", value))[0] for value in values]


def decode_one(body: bytes, content_type: str = MSGPACK) -> metrics.DecodedSeries:
    (only,) = metrics.decode_batch(content_type, body)
    return only


def column_of(column: Plain, content_type: str = MSGPACK) -> Any:
    """The values of the one column after a round trip."""
    if content_type == JSON and "data" in column:
        column = column | {"data": base64.b64encode(column["data"]).decode()}
    body = json_batch(series(column)) if content_type == JSON else msgpack_batch(series(column))
    return decode_one(body, content_type).columns["m"][1]


# ── values ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("codec", FLOAT_CODECS)
@given(BITS)
def test_packed_floats_are_bit_exact(codec: str, bits: list[int]) -> None:
    assert bits_of(column_of(packed("f64", codec, floats_of(bits)))) == bits


@given(BITS)
def test_plain_floats_are_bit_exact_in_msgpack(bits: list[int]) -> None:
    assert bits_of(column_of(plain("f64", floats_of(bits)))) == bits


@pytest.mark.parametrize("codec", FLOAT_CODECS)
def test_packed_floats_are_bit_exact_in_json_too(codec: str) -> None:
    assert bits_of(column_of(packed("f64", codec, floats_of(DELICATE)), JSON)) == list(DELICATE)


@given(BITS)
def test_floats_that_our_sdk_packs_are_bit_exact(bits: list[int]) -> None:
    column = columns.pack_floats(array("d", floats_of(bits)))
    assert bits_of(columns.unpack_column(column, "f")) == bits


@given(INTEGERS)
def test_integers_that_our_sdk_packs_come_back(values: list[int]) -> None:
    column = columns.pack_integers(array("q", values))
    assert list(columns.unpack_column(column, "f")) == values


@pytest.mark.parametrize("codec", INTEGER_CODECS)
@given(INTEGERS)
@example([2**63 - 1, -(2**63), 2**63 - 1])  # differences are modulo 2**64
def test_packed_integers_come_back(codec: str, values: list[int]) -> None:
    assert list(column_of(packed("i64", codec, values))) == values


@pytest.mark.parametrize("content_type", [JSON, MSGPACK])
@pytest.mark.parametrize("codec", FLOAT_CODECS)
def test_packed_bools_come_back(codec: str, content_type: str) -> None:
    values = [True, False, False, True, True]
    unpacked = column_of(packed("bool", codec, values), content_type)
    assert unpacked == values
    assert {type(value) for value in unpacked} == {bool}


def test_json_carries_what_is_not_finite_as_words() -> None:
    values = column_of(plain("f64", [1.5, "NaN", "Infinity", "-Infinity", -0.0, 3]), JSON)
    assert bits_of(values)[2:5] == [DELICATE[2], DELICATE[3], DELICATE[1]]
    assert values[1] != values[1]
    assert (values[0], values[5]) == (1.5, 3.0)


@pytest.mark.parametrize("content_type", [JSON, MSGPACK])
@pytest.mark.parametrize(
    ("dtype", "values"),
    [
        ("i64", [-(2**63), -1, 0, 2**63 - 1]),
        ("bool", [True, False]),
        ("str", ["", "é", "NaN", "\U0001f600"]),
        ("any", [None, True, 0, 1.5, "x", -(2**63), 2**63 - 1]),
        ("f64", []),
    ],
)
def test_plain_columns_come_back(dtype: str, values: list[Any], content_type: str) -> None:
    unpacked = list(column_of(plain(dtype, values), content_type))
    assert [(type(value), value) for value in unpacked] == [(type(value), value) for value in values]


# ── series ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("content_type", [JSON, MSGPACK])
def test_a_point_without_a_step_has_none(content_type: str) -> None:
    encode = json_batch if content_type == JSON else msgpack_batch
    body = encode(series(plain("f64", [1, 2, 3]), steps=plain("i64", [5, None, -1])))
    steps = decode_one(body, content_type).steps
    assert steps is not None
    assert list(steps) == [5, NO_STEP, -1]


def test_a_series_without_steps_has_none() -> None:
    assert decode_one(msgpack_batch(series(plain("f64", [1])))).steps is None


def test_steps_may_come_in_any_order_and_more_than_once() -> None:
    body = msgpack_batch(series(plain("f64", [1, 2, 3]), steps=packed("i64", "zstd", [9, 2, 9])))
    assert list(decode_one(body).steps or ()) == [9, 2, 9]


def test_a_packed_step_may_be_none_too() -> None:
    body = msgpack_batch(series(plain("f64", [1, 2]), steps=packed("i64", "raw", [NO_STEP, 0])))
    assert list(decode_one(body).steps or ()) == [NO_STEP, 0]


def test_a_table_keeps_the_order_of_its_columns() -> None:
    columns = {"z": plain("str", ["a", "b"]), "a": plain("f64", [1, 2]), "m": plain("any", [None, 1])}
    table = {
        "name": "t",
        "kind": "table",
        "description": "d",
        "times": plain("i64", [7, 7]),
        "columns": columns,
    }
    decoded = decode_one(json_batch(table), JSON)
    assert (decoded.name, decoded.kind, decoded.description, decoded.count) == ("t", "table", "d", 2)
    assert list(decoded.columns) == ["z", "a", "m"]
    assert [dtype for dtype, _ in decoded.columns.values()] == ["str", "f64", "any"]


def test_a_row_without_columns_and_an_empty_batch_are_legal() -> None:
    row = {"name": "r", "kind": "row", "times": plain("i64", [1]), "columns": {}}
    assert decode_one(json_batch(row), JSON).columns == {}
    assert metrics.decode_batch(JSON, json_batch()) == []


def test_several_series_keep_their_order_also_under_one_name() -> None:
    decoded = metrics.decode_batch(
        MSGPACK, msgpack_batch(series(plain("f64", [1])), series(plain("f64", [2])))
    )
    assert [list(one.columns["m"][1]) for one in decoded] == [[1.0], [2.0]]


@settings(max_examples=40)
@given(BITS)
def test_what_our_sdk_sends_is_read_back(bits: list[int]) -> None:
    values = array("d", floats_of(bits))
    times = columns.pack_integers(array("q", range(1_700_000_000_000, 1_700_000_000_000 + len(values))))
    sent = metrics.Series(name="m", times=times, steps=times, columns={"m": columns.pack_floats(values)})
    decoded = decode_one(metrics.encode_batch([sent]))
    assert bits_of(decoded.columns["m"][1]) == bits
    assert decoded.steps == decoded.times
    assert decoded.count == len(bits)
