"""All rows of a view in a form that is equal when the views are: for tests that a rebuild equals the live view.

Packed columns are decoded, since the bytes that a compressor makes may differ between its versions. Rows of a tail are
taken apart, since which parts share one depends on how events were cut into fold batches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from runfold_projections.metrics import codec
from runfold_projections.metrics.chunks import unpack_column, unpack_sources
from runfold_projections.metrics.points import unpack_parts, values_of
from runfold_projections.projection import Projection, Row, ViewStore


async def dump(store: ViewStore, projections: Iterable[Projection]) -> dict[str, list[Row]]:
    """The rows of every table of the active generations, by ``projection.table``, in the order of their keys."""
    found: dict[str, list[Row]] = {}
    async with store.snapshot() as session:
        active = (await session.catalogue()).active
        for projection in projections:
            view = session.of(active[projection.name])
            for table, order in projection.tables:
                name = f"{projection.name}.{table}"
                rows = await view.fetch_compiled(
                    f"SELECT * FROM {{p}}{table} ORDER BY {order}",  # noqa: S608  # names of the projection's own
                    (),
                )
                decode = _DECODERS.get(name)
                found[name] = rows if decode is None else [one for row in rows for one in decode(row)]
    return found


def _tail(row: Row) -> list[Row]:
    key, first, _, body = row
    rows: list[Row] = []
    for part in unpack_parts(body):
        for one in part.by_source():
            count, (source,), times, steps, columns = one.to_row()
            rows.append((key, first, count, *source, times, steps, tuple(columns)))
            first += count
    return rows


def _chunk(row: Row) -> list[Row]:
    count, (times, steps, sources) = row[2], row[-3:]
    return [
        (
            *row[:-3],
            codec.unpack_integers(times, count),
            None if steps is None else codec.unpack_integers(steps, count),
            tuple(unpack_sources(sources)),
        )
    ]


def _column(row: Row) -> list[Row]:
    runs: list[Any] = []
    for dtype, count, data in unpack_column(row[-2:]):
        exact = data if isinstance(data, bytes) else [repr(cell) for cell in values_of(dtype or "any", data)]
        runs.append((dtype, count, exact))
    return [(*row[:-2], tuple(map(repr, runs)))]


_DECODERS: Final[dict[str, Callable[[Row], list[Row]]]] = {
    "metrics.tail": _tail,
    "metrics.chunk": _chunk,
    "metrics.column": _column,
}
