"""The series of metric batches as folds see them, those of many batches unpacked together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from runfold_events.contract.columns import Dtype, Packed, Values
from runfold_events.contract.metrics import DecodedSeries, OpenSeries, as_integers
from runfold_projections.arithmetic import Bounds, undo_together


class FoldSeries(DecodedSeries, frozen=True, kw_only=True, gc=False):
    """One series, with what became known of it while it was unpacked."""

    time_bounds: Bounds | None = None
    step_bounds: Bounds | None = None
    bounds: dict[str, Bounds]  # by column


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
    )
