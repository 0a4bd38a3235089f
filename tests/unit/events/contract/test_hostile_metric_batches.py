"""Whatever bytes come as a metric batch: it is read, or refused by field and limit, at a bounded cost."""

from __future__ import annotations

import tracemalloc
from typing import Any, Final

import msgspec
import pytest
import zstandard

from runfold_events.contract.envelope import JSON, MSGPACK
from runfold_events.contract.errors import Invalid, LimitExceeded
from runfold_events.contract.metrics import decode_batch
from tests.support.columns import (
    Plain,
    compress,
    json_batch,
    msgpack_batch,
    packed,
    packed_bytes,
    plain,
    series,
)
from tests.support.read_batches import check_error, read_or_refused

POINTS_MAX: Final = 100_000
BATCH_BYTES_MAX: Final = 4 * 1024 * 1024
UNPACKED_BYTES_MAX: Final = 32 * 1024 * 1024


def refused(body: bytes, content_type: str = MSGPACK) -> Invalid:
    """The error that the batch gives; it can be sent as JSON and is no wall of text."""
    with pytest.raises(Invalid) as caught:
        decode_batch(content_type, body)
    error = caught.value
    assert check_error(content_type, body) == (type(error), error.message, error.facts)
    assert error.field is not None
    assert error.limit is not None
    assert len(str(error)) < 1_000
    msgspec.json.encode([error.message, error.facts])
    return error


def over(body: bytes, content_type: str = MSGPACK) -> tuple[Any, Any]:
    """Limit and size of the :class:`LimitExceeded` that the batch gives."""
    error = refused(body, content_type)
    assert isinstance(error, LimitExceeded)
    assert error.code == "limit_exceeded"
    return error.limit, error.size


def with_data(dtype: str, codec: str, count: int, data: bytes) -> bytes:
    column = {"dtype": dtype, "codec": codec, "count": count, "data": data}
    return msgpack_batch(series(column, plain("i64", [0])))


# ── forms ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"{}",
        b'{"series":{}}',
        b'{"series":[1]}',
        b'{"series":[{}]}',
        b'{"series":[],"surprise":1}',
        b'{"series":[{"name":"m","times":{"dtype":"i64","values":[]},"columns":{},"surprise":1}]}',
        b'{"series":[{"name":"m","times":{"dtype":"i64","values":[],"surprise":1},"columns":{}}]}',
        b'{"series":[{"name":"m","kind":"invented","times":{"dtype":"i64","values":[]},"columns":{}}]}',
        b'{"series":[{"name":"m","times":{"dtype":"i32","values":[]},"columns":{}}]}',
        b'{"series":[{"name":"m","times":{"dtype":"i64","values":[[1]]},"columns":{}}]}',
        b'{"series":[{"name":"m","times":{"dtype":"i64","values":[NaN]},"columns":{}}]}',
        b'{"series":[{"name":"\xff","times":{"dtype":"i64","values":[]},"columns":{}}]}',
        b'{"series":[{"name":"\\ud800","times":{"dtype":"i64","values":[]},"columns":{}}]}',
        b'{"series":[{"name":"m","times":{"dtype":"i64","codec":"zip","count":0,"data":""},"columns":{}}]}',
        b'{"series":[{"name":"m","times":{"dtype":"i64","codec":"raw","count":0,"data":"\xc3\xa9"},"columns":{}}]}',
        b'{"series":' + b"[" * 500_000,
    ],
    ids=lambda body: repr(body)[:70],
)
def test_json_that_is_no_batch_is_refused(body: bytes) -> None:
    refused(body, JSON)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xc1",
        b"\x81\xa6series\xdd\xff\xff\xff\xff",
        b"\x81\xa6series\x91\x81\xa4name\xa1\xff",
        b"\x81\xa6series\x91\x81\xa4name\xdb\xff\xff\xff\xff",
        b"\x81\xa6series\x91\x81\xa4data\xc6\xff\xff\xff\xff",
        b"\x81\xa6series" + b"\x91" * 500_000,
    ],
    ids=lambda body: repr(body)[:70],
)
def test_msgpack_that_is_no_batch_is_refused(body: bytes) -> None:
    refused(body)


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/x-" + "x" * 10_000])
def test_other_content_types_are_refused(content_type: str) -> None:
    assert refused(b"{}", content_type).field == "content_type"


@pytest.mark.parametrize(
    "column",
    [
        {"dtype": "f64"},
        {"dtype": "f64", "codec": "raw"},
        {"dtype": "f64", "codec": "raw", "count": 0},
        {"dtype": "f64", "count": 0, "data": b""},
        {"dtype": "f64", "codec": "raw", "data": b""},
        {"dtype": "f64", "values": [], "codec": "raw"},
        {"dtype": "f64", "values": [], "count": 0},
        {"dtype": "f64", "values": [], "data": b""},
        {"dtype": "str", "codec": "raw", "count": 0, "data": b""},
        {"dtype": "any", "codec": "zstd", "count": 0, "data": compress(b"")},
        {"dtype": "f64", "codec": "delta-zstd", "count": 0, "data": compress(b"")},
        {"dtype": "bool", "codec": "delta-zstd", "count": 0, "data": compress(b"")},
    ],
    ids=repr,
)
def test_a_column_is_either_plain_or_packed_in_a_way_its_type_allows(column: Plain) -> None:
    assert "columns['m']" in str(refused(msgpack_batch(series(column, plain("i64", [])))).field)


# ── values that are not of their type ─────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        ("f64", None),
        ("f64", "1.5"),
        ("f64", "nan"),
        ("f64", "inf"),
        ("f64", True),
        ("i64", True),
        ("i64", 1.0),
        ("i64", "1"),
        ("i64", None),
        ("i64", 2**63),
        ("i64", -(2**63) - 1),
        ("bool", 1),
        ("bool", None),
        ("str", None),
        ("str", 1),
        ("str", "a\0b"),
        ("any", "a\0b"),
        ("any", 2**63),
        ("any", -(2**63) - 1),
    ],
)
@pytest.mark.parametrize("place", [0, 1])
def test_a_value_of_another_type_is_refused(dtype: str, value: Any, place: int) -> None:
    good: dict[str, Any] = {"f64": 1.5, "i64": 1, "bool": True, "str": "s", "any": 1}
    values = [good[dtype], value] if place else [value, good[dtype]]
    error = refused(json_batch(series(plain(dtype, values))), JSON)
    assert error.field == "series[0] ('m').columns['m']"


@pytest.mark.parametrize("dtype", ["f64", "i64", "any"])
@pytest.mark.parametrize("also", ["1", '"NaN"'])
def test_a_number_of_400_digits_is_refused(dtype: str, also: str) -> None:
    column = '{"dtype":"%s","values":[%s,%s]}' % (dtype, also if dtype == "f64" else "1", "9" * 400)  # noqa: UP031
    times = '{"dtype":"i64","values":[0,0]}'
    refused(f'{{"series":[{{"name":"m","times":{times},"columns":{{"m":{column}}}}}]}}'.encode(), JSON)


@pytest.mark.parametrize("values", [[1.0], [None], ["1"], [2**63], [True]])
def test_times_are_whole_numbers(values: list[Any]) -> None:
    refused(json_batch(series(plain("f64", [0]), plain("i64", values))), JSON)
    refused(json_batch(series(plain("f64", [0]), plain("f64", [1]))), JSON)


@pytest.mark.parametrize("values", [[1.5], ["1"], [2**63], [True]])
def test_steps_are_whole_numbers_or_null(values: list[Any]) -> None:
    refused(json_batch(series(plain("f64", [0]), steps=plain("i64", values))), JSON)
    refused(json_batch(series(plain("f64", [0]), steps=plain("any", [None]))), JSON)


def test_a_plain_step_that_would_read_as_none_is_refused() -> None:
    """The smallest integer stands for "no step" in packed columns, so as a step it is out of range."""
    refused(json_batch(series(plain("f64", [0]), steps=plain("i64", [-(2**63)]))), JSON)


@pytest.mark.parametrize("column", ["columns", "steps"])
def test_columns_have_as_many_values_as_there_are_times(column: str) -> None:
    wrong = plain("i64", [1, 2])
    more = {column: {"m": wrong} if column == "columns" else wrong}
    error = refused(json_batch(series(plain("f64", [0]), plain("i64", [1]), **more)), JSON)
    assert column in str(error.field)
    assert (error.limit, error.size) == (1, 2)


# ── packed data that are not what they say ────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("codec", ["raw", "zstd", "shuffle-zstd"])
@pytest.mark.parametrize("dtype", ["f64", "i64", "bool"])
@pytest.mark.parametrize("off_by", [-1, 1])
def test_a_wrong_count_is_refused(dtype: str, codec: str, off_by: int) -> None:
    column = packed(dtype, codec, [1, 0, 1])
    column["count"] += off_by
    refused(msgpack_batch(series(column)))


@pytest.mark.parametrize("count", [-1, -(2**63), 2**63, 2**64 - 1, POINTS_MAX + 1])
@pytest.mark.parametrize("codec", ["raw", "zstd"])
def test_a_count_out_of_range_is_refused(count: int, codec: str) -> None:
    refused(with_data("f64", codec, count, compress(b"")))


@pytest.mark.parametrize("size", [1, 7, 9])
@pytest.mark.parametrize("codec", ["raw", "zstd", "shuffle-zstd"])
def test_a_number_of_bytes_that_is_no_whole_number_of_values_is_refused(size: int, codec: str) -> None:
    refused(with_data("f64", codec, 1, bytes(size) if codec == "raw" else compress(bytes(size))))


@pytest.mark.parametrize("data", [b"", b"\x00", b"not zstd at all", b"\x28\xb5\x2f\xfd", b"\xff" * 100])
def test_data_that_are_no_zstd_frame_are_refused(data: bytes) -> None:
    refused(with_data("f64", "zstd", 1, data))


def test_a_frame_that_is_cut_anywhere_is_refused() -> None:
    whole = packed("i64", "delta-zstd", [n * n for n in range(1_000)])
    for end in range(0, len(whole["data"]) - 1, 7):
        refused(msgpack_batch(series(whole | {"data": whole["data"][:end]})))


def test_a_packed_bool_is_0_or_1() -> None:
    refused(msgpack_batch(series(packed_bytes("bool", "raw", 3, b"\x00\x01\x02"))))


# ── limits ────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_batch_takes_4_mib_and_no_more() -> None:
    body = json_batch(series(plain("f64", [1])))
    full = body + b" " * (BATCH_BYTES_MAX - len(body))
    assert len(decode_batch(JSON, full)) == 1
    assert over(full + b" ", JSON) == (BATCH_BYTES_MAX, BATCH_BYTES_MAX + 1)


def test_a_batch_takes_10_000_series_and_no_more() -> None:
    one = series(plain("f64", [1]))
    assert len(decode_batch(MSGPACK, msgpack_batch(*[one] * 10_000))) == 10_000
    assert over(msgpack_batch(*[one] * 10_001)) == (10_000, 10_001)


def test_a_batch_takes_100_000_points_and_no_more() -> None:
    def many(count: int) -> Plain:
        return series(packed("f64", "zstd", [0.0] * count), packed("i64", "zstd", [0] * count))

    assert decode_batch(MSGPACK, msgpack_batch(many(POINTS_MAX)))[0].count == POINTS_MAX
    assert over(msgpack_batch(many(POINTS_MAX + 1))) == (POINTS_MAX, POINTS_MAX + 1)
    assert over(msgpack_batch(many(POINTS_MAX), many(1))) == (POINTS_MAX, POINTS_MAX + 1)


def test_a_series_takes_256_columns_and_no_more() -> None:
    def table(count: int) -> bytes:
        columns = {f"c{n}": plain("f64", [1]) for n in range(count)}
        return msgpack_batch({"name": "t", "kind": "table", "times": plain("i64", [1]), "columns": columns})

    assert len(decode_batch(MSGPACK, table(256))[0].columns) == 256
    assert over(table(257)) == (256, 257)


@pytest.mark.parametrize(
    ("what", "limit"),
    [("name", 512), ("description", 1_000), ("column", 255), ("str", 4_096), ("any", 4_096)],
)
def test_texts_of_a_batch_have_a_limit(what: str, limit: int) -> None:
    def batch(size: int) -> bytes:
        text = "é" * size
        one = series(plain("f64", [1]))
        if what in ("str", "any"):
            one = series(plain(what, [text]))
        elif what == "column":
            one = one | {"kind": "table", "columns": {text: plain("f64", [1])}}
        else:
            one = one | {what: text}
        return msgpack_batch(one)

    assert len(decode_batch(MSGPACK, batch(limit))) == 1
    assert over(batch(limit + 1)) == (limit, limit + 1)


def test_a_scalar_s_one_column_may_be_named_as_its_series_whatever_its_length() -> None:
    name = "n" * 512
    one = {"name": name, "times": plain("i64", [1]), "columns": {name: plain("f64", [1])}}
    assert list(decode_batch(MSGPACK, msgpack_batch(one))[0].columns) == [name]


@pytest.mark.parametrize("what", ["name", "column"])
@pytest.mark.parametrize("text", ["", "a\0b"])
def test_names_are_not_empty_and_hold_no_nul(what: str, text: str) -> None:
    one = series(plain("f64", [1]))
    one = one | ({"name": text} if what == "name" else {"columns": {text: plain("f64", [1])}})
    refused(json_batch(one), JSON)


# ── bombs ─────────────────────────────────────────────────────────────────────────────────────────────────


def python_peak_bytes(body: bytes) -> int:
    """The most memory that Python objects took while the batch was read or refused."""
    tracemalloc.start()
    try:
        read_or_refused(MSGPACK, body)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def bomb(mebibytes: int) -> bytes:
    """One frame of so many MiB of zeros."""
    writer = zstandard.ZstdCompressor(level=1).compressobj()
    return b"".join(writer.compress(bytes(1 << 20)) for _ in range(mebibytes)) + writer.flush()


def test_data_that_unpack_to_more_than_they_say_are_refused_without_unpacking_them() -> None:
    body = with_data("f64", "zstd", 1, bomb(256))
    assert len(body) < 100_000
    refused(body)
    assert python_peak_bytes(body) < 1 << 20


def test_a_batch_unpacks_to_32_mib_and_no_more() -> None:
    column = packed("f64", "zstd", [0.0] * POINTS_MAX)
    times = packed("i64", "zstd", [0] * POINTS_MAX)
    most = UNPACKED_BYTES_MAX // (POINTS_MAX * 8) - 1  # times are unpacked too

    def table(count: int) -> bytes:
        return msgpack_batch(series(column, times, columns={f"c{n}": column for n in range(count)}))

    assert len(decode_batch(MSGPACK, table(most))[0].columns) == most
    limit, size = over(table(most + 1))
    assert limit == UNPACKED_BYTES_MAX
    assert size > UNPACKED_BYTES_MAX


def test_a_frame_that_promises_a_huge_window_is_read_or_refused() -> None:
    for window_log in (20, 27, 31):
        parameters = zstandard.ZstdCompressionParameters(window_log=window_log, write_content_size=False)
        writer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
        read_or_refused(MSGPACK, with_data("f64", "zstd", 1, writer.compress(bytes(8)) + writer.flush()))


@pytest.mark.parametrize("dtype", ["bool", "i64", "f64"])
def test_a_small_batch_never_takes_much_more_memory_than_it_may_unpack_to(dtype: str) -> None:
    """256 columns of zeros fit 20 kB. Twice the limit leaves room for one copy of everything."""
    zeros = {"dtype": dtype, "codec": "zstd", "count": POINTS_MAX}
    column = zeros | {"data": compress(bytes(POINTS_MAX * (1 if dtype == "bool" else 8)))}
    times = packed("i64", "zstd", [0] * POINTS_MAX)
    body = msgpack_batch(series(column, times, columns={f"c{n}": column for n in range(256)}))
    assert len(body) < 100_000
    assert python_peak_bytes(body) < 2 * UNPACKED_BYTES_MAX
