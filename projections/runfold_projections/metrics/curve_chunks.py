"""Which chunks of a series a question about a part of it concerns: of a long one it costs what the part does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from runfold_events.contract import limits
from runfold_projections.metrics.chunks import CHUNK_POINTS
from runfold_projections.model import Axis, CurveQuery
from runfold_projections.projection import ViewSnapshot

Chunks = tuple[int, int]  # the first and the last of them
ALL: Final[Chunks] = (0, limits.INT64_MAX)
_NONE: Final[Chunks] = (0, -1)
LONG_CHUNKS: Final = 32  # of a shorter series all chunks are read: to ask which of them would cost as much


class Asked(Struct, frozen=True):
    """A series that is asked about."""

    axis: Axis
    count: int  # of points
    columns: int


def is_read_in_part(count: int, query: CurveQuery) -> bool:
    """Whether of a series with so many points only the chunks are read that the question concerns."""
    is_part = query.start is not None or query.stop is not None or query.last is not None
    return is_part and count >= LONG_CHUNKS * CHUNK_POINTS


async def concerned_chunks(
    view: ViewSnapshot, series: Mapping[int, Asked], query: CurveQuery
) -> dict[int, Chunks]:
    """By the key of a series, between which chunks all are that have points of the answer; others may be among them."""
    found: dict[int, Chunks] = dict.fromkeys(series, ALL)
    long = {key: asked for key, asked in series.items() if is_read_in_part(asked.count, query)}
    if not long:
        return found
    until = limits.INT64_MAX if query.stop is None else max(query.stop - 1, limits.INT64_MIN)
    since = dict.fromkeys(long, limits.INT64_MIN if query.start is None else query.start)
    if query.last is not None:
        latest = await _latest(view, long, until, query.last)
        since = {key: max(start, latest.get(key, start)) for key, start in since.items()}
    by_number = {key for key, asked in long.items() if asked.axis == "index"}
    found |= {key: (since[key] // CHUNK_POINTS, until // CHUNK_POINTS) for key in by_number}
    wanted = [(key, asked.axis, since[key], until) for key, asked in long.items() if key not in by_number]
    found |= {key: _NONE for key, *_ in wanted}
    found |= {key: (first, last) for key, first, last in await view.fetch_many("chunks_between", wanted)}
    return found


async def _latest(view: ViewSnapshot, series: Mapping[int, Asked], until: int, last: int) -> dict[int, int]:
    """An x for each series from which on every column has ``last`` points in chunks that end by ``until``.

    A series with a column that has not so many is left out.
    """
    wanted = [
        (key, asked.axis, (until + 1) // CHUNK_POINTS - 1 if asked.axis == "index" else until, last)
        for key, asked in series.items()
    ]
    least: dict[int, list[int]] = {}
    for key, _, x in await view.fetch_many("latest_chunks", wanted):
        least.setdefault(key, []).append(x * CHUNK_POINTS if series[key].axis == "index" else x)
    return {key: min(found) for key, found in least.items() if len(found) == series[key].columns}
