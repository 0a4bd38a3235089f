"""What is asked of much: a curve of ten million points, pages of a hundred thousand runs, ten thousand children."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from benchmarks import many, storage
from benchmarks.filled import Filled
from benchmarks.measure import Group, Measured, Sizes, p50_ms
from benchmarks.place import Place
from benchmarks.processes import together
from runfold_events.contract.envelope import JSON
from runfold_projections.model import CurveQuery, RunQuery
from runfold_projections.testing.history import WORKSPACE
from runfold_services.api.curve_formats import encode_curves
from runfold_services.api.negotiation import encode

AIM_MS: Final = 100.0
CREATE_AIM_MS: Final = 2_000.0
LIST_AIM_MS: Final = 500.0
CURVE_RUN: Final = "long"
_POINTS_A_BATCH: Final = 50_000
_RUNS_AT_ONCE: Final = 500


def fill_curve(filled: Filled, points: int) -> None:
    """One run with one long metric."""
    filled.history.create(CURVE_RUN)
    for first in range(0, points, _POINTS_A_BATCH):
        filled.history.metrics(CURVE_RUN, storage.series(first, min(_POINTS_A_BATCH, points - first)))
        filled.fold()


def curve_questions(points: int) -> tuple[tuple[str, CurveQuery, float | None], ...]:
    """What a chart asks for of a metric of so many points."""
    middle = points // 2

    def query(**fields: Any) -> CurveQuery:
        return CurveQuery(runs=(CURVE_RUN,), names=("loss",), **fields)

    return (
        ("all of it, 2,500 buckets", query(points_max=2_500), AIM_MS),
        ("all of it by time, 1,000 buckets", query(x="time"), AIM_MS),
        ("a hundredth of it, 1,000 buckets", query(start=middle, stop=middle + points // 100), None),
        ("the last 1,000 points", query(last=1_000), None),
    )


def curve_p50_ms(filled: Filled, query: CurveQuery, questions: int) -> float:
    """Asked and encoded as JSON."""
    return p50_ms(lambda: encode_curves(filled.ask(filled.views.curves(WORKSPACE, query)), JSON), questions)


def curve_rows(filled: Filled, sizes: Sizes, place: str) -> list[Measured]:
    """A row for each question."""
    fill_curve(filled, sizes.curve_points)
    return [
        Measured(
            name=f"{name}, {place}",
            unit="ms",
            values=tuple(curve_p50_ms(filled, query, sizes.questions) for _ in range(sizes.repeats)),
            aim=aim,
        )
        for name, query, aim in curve_questions(sizes.curve_points)
    ]


def fill_runs(filled: Filled, runs: int, progress: Callable[[int], None] = lambda count: None) -> None:
    """Runs as :mod:`benchmarks.many` makes them."""
    for number in range(many.EXPERIMENTS):
        filled.history.experiment(f"e{number}")
    for first in range(0, runs, _RUNS_AT_ONCE):
        count = min(_RUNS_AT_ONCE, runs - first)
        many.write(filled.history, first, count)
        filled.fold_much()
        progress(count)
    filled.fold()


def page_p50_ms(filled: Filled, question: many.Question, questions: int) -> float:
    """A page of fifty, asked and encoded as JSON."""
    query = RunQuery(filter=question.filter, order_by=question.order_by, experiment=question.experiment)

    def ask() -> None:
        page = filled.ask(filled.views.runs(WORKSPACE, query))
        if not page.rows or len(page.rows[0].metrics) != many.METRICS:
            raise RuntimeError("not the page that was asked for")
        encode(page, JSON)

    return p50_ms(ask, questions)


def list_rows(filled: Filled, sizes: Sizes, place: str, progress: Callable[[int], None]) -> list[Measured]:
    """A row for each page that somebody asks for."""
    fill_runs(filled, sizes.many_runs, progress)
    return [
        Measured(
            name=f"{question.name}, {place}",
            unit="ms",
            values=tuple(page_p50_ms(filled, question, sizes.questions) for _ in range(sizes.repeats)),
            aim=AIM_MS,
        )
        for question in many.QUESTIONS
    ]


def children_ms(place: Place, children: int) -> tuple[float, float]:
    """To create them in one call, durable; and to list them all, recursively, once the views have them."""
    with place.experiment().start_logging() as parent:
        parent.create_children(1)
        began = time.perf_counter()
        parent.create_children(children)
        created = time.perf_counter() - began
        if sum(parent.child_counts().direct.values()) != children + 1:
            raise RuntimeError("not all children are there")
        began = time.perf_counter()
        listed = sum(1 for _ in parent.get_children(recursive=True))
        took = time.perf_counter() - began
        if listed != children + 1:
            raise RuntimeError(f"{listed} children are listed")
    return created * 1_000, took * 1_000


def children_rows(places: list[tuple[str, Place]], sizes: Sizes) -> list[Measured]:
    """Two rows a place."""
    rows: list[Measured] = []
    for name, place in places:
        found: list[tuple[float, float]] = []
        for _ in range(sizes.repeats):
            found += together(children_ms, [(place, sizes.many_children)])
            time.sleep(sizes.children_settle_s)
        for what, aim, values in (
            ("created", CREATE_AIM_MS, [created for created, _ in found]),
            ("listed recursively", LIST_AIM_MS, [listed for _, listed in found]),
        ):
            rows.append(Measured(name=f"{what}, {name}", unit="ms", values=tuple(values), aim=aim))
    return rows


def groups(
    sizes: Sizes, curves: list[Measured], lists: list[Measured], children: list[Measured]
) -> list[Group]:
    """The tables of the report."""
    return [
        Group(
            title=f"A curve of {sizes.curve_points:,} points",
            about="Asked of the views and encoded as JSON; p50 of some questions.",
            rows=tuple(curves),
        ),
        Group(
            title=f"Lists: 50 of {sizes.many_runs:,} runs with {many.METRICS} metrics, {many.PARAMS} params and "
            f"{many.TAGS} tags each",
            about="Asked of the views with everything, and encoded as JSON; p50 of some questions.",
            rows=tuple(lists),
        ),
        Group(
            title=f"{sizes.many_children:,} children",
            about="SDK calls: create_children, and get_children(recursive=True) to its end.",
            rows=tuple(children),
        ),
    ]
