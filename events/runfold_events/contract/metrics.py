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
* A column is plain (``values``) or packed (``codec``, ``count``, ``data``): see :mod:`runfold_events.contract.columns`.
* JSON carries NaN and infinities as ``"NaN"``, ``"Infinity"``, ``"-Infinity"`` in ``f64`` columns.
"""

from __future__ import annotations

from array import array
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

from runfold_events.contract import limits
from runfold_events.contract.columns import (
    Budget,
    Cell,
    Column,
    Dtype,
    Fault,
    Packed,
    Values,
    are_numbers,
    check_text,
    opened,
    over,
    undone,
)
from runfold_events.contract.envelope import JSON, MSGPACK
from runfold_events.contract.errors import Invalid

Kind = Literal["scalar", "list", "row", "table", "image", "chart"]

NO_STEP: Final = limits.INT64_MIN
# Of a text that is the name of a series and of its column.
_SIMPLE_NAME_CHARS_MAX: Final = min(limits.METRIC_NAME_CHARS_MAX, limits.METRIC_COLUMN_NAME_CHARS_MAX)


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


class PlainIntegers(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, gc=False):
    """A plain column of integers, each of which may be a step."""

    dtype: Literal["i64"]
    values: Annotated[list[Annotated[int, Meta(ge=limits.STEP_MIN, le=limits.INT64_MAX)]], Meta(min_length=1)]


class PlainFloats(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, gc=False):
    """A plain column of finite numbers."""

    dtype: Literal["f64"]
    values: list[float]


class PlainSeries(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, gc=False):
    """A series as nearly all are that come as JSON: numbers of one name."""

    name: Annotated[str, Meta(min_length=1, max_length=_SIMPLE_NAME_CHARS_MAX)]
    times: PlainIntegers
    columns: Annotated[dict[str, PlainFloats], Meta(min_length=1, max_length=1)]
    steps: PlainIntegers | None = None
    kind: Literal["scalar"] = "scalar"


class _PlainBatch(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, gc=False):
    """A :class:`MetricBatch` of such."""

    series: Annotated[list[PlainSeries], Meta(max_length=limits.METRIC_SERIES_PER_BATCH_MAX)]


class OpenSeries(Struct, frozen=True, gc=False):
    """One series, checked and decompressed: every column has ``count`` values or becomes so many."""

    name: str
    kind: Kind
    count: int
    times: Values | Packed
    steps: Values | Packed | None
    columns: dict[str, tuple[Dtype, Values | Packed]]
    description: str


class DecodedSeries(Struct, frozen=True, kw_only=True, gc=False):
    """One series, unpacked: every sequence has ``count`` values."""

    name: str
    kind: Kind
    count: int
    times: array[int]  # ms since the epoch
    steps: array[int] | None  # NO_STEP where a point has none
    columns: dict[str, tuple[Dtype, Values]]
    description: str = ""


_plain_decoder = msgspec.json.Decoder(_PlainBatch)
_json_decoder = msgspec.json.Decoder(MetricBatch)
_msgpack_decoder = msgspec.msgpack.Decoder(MetricBatch)
_msgpack_encoder = msgspec.msgpack.Encoder()


def encode_batch(series: list[Series]) -> bytes:
    """The msgpack form of a batch, as our SDK sends it."""
    return _msgpack_encoder.encode(MetricBatch(series=series))


def check_batch(content_type: str, body: bytes | memoryview) -> None:
    """Raise what :func:`decode_batch` would raise. Cheaper: packed numbers are decompressed and not looked at."""
    if plain_series(content_type, body) is not None:
        return
    batch = parse_batch(content_type, body)
    if not (len(batch.series) <= _SIMPLE_SERIES_MAX and all(map(_is_simple, batch.series))):
        open_parsed(batch)


def plain_series(content_type: str, body: bytes | memoryview) -> list[PlainSeries] | None:
    """The series of a batch with which nothing is wrong, where all are plain and the batch is JSON.

    Reading it checks it, since the decoder knows what each number may be: half the time of a look at what was read.
    None says nothing of a batch: what is not read here may be right all the same.
    """
    if content_type != JSON or len(body) > limits.METRIC_BATCH_BYTES_MAX:
        return None
    try:
        series = _plain_decoder.decode(body).series
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    points = sum([len(one.times.values) for one in series])
    return (
        series if points <= limits.METRIC_POINTS_PER_BATCH_MAX and all(map(_is_even_plain, series)) else None
    )


def _is_even_plain(series: PlainSeries) -> bool:
    name, steps, values = series.name, series.steps, series.columns.get(series.name)
    count = len(series.times.values)
    return (
        values is not None
        and len(values.values) == count
        and (steps is None or len(steps.values) == count)
        and "\x00" not in name
    )


# So few and so short that a batch of them keeps every bound.
_SIMPLE_SERIES_MAX: Final = 16
_SIMPLE_COUNT_MAX: Final = 4_096


def _is_simple(series: Series) -> bool:
    """True for a series as nearly all are: a few numbers of one name, and nothing wrong with them.

    It says so without making what :func:`open_batch` returns. What it says False to may be right all the same.
    """
    name, times, steps, columns = series.name, series.times, series.steps, series.columns
    count = _announced(times)
    if not 0 < count <= _SIMPLE_COUNT_MAX or len(columns) != 1 or series.description:
        return False
    values = columns.get(name)  # so that one text is looked at, which is within the bounds of both
    return (
        values is not None
        and values.dtype == "f64"
        and 0 < len(name) <= _SIMPLE_NAME_CHARS_MAX
        and "\x00" not in name
        and times.dtype == "i64"
        and are_numbers(times, count)
        and (steps is None or (steps.dtype == "i64" and are_numbers(steps, count)))
        and are_numbers(values, count)
    )


def decode_batch(content_type: str, body: bytes | memoryview) -> list[DecodedSeries]:
    """Unpack and check a batch.

    Raises:
        Invalid: malformed; ``field`` names the series and column.
        LimitExceeded: over a bound of ``contract.limits``, also after decompression.
    """
    return [_decoded(series) for series in open_batch(content_type, body)]


def open_batch(content_type: str, body: bytes | memoryview) -> list[OpenSeries]:
    """Check a batch and decompress it; what is left is arithmetic, which cannot fail.

    Raises:
        Invalid, LimitExceeded: as :func:`decode_batch`.
    """
    return open_parsed(parse_batch(content_type, body))


def open_parsed(batch: MetricBatch) -> list[OpenSeries]:
    """What :func:`open_batch` makes of it, for who has looked at its series before.

    Raises:
        Invalid, LimitExceeded: as :func:`decode_batch`.
    """
    budget = Budget()
    found: list[OpenSeries] = []
    for index, series in enumerate(batch.series):
        try:
            found.append(_open(series, budget))
        except Fault as fault:
            raise fault.at(f"series[{index}]") from None
    return found


def count_points(content_type: str, body: bytes | memoryview) -> int:
    """Points of all series as the batch announces them, without unpacking anything.

    Raises:
        Invalid, LimitExceeded: this is no metric batch. Whether it keeps what it announces shows when it is opened.
    """
    return sum(_announced(series.times) for series in parse_batch(content_type, body).series)


def _announced(column: Column) -> int:
    return len(column.values) if column.values is not None else max(0, column.count or 0)


def parse_batch(content_type: str, body: bytes | memoryview) -> MetricBatch:
    """The series of a batch, their columns as they were sent and not looked at.

    Raises:
        Invalid, LimitExceeded: this is no metric batch.
    """
    if len(body) > limits.METRIC_BATCH_BYTES_MAX:
        raise over(limits.METRIC_BATCH_BYTES_MAX, len(body), "bytes").at("batch")
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
        raise over(limits.METRIC_SERIES_PER_BATCH_MAX, len(batch.series), "series").at("batch.series")
    return batch


def _decoded(series: OpenSeries) -> DecodedSeries:
    return DecodedSeries(
        name=series.name,
        kind=series.kind,
        count=series.count,
        times=as_integers(undone(series.times)),
        steps=None if series.steps is None else as_integers(undone(series.steps)),
        columns={name: (dtype, undone(values)) for name, (dtype, values) in series.columns.items()},
        description=series.description,
    )


def as_integers(values: Values) -> array[int]:
    """Values of an i64 column as an array."""
    return values if isinstance(values, array) else array("q", values)


def _open(series: Series, budget: Budget) -> OpenSeries:
    _check_texts(series)
    place, column_name = ".times", None
    try:
        times = opened(_integers(series.times), budget)
        count = len(times)
        place = ""
        budget.take_points(count)
        place = ".steps"
        steps = None if series.steps is None else _even(opened(_steps(series.steps), budget), count)
        columns: dict[str, tuple[Dtype, Values | Packed]] = {}
        for column_name, column in series.columns.items():
            if column_name != series.name:  # which was looked at already
                check_text(column_name, 1, limits.METRIC_COLUMN_NAME_CHARS_MAX)
            columns[column_name] = (column.dtype, _even(opened(column, budget), count))
    except Fault as fault:
        part = place if column_name is None else f".columns[{column_name[:80]!r}]"
        raise fault.within(f" ({series.name[:80]!r}){part}") from None
    return OpenSeries(series.name, series.kind, count, times, steps, columns, series.description)


def _check_texts(series: Series) -> None:
    check_text(series.name, 1, limits.METRIC_NAME_CHARS_MAX, ".name")
    if series.description:
        check_text(series.description, 0, limits.METRIC_DESCRIPTION_CHARS_MAX, ".description")
    if len(series.columns) > limits.METRIC_COLUMNS_PER_SERIES_MAX:
        raise over(limits.METRIC_COLUMNS_PER_SERIES_MAX, len(series.columns), "columns", ".columns")


def _even(values: Values | Packed, count: int) -> Values | Packed:
    if len(values) != count:
        raise Fault(f" has {len(values)} values, times has {count}", limit=count, size=len(values))
    return values


def _integers(column: Column) -> Column:
    if column.dtype != "i64":
        raise Fault(" must be an i64 column", limit="i64", size=column.dtype)
    return column


def _steps(column: Column) -> Column:
    """The column with NO_STEP where a plain one has null."""
    if column.dtype != "i64" or column.values is None:
        return _integers(column)
    if NO_STEP in column.values:
        raise Fault(f": a step must be at least {limits.STEP_MIN}", limit=limits.STEP_MIN, size=NO_STEP)
    if None in column.values:
        filled: list[Cell] = [NO_STEP if value is None else value for value in column.values]
        return Column(dtype="i64", values=filled, codec=column.codec, count=column.count, data=column.data)
    return column
