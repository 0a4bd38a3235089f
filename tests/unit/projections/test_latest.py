"""Which value of a metric counts: the greatest (step, time, writer, number, index), whatever came first."""

from __future__ import annotations

import math
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runfold_events.contract.columns import Column
from runfold_events.sync import run_sync
from runfold_projections import arithmetic
from runfold_projections.testing.history import WORKSPACE, table
from tests.projections.support import Folded

NONE = -math.inf  # an absent step sorts lowest

Point = tuple[int | None, int, float]  # step, time, value
Batch = tuple[int, int, list[Point]]  # writer, number, points

steps = st.none() | st.integers(-2, 2)
values = st.sampled_from([1.0, -1.0, 2.5, math.nan, math.inf, -math.inf])
points = st.lists(st.tuples(steps, st.integers(0, 2), values), min_size=1, max_size=4)


@st.composite
def batches(draw: st.DrawFn) -> list[Batch]:
    """Batches of two writers whose numbers count up, in any order of arrival."""
    found: list[Batch] = []
    for writer in (1, 2):
        found += [
            (writer, number, batch) for number, batch in enumerate(draw(st.lists(points, max_size=4)), 1)
        ]
    return draw(st.permutations(found))


def folded_from(arrived: list[Batch], batch_events_max: int = 100) -> Folded:
    folded = Folded(batch_events_max=batch_events_max)
    folded.history.experiment()
    folded.history.create("r")
    for writer, number, batch in arrived:
        column = Column(dtype="f64", values=[value for _, _, value in batch])
        folded.history.metrics(
            "r",
            table("m", {"m": column}, [time for _, time, _ in batch], [step for step, _, _ in batch]),
            writer_id=UUID(int=writer),
            writer_seq=number,
        )
    return folded


def expected(arrived: list[Batch]) -> dict[str, Any]:
    """The summary, computed from all points at once."""
    everything = [
        (NONE if step is None else step, time, writer, number, index, value)
        for writer, number, batch in arrived
        for index, (step, time, value) in enumerate(batch)
    ]
    latest = max(everything, key=lambda point: point[:5])
    numbers = [point[5] for point in everything if not math.isnan(point[5])]
    return {
        "latest": repr(latest[5]),
        "step": None if latest[0] == NONE else latest[0],
        "count": len(everything),
        "nan_count": len(everything) - len(numbers),
        "min": min(numbers, default=None),
        "max": max(numbers, default=None),
    }


@given(batches().filter(bool), st.sampled_from([1, 2, 100]))
def test_arrival_and_batching_do_not_matter(arrived: list[Batch], batch_events_max: int) -> None:
    folded = folded_from(arrived, batch_events_max=batch_events_max)
    found = run_sync(folded.views.run(WORKSPACE, "r")).metrics["m"]

    assert {
        "latest": repr(found.latest),
        "step": found.step,
        "count": found.count,
        "nan_count": found.nan_count,
        "min": found.min,
        "max": found.max,
    } == expected(arrived)


@pytest.mark.parametrize("special", [[], [math.nan], [math.inf, -math.inf], [math.nan, math.inf]])
def test_long_batches_are_summarised_by_numpy_as_short_ones_are(special: list[float]) -> None:
    values = [math.sin(i) for i in range(arithmetic.IMPORT_PAYS_FROM_VALUES)] + special
    for numbers in (values, values[-3:], special or [1.0]):
        folded = folded_from([(1, 1, [(i, i, value) for i, value in enumerate(numbers)])])
        found = run_sync(folded.views.run(WORKSPACE, "r")).metrics["m"]
        finite = [value for value in numbers if not math.isnan(value)]
        assert (found.min, found.max) == (min(finite, default=None), max(finite, default=None))
        assert (found.count, found.nan_count) == (len(numbers), len(numbers) - len(finite))


def test_nothing_but_nan() -> None:
    folded = folded_from([(1, 1, [(0, 0, math.nan)] * 600)])
    found = run_sync(folded.views.run(WORKSPACE, "r")).metrics["m"]
    assert (found.min, found.max, found.nan_count) == (None, None, 600)
    assert isinstance(found.latest, float)
    assert math.isnan(found.latest)
