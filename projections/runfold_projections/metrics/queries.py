"""Read series back, in compatible order: (time, writer, number, index)."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from itertools import islice, pairwise
from operator import le
from typing import Any, Final

import msgspec
from msgspec import Struct

from runfold_events.contract import limits
from runfold_events.contract.metrics import NO_STEP
from runfold_projections.metrics import codec
from runfold_projections.metrics.chunks import CHUNK_POINTS, unpack_column, unpack_sources
from runfold_projections.metrics.points import Part, unpack_parts, values_of
from runfold_projections.model import SeriesData, SeriesInfo
from runfold_projections.projection import Row, ViewSnapshot

NUMPY_FROM_POINTS: Final = 2_048
SERIES_AT_ONCE: Final = 1_000  # whose unsealed points are asked for together
NO_TIME: Final = limits.INT64_MAX

Source = tuple[bytes, int, int, int]  # writer_id, writer_seq, index of the first point, number of points


class _Points(Struct):
    """Points in the order of their positions, columnar."""

    times: list[int]
    steps: list[int | None]
    sources: list[Source]
    columns: dict[str, list[Any]]


async def series_infos(view: ViewSnapshot, runs: Mapping[str, str]) -> list[SeriesInfo]:
    """What there is of some runs (ids by stream), in the order in which the names first came."""
    rows = await view.fetch_many("all_series", [(stream,) for stream in runs])
    return [
        SeriesInfo(run_id=runs[stream], name=name, kind=kind, count=count, columns=tuple(_names(columns)))
        for stream, _, name, kind, columns, count in rows
    ]


async def series_data(
    view: ViewSnapshot, runs: Mapping[str, str], names: Sequence[str], points_max: int | None
) -> list[SeriesData]:
    """The named series, or all, of some runs (ids by stream).

    Whatever the number of runs, there are few questions: their answers travel together.
    """
    if names:
        wanted = [(stream, name) for stream in runs for name in dict.fromkeys(names)]
        rows = await view.fetch_many("one_series", wanted)
    else:
        rows = await view.fetch_many("all_series", [(stream,) for stream in runs])
    found: list[SeriesData] = []
    for first in range(0, len(rows), SERIES_AT_ONCE):
        some = rows[first : first + SERIES_AT_ONCE]
        tails: dict[int, list[Part]] = {}
        for key, body in await view.fetch_many("tail", [(row[1],) for row in some]):
            tails.setdefault(key, []).extend(unpack_parts(body))
        for stream, key, *about in some:
            tail = tails.pop(key, [])
            found.append(await _series(view, runs[stream], (key, *about), tail, points_max))
    return found


async def _series(
    view: ViewSnapshot, run_id: str, row: Row, tail: Sequence[Part], points_max: int | None
) -> SeriesData:
    key, name, kind, columns, count = row
    points = await _load(view, key, count, _names(columns), tail, points_max)
    order = _order(points)
    if points_max is not None and len(points.times) > points_max:
        order = (range(len(points.times)) if order is None else order)[len(points.times) - points_max :]
    return SeriesData(
        run_id=run_id,
        name=name,
        kind=kind,
        count=len(points.times) if order is None else len(order),
        steps=_picked(points.steps, order),
        times_ms=_picked(points.times, order),
        columns={column: _picked(values, order) for column, values in points.columns.items()},
    )


def _names(columns: str) -> list[str]:
    return msgspec.json.decode(columns, type=list[str])


def _picked(values: list[Any], order: Sequence[int] | None) -> list[Any]:
    return values if order is None else [values[index] for index in order]


async def _load(
    view: ViewSnapshot,
    key: int,
    count: int,
    names: Sequence[str],
    tail: Sequence[Part],
    points_max: int | None,
) -> _Points:
    points = _Points([], [], [], {name: [] for name in names})
    if count >= CHUNK_POINTS:
        first = 0
        if points_max is not None and points_max < count:
            bounds = [(row[1], row[2]) for row in await view.fetch("chunk_bounds", (key,))]
            first = _first_chunk(bounds, _tail_bounds(tail), count, points_max)
        columns: dict[int, dict[str, tuple[bytes, bytes]]] = {}
        for chunk, name, body, rest in await view.fetch("columns", (key, first)):
            columns.setdefault(chunk, {})[name] = (body, rest)
        for row in await view.fetch("chunks", (key, first)):
            _add_chunk(points, row, columns.get(row[0], {}))
    for part in tail:
        _add_part(points, part)
    return points


def _tail_bounds(tail: Sequence[Part]) -> tuple[int, int] | None:
    times: array[int] = array("q")
    for part in tail:
        times.frombytes(part.times)
    return (min(times), max(times)) if times else None


def _first_chunk(
    bounds: list[tuple[int, int]], tail: tuple[int, int] | None, count: int, points_max: int
) -> int:
    """The last chunk to start reading from, so that the ``points_max`` latest points are among what is read.

    That holds when everything from there on is later than everything before.
    """
    before: list[int] = []  # greatest time of the chunks before each chunk
    for _, greatest in bounds:
        before.append(max(before[-1], greatest) if before else greatest)
    least = NO_TIME if tail is None else tail[0]
    for chunk in range(len(bounds), 0, -1):
        if chunk < len(bounds):
            least = min(least, bounds[chunk][0])
        if count - chunk * CHUNK_POINTS >= points_max and least > before[chunk - 1]:
            return chunk
    return 0


def _add_chunk(points: _Points, row: Row, columns: dict[str, tuple[bytes, bytes]]) -> None:
    _, times, steps, sources = row
    points.times.extend(_integers(codec.unpack_integers(times, CHUNK_POINTS)))
    points.steps.extend(
        [None] * CHUNK_POINTS if steps is None else _steps(codec.unpack_integers(steps, CHUNK_POINTS))
    )
    points.sources.extend(unpack_sources(sources))
    for name, values in points.columns.items():
        if name not in columns:
            values.extend([None] * CHUNK_POINTS)
            continue
        for dtype, count, data in unpack_column(columns[name]):
            values.extend([None] * count if dtype is None else values_of(dtype, data))


def _add_part(points: _Points, part: Part) -> None:
    points.times.extend(_integers(part.times))
    points.steps.extend([None] * part.count if part.steps is None else _steps(part.steps))
    points.sources.extend(part.sources)
    for name, values in points.columns.items():
        cell = part.columns.get(name)
        values.extend([None] * part.count if cell is None else values_of(*cell))


def _integers(raw: bytes) -> array[int]:
    values: array[int] = array("q")
    values.frombytes(raw)
    return values


def _steps(raw: bytes) -> list[int | None]:
    steps = _integers(raw)
    if NO_STEP not in steps:
        return list(steps)
    return [None if step == NO_STEP else step for step in steps]


def _order(points: _Points) -> Sequence[int] | None:
    """The indexes of the points in compatible order; None when they stand in it already."""
    times, sources = points.times, points.sources
    if _is_sorted(times) and _come_in_order(sources):
        return None
    if len(times) < NUMPY_FROM_POINTS:
        marks = [(writer, seq, point + i) for writer, seq, point, count in sources for i in range(count)]
        return sorted(range(len(times)), key=lambda index: (times[index], marks[index]))
    return _order_many(times, sources)


def _is_sorted(times: Sequence[int]) -> bool:
    return all(map(le, times, islice(times, 1, None)))


def _come_in_order(sources: Sequence[Source]) -> bool:
    """True when the points of equal times stand in order, too: one writer whose numbers and indexes only grow."""
    return all(a[0] == b[0] and a[1:3] < b[1:3] for a, b in pairwise(sources))


def _order_many(times: Sequence[int], sources: Sequence[Source]) -> Sequence[int]:
    import numpy as np

    writers = {writer: rank for rank, writer in enumerate(sorted({source[0] for source in sources}))}
    counts = [source[3] for source in sources]
    ranks = np.repeat([writers[source[0]] for source in sources], counts)
    seqs = np.repeat([source[1] for source in sources], counts)
    starts = np.repeat([source[2] for source in sources], counts)
    run_starts = np.repeat(np.cumsum([0, *counts[:-1]]), counts)
    indexes = starts + np.arange(len(times)) - run_starts
    order: list[int] = np.lexsort((indexes, seqs, ranks, np.asarray(times, dtype=np.int64))).tolist()
    return order
