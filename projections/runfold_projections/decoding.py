"""The series of metric batches as folds see them, those of many batches unpacked together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from msgspec import Struct

from runfold_events.contract.columns import Codec, Dtype, Packed, Values
from runfold_events.contract.metrics import DecodedSeries, OpenSeries, as_integers
from runfold_projections.arithmetic import Bounds, undo_together

SENT_FROM_POINTS: Final = 256

SentColumn = tuple[Codec, bytes]


class Sent(Struct, frozen=True, gc=False):
    """The packed columns of a series as its batch brought them; None and left out are those that were plain."""

    times: SentColumn | None
    steps: SentColumn | None
    columns: dict[str, SentColumn]


class FoldSeries(DecodedSeries, frozen=True, kw_only=True, gc=False):
    """One series, with what became known of it while it was unpacked."""

    time_bounds: Bounds | None = None
    step_bounds: Bounds | None = None
    bounds: dict[str, Bounds]  # by column
    sent: Sent | None = None  # of :data:`SENT_FROM_POINTS` points and more


def unpack(batches: Sequence[Sequence[OpenSeries]]) -> list[list[FoldSeries]]:
    """The series of each batch."""
    packed = [column for batch in batches for series in batch for column in _packed(series)]
    undone = iter(undo_together(packed))
    return [[_unpacked(series, undone) for series in batch] for batch in batches]


def _packed(series: OpenSeries) -> Iterator[Packed]:
    """What is to be undone, in the order in which :func:`_unpacked` takes it."""
    for column in (series.times, series.steps, *(values for _, values in series.columns.values())):
        if isinstance(column, Packed):
            yield column


def _unpacked(series: OpenSeries, undone: Iterator[Any]) -> FoldSeries:
    def take(column: Values | Packed) -> tuple[Values, Bounds | None]:
        if not isinstance(column, Packed):
            return column, None
        one = next(undone)
        return one.values, one.bounds

    times, time_bounds = take(series.times)
    steps, step_bounds = (None, None) if series.steps is None else take(series.steps)
    columns: dict[str, tuple[Dtype, Values]] = {}
    bounds: dict[str, Bounds] = {}
    for name, (dtype, column) in series.columns.items():
        values, known = take(column)
        columns[name] = (dtype, values)
        if known is not None:
            bounds[name] = known
    return FoldSeries(
        name=series.name,
        kind=series.kind,
        count=series.count,
        times=as_integers(times),
        steps=None if steps is None else as_integers(steps),
        columns=columns,
        description=series.description,
        time_bounds=time_bounds,
        step_bounds=step_bounds,
        bounds=bounds,
        sent=_sent(series) if series.count >= SENT_FROM_POINTS else None,
    )


def _sent(series: OpenSeries) -> Sent:
    return Sent(
        _sent_column(series.times),
        _sent_column(series.steps),
        {
            name: (column.codec, column.data)
            for name, (_, column) in series.columns.items()
            if isinstance(column, Packed)
        },
    )


def _sent_column(column: Values | Packed | None) -> SentColumn | None:
    return (column.codec, column.data) if isinstance(column, Packed) else None
