"""Columns of a metric batch: values of one type, plain or packed; their codecs, checks and bounds.

Packed data are little-endian; ``codec`` is ``raw``, ``zstd``, ``shuffle-zstd`` (all first bytes, then all second bytes,
…), ``delta-zstd`` (i64: first value, then differences, modulo 2**64) or ``delta-shuffle-zstd`` (i64: such differences,
shuffled). Packed dtypes: ``i64``, ``f64``, ``bool`` (one byte each). Decoders stay for ever.

Of packed integers and floats every bit pattern is a value: who only has to know that a column can be unpacked asks
:func:`opened` and is done. Who unpacks many columns may undo them together.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Sequence
from itertools import accumulate, chain
from operator import sub
from typing import Any, Final, Literal, cast

import zstandard
from msgspec import Struct

from runfold_events.contract import limits
from runfold_events.contract.errors import Invalid, LimitExceeded

Dtype = Literal["f64", "i64", "bool", "str", "any"]
Codec = Literal["raw", "zstd", "delta-zstd", "shuffle-zstd", "delta-shuffle-zstd"]
Cell = bool | int | float | str | None
Values = Sequence[Any]  # array('d'), array('q') or list, by dtype

NUMBER_BYTES: Final = 8
_ITEM_BYTES: Final[dict[str, int]] = {"f64": NUMBER_BYTES, "i64": NUMBER_BYTES, "bool": 1}
_NON_FINITE: Final = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_FLOAT_MAX: Final = int(1.7976931348623157e308)
_CELL_BYTES: Final = 8  # what an unpacked cell takes in memory, also as an entry of a list
_ZSTD_WINDOW_BYTES_MAX: Final = 8 * 1024 * 1024  # what a frame may make us allocate before it says anything
_PACK_FROM_VALUES: Final = 32  # below this, plain values are smaller than a zstd frame
# Shuffled columns hold either noise, which no level makes smaller, or runs, which every level finds; the levels below 0
# leave out the entropy coding that both sides would pay for.
_ZSTD_LEVEL: Final = -1
_WRAP: Final = 2**64
_SHUFFLED: Final = frozenset({"shuffle-zstd", "delta-shuffle-zstd"})
_DELTA: Final = frozenset({"delta-zstd", "delta-shuffle-zstd"})


class Column(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, kw_only=True, gc=False):
    """Values of one type, plain or packed."""

    dtype: Dtype
    values: list[Cell] | None = None
    codec: Codec | None = None
    count: int | None = None
    data: bytes | None = None


class Fault(Exception):
    """What is wrong at a place whose name only the caller knows; :meth:`at` makes the error of it."""

    def __init__(
        self, words: str, *, limit: object, size: object = None, unit: str | None = None, part: str = ""
    ) -> None:
        super().__init__(words)
        self._words, self._limit, self._size, self._unit, self._part = words, limit, size, unit, part

    def within(self, place: str) -> Fault:
        """The same, at ``place`` of something larger."""
        self._part = f"{place}{self._part}"
        return self

    def at(self, place: str) -> Invalid | LimitExceeded:
        """The error, with its field named."""
        field = f"{place}{self._part}"
        facts = {"field": field, "limit": self._limit}
        if self._size is not None:
            facts["size"] = self._size
        if self._unit is None:
            return Invalid(f"{field}{self._words}", facts=facts)
        return LimitExceeded(f"{field}{self._words}", facts={**facts, "unit": self._unit})


def over(limit: int, size: int, unit: str, part: str = "") -> Fault:
    """A bound is passed."""
    words = f" is over the limit: {limit} {unit} allowed, got {size}"
    return Fault(words, limit=limit, size=size, unit=unit, part=part)


class Budget:
    """What a batch may still unpack to: points and bytes, shared by all of its columns."""

    __slots__ = ("bytes", "points")

    def __init__(self) -> None:
        self.points = limits.METRIC_POINTS_PER_BATCH_MAX
        self.bytes = limits.METRIC_BATCH_DECOMPRESSED_BYTES_MAX

    def take_points(self, count: int) -> None:
        self.points -= count
        if self.points < 0:
            limit = limits.METRIC_POINTS_PER_BATCH_MAX
            raise over(limit, limit - self.points, "points")

    def take_bytes(self, count: int) -> None:
        self.bytes -= count
        if self.bytes < 0:
            limit = limits.METRIC_BATCH_DECOMPRESSED_BYTES_MAX
            raise over(limit, limit - self.bytes, "bytes after decompression")


class Packed(Struct, frozen=True, gc=False):
    """A column that was decompressed, checked, and not undone: ``raw`` is ``count`` items of 8 bytes."""

    dtype: Dtype
    codec: Codec
    count: int
    raw: bytes
    data: bytes = b""  # as it was sent

    def __len__(self) -> int:
        return self.count


def opened(column: Column, budget: Budget) -> Values | Packed:
    """The values of a column; of one whose codec takes arithmetic to undo, what :func:`undone` makes them of.

    Raises:
        Fault: the column contradicts its dtype, codec or count, or unpacks to more than is allowed.
    """
    if column.values is not None:
        return _plain(column)
    dtype, codec, count, raw = _raw(column, budget)
    if dtype == "bool":
        return [byte == 1 for byte in raw]
    if codec in _SHUFFLED or codec in _DELTA:
        return Packed(dtype, codec, count, raw, column.data or b"")
    return array_of(dtype, raw)


def are_numbers(column: Column, count: int) -> bool:
    """True for ``count`` numbers with which nothing is wrong, be it as a step: plain ones as they are, or packed ones.

    It makes nothing of them. What it says False to, :func:`opened` has to look at.
    """
    data, codec, values = column.data, column.codec, column.values
    if values is not None:
        is_plain = data is None and codec is None and column.count is None
        return is_plain and len(values) == count and _are_plain_numbers(column.dtype, values)
    if data is None or codec is None or column.count != count or (codec in _DELTA and column.dtype != "i64"):
        return False
    size = count * NUMBER_BYTES
    try:
        return len(data if codec == "raw" else _decompress(data, size)) == size
    except Fault:
        return False


def _are_plain_numbers(dtype: Dtype, values: list[Any]) -> bool:
    """By as few steps as there are: a look at each number would take longer than to read them."""
    kinds = _types(values)
    if dtype == "f64":
        return kinds == {float}
    is_whole = dtype == "i64" and kinds == {int}
    return is_whole and min(values) >= limits.STEP_MIN and max(values) <= limits.INT64_MAX


def undone(column: Values | Packed) -> Values:
    """``array('q')``, ``array('d')``, or a list for bool, str and any."""
    if not isinstance(column, Packed):
        return column
    raw = _unshuffle(column.raw) if column.codec in _SHUFFLED else column.raw
    return _undelta(raw) if column.codec in _DELTA else array_of(column.dtype, raw)


def is_delta(codec: Codec) -> bool:
    """True for a codec of differences."""
    return codec in _DELTA


def is_shuffled(codec: Codec) -> bool:
    """True for a codec of byte planes."""
    return codec in _SHUFFLED


def array_of(dtype: str, raw: bytes | memoryview) -> array[Any]:
    """Numbers of one type from their little-endian bytes."""
    values: array[Any] = array("d" if dtype == "f64" else "q")
    values.frombytes(raw)
    return values


def unpack_column(column: Column, field: str) -> Values:
    """The values of a column that stands alone.

    Raises:
        Invalid: the column contradicts its dtype, codec or count.
        LimitExceeded: it unpacks to more than is allowed.
    """
    try:
        return undone(opened(column, Budget()))
    except Fault as fault:
        raise fault.at(field) from None


def _plain(column: Column) -> Values:
    values = column.values
    if values is None or column.codec is not None or column.data is not None or column.count is not None:
        raise Fault(" has both values and packed data", limit="one of both")
    if len(values) > limits.METRIC_POINTS_PER_BATCH_MAX:
        raise over(limits.METRIC_POINTS_PER_BATCH_MAX, len(values), "points")
    return _PLAIN[column.dtype](values)


def _raw(column: Column, budget: Budget) -> tuple[Dtype, Codec, int, bytes]:
    """Type, codec and number of a packed column's items, and exactly so many of them, decompressed."""
    dtype, codec, count, data = column.dtype, column.codec, column.count, column.data
    if codec is None or data is None or count is None:
        raise Fault(" needs values, or codec, count and data", limit="values or packed")
    width = _ITEM_BYTES.get(dtype)
    if width is None or (codec in _DELTA and dtype != "i64"):
        raise Fault(f": {dtype} cannot be packed as {codec}", limit=list(_ITEM_BYTES))
    if not 0 <= count <= limits.METRIC_POINTS_PER_BATCH_MAX:
        raise over(limits.METRIC_POINTS_PER_BATCH_MAX, count, "points", ".count")
    budget.take_bytes(count * _CELL_BYTES)
    size = count * width
    raw = data if codec == "raw" else _decompress(data, size)
    if len(raw) != size:
        raise Fault(f": {count} values need {size} bytes, there are {len(raw)}", limit=size, size=len(raw))
    if width == 1 and raw.strip(b"\x00\x01"):
        raise Fault(": a packed bool is a byte 0 or 1", limit="0 or 1")
    return dtype, codec, count, raw


# Making a decompressor takes longer than using it. No two threads may use one at the same time, so each takes one out.
_idle: Final[list[zstandard.ZstdDecompressor]] = []


def _decompress(data: bytes, size: int) -> bytes:
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
        raise Fault(f": not a zstd frame: {error}", limit="zstd") from None
    finally:
        _idle.append(decompressor)


def _undelta(raw: bytes) -> array[int]:
    differences = array("q")
    differences.frombytes(raw)
    sums = list(accumulate(differences))
    try:
        return array("q", sums)
    except OverflowError:
        return array("q", [(value - limits.INT64_MIN) % _WRAP + limits.INT64_MIN for value in sums])


def _unshuffle(raw: bytes) -> bytes:
    count = len(raw) // NUMBER_BYTES
    out = bytearray(len(raw))
    for byte in range(NUMBER_BYTES):
        out[byte::NUMBER_BYTES] = raw[byte * count : (byte + 1) * count]
    return bytes(out)


def shuffle(raw: bytes) -> bytes:
    """All first bytes of the numbers, then all second bytes, …: what makes floats compressible."""
    return b"".join(raw[byte::NUMBER_BYTES] for byte in range(NUMBER_BYTES))


def _plain_f64(values: list[Cell]) -> array[float]:
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
            raise _wrong_cell("a number, 'NaN', 'Infinity' or '-Infinity'", value)
    return out


def _plain_i64(values: list[Cell]) -> array[int]:
    if _types(values) <= {int}:
        try:
            return array("q", cast("list[int]", values))
        except OverflowError:
            pass
    wrong = next(value for value in values if type(value) is not int or not _is_int64(value))
    raise _wrong_cell("a 64-bit integer", wrong)


def _types(values: list[Cell]) -> set[type]:
    """bool is not int here: ``type`` tells them apart where ``isinstance`` does not."""
    return set(map(type, values))


def _is_int64(value: int) -> bool:
    return limits.INT64_MIN <= value <= limits.INT64_MAX


def _plain_bool(values: list[Cell]) -> list[Cell]:
    for value in values:
        if not isinstance(value, bool):
            raise _wrong_cell("true or false", value)
    return values


def _plain_str(values: list[Cell]) -> list[Cell]:
    for value in values:
        if not isinstance(value, str):
            raise _wrong_cell("a string", value)
        check_text(value, 0, limits.METRIC_TEXT_VALUE_CHARS_MAX)
    return values


def _plain_any(values: list[Cell]) -> list[Cell]:
    for value in values:
        if isinstance(value, str):
            check_text(value, 0, limits.METRIC_TEXT_VALUE_CHARS_MAX)
        elif isinstance(value, int) and not _is_int64(value):
            raise _wrong_cell("a 64-bit integer, a float, a string, true, false or null", value)
    return values


_PLAIN: Final[dict[str, Callable[[list[Cell]], Values]]] = {
    "f64": _plain_f64,
    "i64": _plain_i64,
    "bool": _plain_bool,
    "str": _plain_str,
    "any": _plain_any,
}


def _wrong_cell(wanted: str, value: object) -> Fault:
    shown = repr(value)[:80]
    return Fault(f": a value must be {wanted}, not {shown}", limit=wanted, size=shown)


def check_text(value: str, chars_min: int, chars_max: int, part: str = "") -> None:
    """Raise :class:`Fault` unless a text is short enough and without NUL."""
    if not chars_min <= len(value) <= chars_max:
        raise over(chars_max, len(value), "characters", part)
    if "\x00" in value:
        raise Fault(" holds a NUL character", limit="no NUL", part=part)


def pack_floats(values: array[float]) -> Column:
    """An ``f64`` column, packed when that is worth it. NaN payloads, infinities and -0.0 stay bit-exact."""
    raw = values.tobytes()
    if len(values) < _PACK_FROM_VALUES:
        return Column(dtype="f64", codec="raw", count=len(values), data=raw)
    return Column(dtype="f64", codec="shuffle-zstd", count=len(values), data=_compress(shuffle(raw)))


def pack_integers(values: array[int]) -> Column:
    """An ``i64`` column, packed when that is worth it: as differences if they fit 64 bits."""
    if len(values) < _PACK_FROM_VALUES:
        return Column(dtype="i64", values=list(values))
    try:
        raw = array("q", chain(values[:1], map(sub, values[1:], values))).tobytes()
        codec: Codec = "delta-shuffle-zstd"
    except OverflowError:
        raw, codec = values.tobytes(), "shuffle-zstd"
    return Column(dtype="i64", codec=codec, count=len(values), data=_compress(shuffle(raw)))


_idle_compressors: Final[list[zstandard.ZstdCompressor]] = []  # as those that undo it


def _compress(raw: bytes) -> bytes:
    try:
        compressor = _idle_compressors.pop()
    except IndexError:
        compressor = zstandard.ZstdCompressor(level=_ZSTD_LEVEL)
    try:
        return compressor.compress(raw)
    finally:
        _idle_compressors.append(compressor)
