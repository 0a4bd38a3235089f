"""Curves: what is drawn of a series, at a resolution that is asked for, whatever the number of points.

The pieces of a series are its sealed chunks, each with a summary beside it, and the tail behind them. A piece that lies
inside the range, and all of which is on the axis, is *whole*: its summary may stand for it. Any other is *cut*: its
points must be looked at. So a curve is made in two rounds, each of which reads for many curves together: first what is
cut; then, where whole pieces are few enough, their points too. Else their summaries are the answer.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Final, Literal

import msgspec
from msgspec import Struct

from runfold_events.contract import limits
from runfold_events.contract.errors import LimitExceeded
from runfold_events.contract.metrics import NO_STEP
from runfold_projections.metrics.buckets import (
    Summary,
    buckets_of_points,
    buckets_of_summaries,
    summary_of,
)
from runfold_projections.metrics.chunks import CHUNK_POINTS
from runfold_projections.metrics.curve_chunks import Asked, concerned_chunks, is_read_in_part
from runfold_projections.metrics.curve_points import Points, joined, points_of_chunk, points_of_parts
from runfold_projections.metrics.curve_table import packed_points
from runfold_projections.metrics.points import Part, unpack_parts
from runfold_projections.model import Axis, Curve, CurveBuckets, CurveDtype, CurvePoints, CurveQuery
from runfold_projections.projection import Row, ViewSnapshot

SERIES_AT_ONCE: Final = 200  # whose summaries are read together
CHUNKS_AT_ONCE: Final = 512  # whose points are in memory together, before they become buckets
CHUNKS_PER_ANSWER: Final = (
    16_384  # whose points are looked at for finer buckets; beyond that summaries must do
)
CHUNKS_PER_CURVE: Final = 1_024
_FILE_KINDS: Final = frozenset({"image", "chart"})  # their points say where a file is

_STEP_MIN: Final = 4  # its place among what is read of a chunk's ranges; absent where no point has a step
_TAIL: Final = limits.INT64_MAX  # stands for the number of a chunk, behind all of them
_Way = Literal["points", "last", "buckets", "summaries"]  # how a curve is made


class _Piece(Struct, frozen=True):
    """A sealed chunk of one column, as far as its rows without their bodies tell."""

    chunk: int
    summary: Summary
    is_whole: bool


class _Plan(Struct):
    """One curve on its way."""

    run_id: str
    series: Row  # series_key, name, kind, columns, count
    column: str
    x: Axis
    whole: list[_Piece]
    cut: list[_Piece]
    points: dict[
        int, Points
    ]  # by chunk: of the tail and of ``cut``; where they are looked at of ``whole``, too
    condensed: list[Summary]  # in place of points that would have taken too much memory
    way: _Way = "summaries"

    @property
    def held(self) -> int:
        """How many points are in memory."""
        return sum(map(len, self.points.values()))

    @property
    def looked_at(self) -> list[_Piece]:
        """The whole pieces whose points are needed."""
        return [] if self.way == "summaries" else self.whole

    def together(self) -> Points:
        """All points in memory, those of equal x in the order in which they were recorded."""
        return joined([self.points[chunk] for chunk in sorted(self.points)]).sorted()


async def curves(view: ViewSnapshot, runs: Mapping[str, str], query: CurveQuery) -> list[Curve]:
    """The curves of some runs (ids by stream), in the order of the runs and of the names.

    Raises:
        LimitExceeded: they are more than one answer may hold.
    """
    rows = await _series(view, runs, query.names)
    wanted = sum(len(_columns(row[4])) for row in rows)
    _check_size(wanted, query.points_max)
    share = min(CHUNKS_PER_CURVE, CHUNKS_PER_ANSWER // max(wanted, 1))
    found: list[Curve] = []
    for first in range(0, len(rows), SERIES_AT_ONCE):
        plans = await _planned(view, runs, rows[first : first + SERIES_AT_ONCE], query)
        await _read_cut(view, plans, query)
        for plan in plans:
            plan.way = _way(plan, query, share)
        found += await _drawn(view, plans, query)
    return found


async def _series(view: ViewSnapshot, runs: Mapping[str, str], names: Sequence[str]) -> list[Row]:
    """(stream, series_key, name, kind, columns, count) of what is asked for."""
    if names:
        wanted = [(stream, name) for stream in runs for name in dict.fromkeys(names)]
        return await view.fetch_many("one_series", wanted)
    rows = await view.fetch_many("all_series", [(stream,) for stream in runs])
    return [row for row in rows if row[3] not in _FILE_KINDS]


def _columns(packed_names: str) -> list[str]:
    return msgspec.json.decode(packed_names, type=list[str])


def _check_size(curves_wanted: int, points_max: int) -> None:
    if curves_wanted > limits.CURVES_PER_ANSWER_MAX:
        raise LimitExceeded(
            f"the query asks for {curves_wanted} curves, and an answer may hold "
            f"{limits.CURVES_PER_ANSWER_MAX}: name fewer runs or metrics",
            facts={
                "field": "runs",
                "limit": limits.CURVES_PER_ANSWER_MAX,
                "size": curves_wanted,
                "unit": "curves",
            },
        )
    if curves_wanted * points_max > limits.CURVE_POINTS_PER_ANSWER_MAX:
        raise LimitExceeded(
            f"{curves_wanted} curves of {points_max} points are more than the "
            f"{limits.CURVE_POINTS_PER_ANSWER_MAX} points that an answer may hold: lower points_max to "
            f"{limits.CURVE_POINTS_PER_ANSWER_MAX // curves_wanted}, or name fewer runs or metrics",
            facts={
                "field": "points_max",
                "limit": limits.CURVE_POINTS_PER_ANSWER_MAX // curves_wanted,
                "size": points_max,
                "unit": "points",
            },
        )


# Planning


async def _planned(
    view: ViewSnapshot, runs: Mapping[str, str], rows: Sequence[Row], query: CurveQuery
) -> list[_Plan]:
    """A plan for every column of every series, out of what stands beside the bodies of the chunks it concerns."""
    keys = [(row[1],) for row in rows]
    tails: dict[int, list[Part]] = {}
    for key, body in await view.fetch_many("tail", keys):
        tails.setdefault(key, []).extend(unpack_parts(body))
    stepped = {key for key, parts in tails.items() if _have_steps(parts)}
    if query.x == "step":  # of others the chunks say it, which are read in any case
        unsure = [(row[1],) for row in rows if is_read_in_part(row[5], query) and row[1] not in stepped]
        stepped |= {key for (key,) in await view.fetch_many("series_with_steps", unsure)}
    columns_of = {row[1]: _columns(row[4]) for row in rows}
    asked = {row[1]: Asked(_axis(row[1], query.x, stepped), row[5], len(columns_of[row[1]])) for row in rows}
    concerned = [(key, *chunks) for key, chunks in (await concerned_chunks(view, asked, query)).items()]
    ranges = _by_series(await view.fetch_many("chunk_ranges", concerned))
    stepped |= {
        key for key, chunks in ranges.items() if any(chunk[_STEP_MIN] is not None for chunk in chunks)
    }
    summaries: dict[tuple[int, str], dict[int, Row]] = {}
    for key, chunk, name, *numbers in await view.fetch_many("column_summaries", concerned):
        summaries.setdefault((key, name), {})[chunk] = tuple(numbers)
    plans: list[_Plan] = []
    for stream, *series in rows:
        key, count = series[0], series[4]
        chunks, parts, x = ranges.get(key, []), tails.get(key, []), _axis(key, query.x, stepped)
        first = count - count % CHUNK_POINTS
        for column in columns_of[key]:
            pieces = list(_pieces(chunks, summaries.get((key, column), {}), x, query))
            tail = points_of_parts(x, first, parts, column).between(query.start, query.stop)
            plans.append(
                _Plan(
                    run_id=runs[stream],
                    series=tuple(series),
                    column=column,
                    x=x,
                    whole=[piece for piece in pieces if piece.is_whole],
                    cut=[piece for piece in pieces if not piece.is_whole],
                    points={_TAIL: tail} if len(tail) else {},
                    condensed=[],
                )
            )
    return plans


def _by_series(rows: Sequence[Row]) -> dict[int, list[Row]]:
    found: dict[int, list[Row]] = {}
    for key, *row in rows:
        found.setdefault(key, []).append(tuple(row))
    return found


def _axis(key: int, wanted: Axis, stepped: Set[int]) -> Axis:
    """The axis asked for; where no point of a series has a step, its points are counted instead."""
    return "index" if wanted == "step" and key not in stepped else wanted


def _have_steps(parts: Sequence[Part]) -> bool:
    none = NO_STEP.to_bytes(8, "little", signed=True)
    return any(part.steps is not None and part.steps != none * part.count for part in parts)


def _pieces(
    chunks: Sequence[Row], summaries: Mapping[int, Row], x: Axis, query: CurveQuery
) -> Iterator[_Piece]:
    """The chunks that may have points in the range."""
    start = -math.inf if query.start is None else query.start
    stop = math.inf if query.stop is None else query.stop
    for chunk, count, time_min, time_max, step_min, step_max, without_step in chunks:
        if x == "time":
            least, greatest = time_min, time_max
        elif x == "index":
            least, greatest = chunk * CHUNK_POINTS, chunk * CHUNK_POINTS + count - 1
        else:
            least, greatest = step_min, step_max
        found = summaries.get(chunk)
        if found is None or least is None or greatest < start or least >= stop:
            continue
        numbers, nan_count, *values = found
        if not numbers + nan_count:
            continue
        yield _Piece(
            chunk,
            Summary(least, greatest, numbers + nan_count, nan_count, *map(_number, values)),
            is_whole=start <= least and greatest < stop and not (x == "step" and without_step),
        )


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


# Reading


def _way(plan: _Plan, query: CurveQuery, share: int) -> _Way:
    """How to make a curve, now that what is cut has been looked at. ``share``: how many chunks may be looked at."""
    if query.last is not None:
        plan.whole = _latest(plan, query.last)
        return "last"
    if plan.condensed:
        return "summaries"
    if plan.held + sum(piece.summary.count for piece in plan.whole) <= query.points_max:
        return "points"
    return "buckets" if len(plan.whole) <= min(share, query.points_max // 2) else "summaries"


def _latest(plan: _Plan, last: int) -> list[_Piece]:
    """The whole pieces in which the ``last`` points with the greatest x are, as far as they are in whole ones."""
    count, least = 0, math.inf
    for piece in sorted(plan.whole, key=lambda piece: piece.summary.x_first, reverse=True):
        if count >= last:
            break
        count += piece.summary.count
        least = piece.summary.x_first
    return [piece for piece in plan.whole if piece.summary.x_last >= least]


async def _read_cut(view: ViewSnapshot, plans: Sequence[_Plan], query: CurveQuery) -> None:
    """Read what is in the range of all cut pieces."""
    wanted = [(plan, piece) for plan in plans for piece in plan.cut]
    for first in range(0, len(wanted), CHUNKS_AT_ONCE):
        some = wanted[first : first + CHUNKS_AT_ONCE]
        await _read(view, some, with_axes=True)
        for plan, piece in some:
            points = plan.points.pop(piece.chunk).between(query.start, query.stop)
            if len(points):
                plan.points[piece.chunk] = points
        for plan in {id(plan): plan for plan, _ in some}.values():
            _condense(plan, query)


def _condense(plan: _Plan, query: CurveQuery) -> None:
    """Keep of many points what the answer can need."""
    if plan.held <= max(query.points_max, CHUNKS_PER_CURVE * CHUNK_POINTS):
        return
    if query.last is not None:
        plan.points = {min(plan.points): plan.together().picked(slice(-query.last, None))}
    else:
        plan.condensed += [summary_of(points.sorted()) for points in plan.points.values()]
        plan.points = {}


async def _drawn(view: ViewSnapshot, plans: Sequence[_Plan], query: CurveQuery) -> list[Curve]:
    """The curves, in the order of their plans; the points of each are forgotten as soon as it is made."""
    drawn: list[Curve] = []
    for group in _groups(plans):
        wanted = [(plan, piece) for plan in group for piece in plan.looked_at]
        await _read(view, wanted, with_axes=any(plan.way != "buckets" for plan in group))
        for plan in group:
            drawn.append(_curve(plan, query))
            plan.points = {}
    return drawn


def _groups(plans: Sequence[_Plan]) -> Iterator[list[_Plan]]:
    """Neighbours whose points may be in memory together."""
    group: list[_Plan] = []
    size = 0
    for plan in plans:
        if group and size + len(plan.looked_at) > CHUNKS_AT_ONCE:
            yield group
            group, size = [], 0
        group.append(plan)
        size += len(plan.looked_at)
    if group:
        yield group


async def _read(view: ViewSnapshot, wanted: Sequence[tuple[_Plan, _Piece]], *, with_axes: bool) -> None:
    """Read the points of pieces into their plans."""
    places = dict.fromkeys((plan.series[0], piece.chunk) for plan, piece in wanted)
    rows = await view.fetch_many("chunk_axes", list(places))
    axes = {(key, chunk): (times, steps) for key, chunk, times, steps in rows}
    bodies = await view.fetch_many(
        "chunk_column", [(plan.series[0], piece.chunk, plan.column) for plan, piece in wanted]
    )
    for (plan, piece), column in zip(wanted, bodies, strict=True):
        plan.points[piece.chunk] = points_of_chunk(
            plan.x,
            piece.chunk * CHUNK_POINTS,
            axes[plan.series[0], piece.chunk],
            column,
            with_axes=with_axes,
        )


# Drawing


def _curve(plan: _Plan, query: CurveQuery) -> Curve:
    _, name, kind, _, total = plan.series
    points: CurvePoints | None = None
    buckets: CurveBuckets | None = None
    dtype: CurveDtype = "f64"
    if plan.way == "summaries":
        summaries = [piece.summary for piece in plan.whole] + plan.condensed
        summaries += [summary_of(points.sorted()) for points in plan.points.values()]
        count = sum(one.count for one in summaries)
        nan_count = sum(one.nan_count for one in summaries)
        buckets = buckets_of_summaries(summaries, query.points_max)
    else:
        found = plan.together()
        if plan.way == "last":
            found = found.picked(slice(-(query.last or 0), None))
        count, nan_count = len(found), found.nan_count
        if plan.way == "buckets" and count > query.points_max:
            buckets = buckets_of_points(found, query.points_max)
        else:
            points = packed_points(found)
            dtype = "i64" if found.values.dtype.kind == "i" else "f64"
    return Curve(
        run_id=plan.run_id,
        name=name,
        column=plan.column,
        kind=kind,
        x=plan.x,
        dtype=dtype,
        total=total,
        count=count,
        nan_count=nan_count,
        exact=points is not None,
        points=points,
        buckets=buckets,
    )
