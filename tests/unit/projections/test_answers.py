"""What is kept of a metric to be answered with is what its columns say, or is not kept."""

from __future__ import annotations

import math
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runfold_events.contract.columns import Column
from runfold_events.sync import run_sync
from runfold_projections.model import MetricSummary, RunQuery
from runfold_projections.runs.queries import summaries
from runfold_projections.testing.history import WORKSPACE, table
from tests.projections.support import Folded

NAMES: Final = ("loss", 'a "quoted" one', "tab\there", "größe/π", "loss.x", "\x01", "k" * 300)
EXACT: Final = (
    0.1,
    -0.0,
    1.0,
    5e-324,
    1.7976931348623157e308,
    2**63 - 1,
    -(2**63),
    0,
    True,
    "",
    'say "NaN"',
    "NaN",
)
INEXACT: Final = (math.nan, math.inf, -math.inf)
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=5)
cells = st.sampled_from([*EXACT, *INEXACT]) | st.floats() | st.integers(-(2**63), 2**63 - 1) | texts


def folded_with(points: dict[str, list[Any]]) -> Folded:
    """A run with some metrics, a batch for each point."""
    folded = Folded()
    folded.history.experiment()
    folded.history.create("r")
    for number, (name, values) in enumerate(points.items(), 1):
        for place, value in enumerate(values):
            column = Column(dtype="any", values=[value])
            folded.history.metrics("r", table(name, {name: column}, [number], [place]))
    folded.catch_up()
    return folded


def from_columns(folded: Folded) -> dict[str, MetricSummary]:
    """The summaries without what is kept to be answered with."""

    async def ask() -> dict[str, MetricSummary]:
        async with folded.store.snapshot() as session:
            view = session.of((await session.catalogue()).active["runs"])
            key = (await view.fetch("run_by_id", (WORKSPACE, "r")))[0][0]
            return summaries(await view.fetch("metrics_of_run", (key,)))[key]

    return run_sync(ask())


def answers(folded: Folded) -> list[str | None]:
    return [row[-1] for row in folded.rows("runs.metric")]


@given(st.dictionaries(st.sampled_from(NAMES), st.lists(cells, min_size=1, max_size=3), min_size=1))
def test_an_answer_says_what_the_columns_say(points: dict[str, list[Any]]) -> None:
    folded = folded_with(points)
    expected = from_columns(folded)
    one = run_sync(folded.views.run(WORKSPACE, "r")).metrics
    (listed,) = run_sync(folded.views.runs(WORKSPACE, RunQuery())).rows
    assert list(expected) == list(one) == list(listed.metrics) == sorted(points)
    # As text, so that NaN is itself, a whole float is no integer, and the zeros differ.
    assert repr(one) == repr(listed.metrics) == repr(expected)


@pytest.mark.parametrize("value", EXACT)
def test_what_json_can_say_is_kept(value: Any) -> None:
    (answer,) = answers(folded_with({"m": [value]}))
    assert answer is not None
    assert answer.startswith('"m":{')


@pytest.mark.parametrize("value", INEXACT)
def test_what_json_cannot_say_is_not_kept_and_is_answered_all_the_same(value: Any) -> None:
    folded = folded_with({"plain": [1.0], "m": [value, 0.5]})
    last = folded_with({"plain": [1.0], "m": [0.5, value]})
    assert answers(last)[0] is None
    for made, latest in ((folded, 0.5), (last, value)):
        found = run_sync(made.views.run(WORKSPACE, "r")).metrics
        assert repr(found["m"].latest) == repr(latest)
        assert found["plain"].latest == 1.0
