"""Seal 4,096 points into the rows of a chunk, and read them back."""

from __future__ import annotations

import math
import struct
from array import array
from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Struct

from runfold_events.contract.columns import Dtype
from runfold_events.contract.metrics import NO_STEP
from runfold_projections.arithmetic import exact_sum
from runfold_projections.decoding import Source
from runfold_projections.metrics import codec
from runfold_projections.metrics.codec import ValueCodec
from runfold_projections.metrics.points import (
    WIDTHS,
    Part,
    Payload,
    columns_of_sources,
    join,
    sources_of_columns,
    values_of,
)
from runfold_projections.projection import Row
from runfold_projections.values import as_number, decode_cells, encode_cells, float_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CHUNK_POINTS: Final = 4_096
# Postgres keeps what is long in pieces of this size outside the row, four to a page, and a last one that is shorter.
# Rows keep that one themselves: among the others it would leave room on its page that no piece fits into.
_PIECE_BYTES: Final = 1_996

_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder().decode

Run = tuple[str | None, int]  # dtype (None: the points lack the column) and number of points


class Chunk(Struct):
    """The rows of one chunk, without their key."""

    axes: Row  # count, time_min, time_max, step_min, step_max, without_step, times, steps, sources
    columns: list[Row]  # name, count, numbers, nan_count, min, max, mean, first, last, body, rest


def seal(parts: Sequence[Part], value_codec: ValueCodec = "base") -> Chunk:
    """Pack consecutive parts, of any number of points in all."""
    count = sum(part.count for part in parts)
    times = b"".join(part.times for part in parts)
    steps = _joined_steps(parts)
    names = list(dict.fromkeys(name for part in parts for name in part.columns))
    axes = (
        count,
        *_bounds(times),
        *_step_bounds(steps, count),
        codec.pack_integers(times),
        None if steps is None else codec.pack_integers(steps),
        _pack_sources(parts),
    )
    return Chunk(axes, [_seal_column(name, parts, value_codec) for name in names])


def _joined_steps(parts: Sequence[Part]) -> bytes | None:
    if all(part.steps is None for part in parts):
        return None
    none = struct.pack("<q", NO_STEP)
    return b"".join(none * part.count if part.steps is None else part.steps for part in parts)


def _bounds(raw: bytes) -> tuple[int, int]:
    import numpy as np

    values = np.frombuffer(raw, dtype="<i8")
    return int(values.min()), int(values.max())


def _step_bounds(steps: bytes | None, count: int) -> tuple[int | None, int | None, int]:
    """Least and greatest step, and how many points have none."""
    if steps is None:
        return None, None, count
    import numpy as np

    values = np.frombuffer(steps, dtype="<i8")
    values = values[values != NO_STEP]
    if not len(values):
        return None, None, count
    return int(values.min()), int(values.max()), count - len(values)


def _pack_sources(parts: Sequence[Part]) -> bytes:
    """Who sent which points: runs of (writer, number, index of the first, how many), columnar."""
    sources = [source for part in parts for source in part.sources]
    writers, columns = columns_of_sources(sources)
    runs: array[int] = array("q")
    for values in columns:
        runs.extend(values)
    return _pack((writers, len(sources), codec.pack_integers(runs.tobytes())))


def unpack_sources(packed: bytes) -> list[Source]:
    """Every run."""
    writers, count, data = _unpack(packed)
    runs: array[int] = array("q")
    runs.frombytes(codec.unpack_integers(data, count * 4))
    return sources_of_columns(writers, [runs[i * count : (i + 1) * count] for i in range(4)])


def _seal_column(name: str, parts: Sequence[Part], value_codec: ValueCodec) -> Row:
    pieces: dict[str, list[Payload]] = {}
    marks: list[Run] = []
    for part in parts:
        cell = part.columns.get(name)
        marks.append((None if cell is None else cell[0], part.count))
        if cell is not None:
            pieces.setdefault(cell[0], []).append(cell[1])
    runs = [(dtype, sum(n for _, n in group)) for dtype, group in groupby(marks, key=lambda run: run[0])]
    joined = {dtype: join(dtype, payloads) for dtype, payloads in pieces.items()}
    packed = {dtype: _pack_payload(dtype, data, value_codec) for dtype, data in joined.items()}
    body = _pack((runs, packed))
    whole = len(body) - len(body) % _PIECE_BYTES
    return (name, *_column_stats(runs, joined), body[:whole], body[whole:])


def _pack_payload(dtype: str, data: Payload, value_codec: ValueCodec) -> Any:
    if not isinstance(data, bytes):
        raw = encode_cells(data)
        return [len(raw), codec.pack_bytes(raw)]
    if dtype == "f64":
        return codec.pack_floats(data, value_codec)
    return codec.pack_integers(data) if dtype == "i64" else codec.pack_bytes(data)


def unpack_column(packed_parts: Sequence[bytes]) -> list[tuple[Dtype | None, int, Payload]]:
    """Runs of (type, number of points, values), out of body and rest; type None and no values where points lack the
    column."""
    runs, packed = _unpack(b"".join(packed_parts))
    sizes: dict[str, int] = {}
    for dtype, count in runs:
        if dtype is not None:
            sizes[dtype] = sizes.get(dtype, 0) + count
    data = {dtype: _unpack_payload(dtype, size, packed[dtype]) for dtype, size in sizes.items()}
    taken = dict.fromkeys(sizes, 0)
    out: list[tuple[Dtype | None, int, Payload]] = []
    for dtype, count in runs:
        if dtype is None:
            out.append((None, count, []))
            continue
        width, start = WIDTHS.get(dtype, 1), taken[dtype]
        taken[dtype] += count
        out.append((dtype, count, data[dtype][start * width : (start + count) * width]))
    return out


def _unpack_payload(dtype: str, count: int, packed: Any) -> Payload:
    if dtype not in WIDTHS:
        size, data = packed
        return decode_cells(codec.unpack_bytes(data, size))
    if dtype == "f64":
        return codec.unpack_floats(packed, count)
    return codec.unpack_integers(packed, count) if dtype == "i64" else codec.unpack_bytes(packed, count)


def _column_stats(runs: Sequence[Run], joined: dict[str, Payload]) -> Row:
    """count, numbers, nan_count, min, max, mean, first, last; all but the first of what are numbers."""
    count = sum(n for dtype, n in runs if dtype is not None)
    least: list[Any] = []
    greatest: list[Any] = []
    found: list[NDArray[np.float64]] = []
    nan_count = 0
    for dtype, data in joined.items():
        numbers, nans = _numbers(dtype, data)
        nan_count += nans
        if len(numbers):
            least.append(numbers.min())
            greatest.append(numbers.max())
            found.append(numbers.astype("<f8", copy=False))
    first, last = _edge(runs[0][0], joined, 0), _edge(runs[-1][0], joined, -1)
    return (
        count,
        sum(map(len, found)),
        nan_count,
        _plain(min(least, default=None)),
        _plain(max(greatest, default=None)),
        mean_of(found),
        first,
        last,
    )


def mean_of(parts: Sequence[NDArray[np.float64]]) -> float | None:
    """The mean, rounded once, so that every machine finds the same; None of nothing, and where infinities have none."""
    if not parts:
        return None
    import numpy as np

    numbers = np.concatenate(parts)
    try:
        return exact_sum(numbers) / len(numbers)
    except OverflowError:  # of the sum; the mean itself is in range
        return math.fsum(number / len(numbers) for number in numbers.tolist())
    except ValueError:  # of an infinity and its opposite
        return None


def _numbers(dtype: str, data: Payload) -> tuple[Any, int]:
    """The numbers of a payload but NaN, as an array, and how many NaN there are."""
    numbers, _ = numbers_of(dtype, data)
    if numbers.dtype.kind == "i":
        return numbers, 0
    found = numbers[numbers == numbers]  # noqa: PLR0124  # NaN is not itself
    return found, len(numbers) - len(found)


def numbers_of(dtype: str, data: Payload) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """What are numbers, as int64 or float64, and their places; None in place of all places."""
    import numpy as np

    if isinstance(data, bytes) and dtype == "i64":
        return np.frombuffer(data, dtype="<i8"), None
    if isinstance(data, bytes) and dtype == "f64":
        return np.frombuffer(data, dtype="<f8"), None
    cells = values_of(dtype, data)
    places = [
        place
        for place, cell in enumerate(cells)
        if isinstance(cell, int | float) and cell is not True and cell is not False
    ]
    return np.array([float_of(cells[place]) for place in places], dtype="<f8"), np.array(
        places, dtype=np.intp
    )


def _edge(dtype: str | None, joined: dict[str, Payload], index: int) -> Any:
    if dtype is None:
        return None
    data = joined[dtype]
    if isinstance(data, bytes):
        width = WIDTHS[dtype]
        data = data[:width] if index == 0 else data[-width:]
    value = values_of(dtype, data)[index]
    return None if isinstance(value, str) else as_number(value)


def _plain(value: Any) -> int | float | None:
    return None if value is None else value.item()
