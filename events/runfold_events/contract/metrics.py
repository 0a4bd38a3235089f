"""Columnar metric batches: the body of ``run.metrics_logged``, in JSON or msgpack.

A batch is a list of series; a series is a table of points with typed columns of equal length::

    {"series": [{"name": "loss",
                 "times": {"dtype": "i64", "values": [1700000000000, 1700000000100]},
                 "steps": {"dtype": "i64", "values": [0, 1]},
                 "columns": {"loss": {"dtype": "f64", "values": [0.7, "NaN"]}}}]}

* ``times``: ms since the epoch, client clock. ``steps``: optional; null (packed: ``NO_STEP``) where a point has none.
  A step is data, not order: any order and duplicates are legal.
* A scalar or list has one column named as the series; a row or table has one column per name. Every point has an
  ``index``: its place in its series of the batch.
* A column is plain (``values``) or packed (``codec``, ``count``, ``data``). Packed data are little-endian; ``codec`` is
  ``raw``, ``zstd``, ``delta-zstd`` (i64: first value, then differences) or ``shuffle-zstd`` (all first bytes, then all
  second bytes, …). Packed dtypes: ``i64``, ``f64``, ``bool`` (one byte each). Decoders stay for ever.
* JSON carries NaN and infinities as ``"NaN"``, ``"Infinity"``, ``"-Infinity"`` in ``f64`` columns.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Sequence
from itertools import accumulate, chain
from operator import sub
from typing import Any, Final, Literal, cast

import msgspec
import zstandard
from msgspec import Struct

from runfold_events.contract import limits
from runfold_events.contract.envelope import JSON, MSGPACK
from runfold_events.contract.errors import Invalid, LimitExceeded

Dtype = Literal["f64", "i64", "bool", "str", "any"]
Kind = Literal["scalar", "list", "row", "table", "image", "chart"]
Codec = Literal["raw", "zstd", "delta-zstd", "shuffle-zstd"]
Cell = bool | int | float | str | None
Values = Sequence[Any]  # array('d'), array('q') or list, by dtype
Field = Callable[[], str]  # the name of a place in a batch; asked for only when something is wrong there

NO_STEP: Final = limits.INT64_MIN
_ITEM_BYTES: Final[dict[str, int]] = {"f64": 8, "i64": 8, "bool": 1}
_NON_FINITE: Final = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_FLOAT_MAX: Final = int(1.7976931348623157e308)
_CELL_BYTES: Final = 8  # what an unpacked cell takes in memory, also as an entry of a list
_ZSTD_WINDOW_BYTES_MAX: Final = 8 * 1024 * 1024  # what a frame may make us allocate before it says anything
_PACK_FROM_VALUES: Final = 32  # below this, plain values are smaller than a zstd frame
_ZSTD_LEVEL: Final = 3


class Column(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, kw_only=True, gc=False):
    """Values of one type, plain or packed."""

    dtype: Dtype
    values: list[Cell] | None = None
    codec: Codec | None = None
    count: int | None = None
    data: bytes | None = None


class Series(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, kw_only=True, gc=False):
    """Points of one name."""

    name: str
    times: Column
    columns: dict[str, Column]
    steps: Column | None = None
    kind: Kind = "scalar"
    description: str = ""


class MetricBatch(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, gc=False):
    """What one ``run.log_metrics`` command carries."""

    series: list[Series]


class DecodedSeries(Struct, frozen=True, kw_only=True, gc=False):
    """One series, unpacked: every sequence has ``count`` values."""

    name: str
    kind: Kind
    count: int
    times: array[int]  # ms since the epoch
    steps: array[int] | None  # NO_STEP where a point has none
    columns: dict[str, tuple[Dtype, Values]]
    description: str = ""


_json_decoder = msgspec.json.Decoder(MetricBatch)
_msgpack_decoder = msgspec.msgpack.Decoder(MetricBatch)
_msgpack_encoder = msgspec.msgpack.Encoder()


def encode_batch(series: list[Series]) -> bytes:
    """The msgpack form of a batch, as our SDK sends it."""
    return _msgpack_encoder.encode(MetricBatch(series=series))


def decode_batch(content_type: str, body: bytes | memoryview) -> list[DecodedSeries]:
    """Unpack and check a batch.

    Raises:
        Invalid: malformed; ``field`` names the series and column.
        LimitExceeded: over a bound of ``contract.limits``, also after decompression.
    """
    if len(body) > limits.METRIC_BATCH_BYTES_MAX:
        raise _over("batch", limits.METRIC_BATCH_BYTES_MAX, len(body), "bytes")
    try:
        if content_type == MSGPACK:
            batch = _msgpack_decoder.decode(body)
        elif content_type == JSON:
            batch = _json_decoder.decode(body)
        else:
            raise Invalid(
                f"content type of a metric batch must be {JSON} or {MSGPACK}, not {content_type[:80]!r}",
                facts={"field": "content_type", "limit": [JSON, MSGPACK], "size": content_type[:80]},
            )
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid(
            f"batch is not a metric batch: {error}", facts={"field": "batch", "limit": "MetricBatch"}
        ) from None
    if len(batch.series) > limits.METRIC_SERIES_PER_BATCH_MAX:
        raise _over("batch.series", limits.METRIC_SERIES_PER_BATCH_MAX, len(batch.series), "series")
    budget = _Budget()
    return [_decode_series(series, index, budget) for index, series in enumerate(batch.series)]


class _Budget:
    """What a batch may still unpack to: points and bytes, shared by all of its columns."""

    __slots__ = ("bytes", "points")

    def __init__(self) -> None:
        self.points = limits.METRIC_POINTS_PER_BATCH_MAX
        self.bytes = limits.METRIC_BATCH_DECOMPRESSED_BYTES_MAX

    def take_points(self, field: Field, count: int) -> None:
        self.points -= count
        if self.points < 0:
            size = limits.METRIC_POINTS_PER_BATCH_MAX - self.points
            raise _over(field(), limits.METRIC_POINTS_PER_BATCH_MAX, size, "points")

    def take_bytes(self, field: Field, count: int) -> None:
        self.bytes -= count
        if self.bytes < 0:
            size = limits.METRIC_BATCH_DECOMPRESSED_BYTES_MAX - self.bytes
            raise _over(
                field(), limits.METRIC_BATCH_DECOMPRESSED_BYTES_MAX, size, "bytes after decompression"
            )


def _decode_series(series: Series, index: int, budget: _Budget) -> DecodedSeries:
    def named() -> str:
        return f"series[{index}] ({series.name[:80]!r})"

    _check_text(series.name, lambda: f"series[{index}].name", 1, limits.METRIC_NAME_CHARS_MAX)
    if series.description:
        _check_text(
            series.description, lambda: f"{named()}.description", 0, limits.METRIC_DESCRIPTION_CHARS_MAX
        )
    if len(series.columns) > limits.METRIC_COLUMNS_PER_SERIES_MAX:
        raise _over(
            f"{named()}.columns", limits.METRIC_COLUMNS_PER_SERIES_MAX, len(series.columns), "columns"
        )
    times = _integers(series.times, lambda: f"{named()}.times", budget)
    count = len(times)
    budget.take_points(named, count)
    steps = None if series.steps is None else _steps(series.steps, lambda: f"{named()}.steps", budget)
    columns: dict[str, tuple[Dtype, Values]] = {
        name: (column.dtype, _decode_column(series, name, column, named, budget))
        for name, column in series.columns.items()
    }
    if steps is not None and len(steps) != count:
        raise _uneven(f"{named()}.steps", count, len(steps))
    for name, (_, values) in columns.items():
        if len(values) != count:
            raise _uneven(f"{named()}.columns[{name[:80]!r}]", count, len(values))
    return DecodedSeries(
        name=series.name,
        kind=series.kind,
        count=count,
        times=times,
        steps=steps,
        columns=columns,
        description=series.description,
    )


def _decode_column(series: Series, name: str, column: Column, named: Field, budget: _Budget) -> Values:
    def field() -> str:
        return f"{named()}.columns[{name[:80]!r}]"

    if name != series.name:  # which was looked at already
        _check_text(name, field, 1, limits.METRIC_COLUMN_NAME_CHARS_MAX)
    return _unpack_column(column, field, budget)


def _uneven(field: str, count: int, found: int) -> Invalid:
    return Invalid(
        f"{field} has {found} values, times has {count}",
        facts={"field": field, "limit": count, "size": found},
    )


def _integers(column: Column, field: Field, budget: _Budget) -> array[int]:
    if column.dtype != "i64":
        raise Invalid(
            f"{field()} must be an i64 column",
            facts={"field": field(), "limit": "i64", "size": column.dtype},
        )
    values = _unpack_column(column, field, budget)
    return values if isinstance(values, array) else array("q", values)


def _steps(column: Column, field: Field, budget: _Budget) -> array[int]:
    if column.dtype != "i64" or column.values is None:
        return _integers(column, field, budget)
    if NO_STEP in column.values:
        raise Invalid(
            f"{field()}: a step must be at least {limits.STEP_MIN}",
            facts={"field": field(), "limit": limits.STEP_MIN, "size": NO_STEP},
        )
    if None in column.values:
        filled: list[Cell] = [NO_STEP if value is None else value for value in column.values]
        column = Column(dtype="i64", values=filled)
    return _integers(column, field, budget)


def unpack_column(column: Column, field: str) -> Values:
    """The values of a column: ``array('q')``, ``array('d')``, or a list for bool, str and any.

    Raises:
        Invalid: the column contradicts its dtype, codec or count.
        LimitExceeded: it unpacks to more than is allowed.
    """
    return _unpack_column(column, lambda: field, _Budget())


def _unpack_column(column: Column, field: Field, budget: _Budget) -> Values:
    if column.values is not None:
        if column.codec is not None or column.data is not None or column.count is not None:
            raise Invalid(
                f"{field()} has both values and packed data", facts={"field": field(), "limit": "one of both"}
            )
        if len(column.values) > limits.METRIC_POINTS_PER_BATCH_MAX:
            raise _over(field(), limits.METRIC_POINTS_PER_BATCH_MAX, len(column.values), "points")
        return _PLAIN[column.dtype](column.values, field)
    if column.codec is None or column.data is None or column.count is None:
        raise Invalid(
            f"{field()} needs values, or codec, count and data",
            facts={"field": field(), "limit": "values or packed"},
        )
    return _unpack(column.dtype, column.codec, column.count, column.data, field, budget)


def _unpack(dtype: Dtype, codec: Codec, count: int, data: bytes, field: Field, budget: _Budget) -> Values:
    width = _ITEM_BYTES.get(dtype)
    if width is None or (codec == "delta-zstd" and dtype != "i64"):
        raise Invalid(
            f"{field()}: {dtype} cannot be packed as {codec}",
            facts={"field": field(), "limit": list(_ITEM_BYTES)},
        )
    if not 0 <= count <= limits.METRIC_POINTS_PER_BATCH_MAX:
        raise _over(f"{field()}.count", limits.METRIC_POINTS_PER_BATCH_MAX, count, "points")
    budget.take_bytes(field, count * _CELL_BYTES)
    size = count * width
    raw = data if codec == "raw" else _decompress(data, size, field)
    if len(raw) != size:
        raise Invalid(
            f"{field()}: {count} values need {size} bytes, there are {len(raw)}",
            facts={"field": field(), "limit": size, "size": len(raw)},
        )
    if codec == "shuffle-zstd":
        raw = _unshuffle(raw, width)
    if dtype == "bool":
        if raw.strip(b"\x00\x01"):
            raise Invalid(
                f"{field()}: a packed bool is a byte 0 or 1", facts={"field": field(), "limit": "0 or 1"}
            )
        return [byte == 1 for byte in raw]
    if dtype == "f64":
        floats = array("d")
        floats.frombytes(raw)
        return floats
    integers = array("q")
    integers.frombytes(raw)
    return _undelta(integers, field) if codec == "delta-zstd" else integers


# Making a decompressor takes longer than using it. No two threads may use one at the same time, so each takes one out.
_idle: Final[list[zstandard.ZstdDecompressor]] = []


def _decompress(data: bytes, size: int, field: Field) -> bytes:
    """At most one byte more than ``size``, whatever the frame header promises: a bomb costs us no more than that."""
    try:
        decompressor = _idle.pop()
    except IndexError:
        decompressor = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_BYTES_MAX)
    try:
        if size and zstandard.frame_content_size(data) == size:
            return decompressor.decompress(data, max_output_size=size)
        return decompressor.stream_reader(data).read(size + 1)
    except zstandard.ZstdError as error:
        raise Invalid(
            f"{field()}: not a zstd frame: {error}", facts={"field": field(), "limit": "zstd"}
        ) from None
    finally:
        _idle.append(decompressor)


def _undelta(values: array[int], field: Field) -> array[int]:
    try:
        return array("q", list(accumulate(values)))  # of a list, whose length is known, it is faster
    except OverflowError:
        raise Invalid(
            f"{field()}: differences leave 64 bits", facts={"field": field(), "limit": limits.INT64_MAX}
        ) from None


def _unshuffle(raw: bytes, width: int) -> bytes:
    if width == 1:
        return raw
    count = len(raw) // width
    out = bytearray(len(raw))
    for byte in range(width):
        out[byte::width] = raw[byte * count : (byte + 1) * count]
    return bytes(out)


def shuffle(raw: bytes, width: int) -> bytes:
    """All first bytes of the items, then all second bytes, …: what makes floats compressible."""
    return b"".join(raw[byte::width] for byte in range(width))


def _plain_f64(values: list[Cell], field: Field) -> array[float]:
    if _types(values) <= {float, int}:
        try:
            return array("d", cast("list[float]", values))
        except OverflowError:
            pass  # a huge integer: found and named below
    out = array("d")
    for value in values:
        if type(value) is str and value in _NON_FINITE:
            out.append(_NON_FINITE[value])
        elif type(value) is float or (type(value) is int and abs(value) <= _FLOAT_MAX):
            out.append(value)
        else:
            raise _wrong_cell(field(), "a number, 'NaN', 'Infinity' or '-Infinity'", value)
    return out


def _plain_i64(values: list[Cell], field: Field) -> array[int]:
    if _types(values) <= {int}:
        try:
            return array("q", cast("list[int]", values))
        except OverflowError:
            pass
    wrong = next(value for value in values if type(value) is not int or not _is_int64(value))
    raise _wrong_cell(field(), "a 64-bit integer", wrong)


def _types(values: list[Cell]) -> set[type]:
    """bool is not int here: ``type`` tells them apart where ``isinstance`` does not."""
    return set(map(type, values))


def _is_int64(value: int) -> bool:
    return limits.INT64_MIN <= value <= limits.INT64_MAX


def _plain_bool(values: list[Cell], field: Field) -> list[Cell]:
    for value in values:
        if not isinstance(value, bool):
            raise _wrong_cell(field(), "true or false", value)
    return values


def _plain_str(values: list[Cell], field: Field) -> list[Cell]:
    for value in values:
        if not isinstance(value, str):
            raise _wrong_cell(field(), "a string", value)
        _check_text(value, field, 0, limits.METRIC_TEXT_VALUE_CHARS_MAX)
    return values


def _plain_any(values: list[Cell], field: Field) -> list[Cell]:
    for value in values:
        if isinstance(value, str):
            _check_text(value, field, 0, limits.METRIC_TEXT_VALUE_CHARS_MAX)
        elif isinstance(value, int) and not _is_int64(value):
            raise _wrong_cell(field(), "a 64-bit integer, a float, a string, true, false or null", value)
    return values


_PLAIN: Final[dict[str, Callable[[list[Cell], Field], Values]]] = {
    "f64": _plain_f64,
    "i64": _plain_i64,
    "bool": _plain_bool,
    "str": _plain_str,
    "any": _plain_any,
}


def _wrong_cell(field: str, wanted: str, value: object) -> Invalid:
    shown = repr(value)[:80]
    return Invalid(
        f"{field}: a value must be {wanted}, not {shown}",
        facts={"field": field, "limit": wanted, "size": shown},
    )


def _check_text(value: str, field: Field, chars_min: int, chars_max: int) -> None:
    if not chars_min <= len(value) <= chars_max:
        raise _over(field(), chars_max, len(value), "characters")
    if "\x00" in value:
        raise Invalid(f"{field()} holds a NUL character", facts={"field": field(), "limit": "no NUL"})


def _over(field: str, limit: int, size: int, unit: str) -> LimitExceeded:
    return LimitExceeded(
        f"{field} is over the limit: {limit} {unit} allowed, got {size}",
        facts={"field": field, "limit": limit, "size": size, "unit": unit},
    )


def pack_floats(values: array[float]) -> Column:
    """An ``f64`` column, packed when that is worth it. NaN payloads, infinities and -0.0 stay bit-exact."""
    raw = values.tobytes()
    if len(values) < _PACK_FROM_VALUES:
        return Column(dtype="f64", codec="raw", count=len(values), data=raw)
    data = zstandard.ZstdCompressor(level=_ZSTD_LEVEL).compress(shuffle(raw, 8))
    return Column(dtype="f64", codec="shuffle-zstd", count=len(values), data=data)


def pack_integers(values: array[int]) -> Column:
    """An ``i64`` column, packed as differences when that is worth it and they fit 64 bits."""
    if len(values) < _PACK_FROM_VALUES:
        return Column(dtype="i64", values=list(values))
    try:
        raw = array("q", chain(values[:1], map(sub, values[1:], values))).tobytes()
        codec: Codec = "delta-zstd"
    except OverflowError:
        raw, codec = values.tobytes(), "zstd"
    data = zstandard.ZstdCompressor(level=_ZSTD_LEVEL).compress(raw)
    return Column(dtype="i64", codec=codec, count=len(values), data=data)
