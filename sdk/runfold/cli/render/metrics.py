"""Metrics for people: the summary table, and curves drawn with plotext."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from rich.console import Console, Group, RenderableType
from rich.text import Text

from runfold.cli.render.columns import Column, table
from runfold.cli.render.text import ABSENT, local_time, number, safe, styled, value
from runfold_projections.model import MetricSummary, SeriesData

_SUMMARY: Final = (
    Column("METRIC", cells_min=12),
    Column("LATEST", right=True, cells_min=8),
    Column("MIN", drop=2, right=True),
    Column("MAX", drop=2, right=True),
    Column("STEP", drop=3, right=True),
    Column("POINTS", drop=1, right=True),
    Column("KIND", drop=4),
)
TSV_COLUMNS: Final = ("run_id", "name", "kind", "count", "latest", "step", "min", "max", "time")

CURVE_ROWS: Final = 16
CURVE_COLUMNS_MIN: Final = 40
CURVE_COLUMNS_MAX: Final = 120
# The colours of plotext's theme "simple", in its order.
_COLOURS: Final = (
    "bright_blue",
    "bright_green",
    "bright_red",
    "bright_cyan",
    "bright_magenta",
    "bright_yellow",
)


def summary_table(
    console: Console, metrics: Mapping[str, MetricSummary], whose: str | None = None
) -> RenderableType:
    """Latest, least and greatest value of each metric."""
    if not metrics:
        return Text("no metrics", style="dim")
    return table(console, _SUMMARY, [_summary_row(name, summary) for name, summary in metrics.items()])


def _summary_row(name: str, summary: MetricSummary) -> list[Text]:
    points = f"{summary.count:,}" + (f" ({summary.nan_count:,} NaN)" if summary.nan_count else "")
    return [
        styled(name),
        styled(value(summary.latest)),
        _bound(summary.min, summary.latest),
        _bound(summary.max, summary.latest),
        Text(ABSENT if summary.step is None else str(summary.step)),
        Text(points),
        styled(summary.kind, "dim"),
    ]


def _bound(bound: float | None, latest: Any) -> Text:
    """The least or greatest value; of whole numbers without a fraction, as the latest is shown."""
    if bound is None:
        return Text(ABSENT)
    is_whole = isinstance(latest, int) and not isinstance(latest, bool) and bound.is_integer()
    return Text(number(int(bound) if is_whole else bound))


Point = tuple[float, float]


def curves_of(series: Sequence[SeriesData]) -> dict[str, list[Point]]:
    """What can be drawn: each numeric column as (step, value), steps counted where a point has none."""
    curves: dict[str, list[Point]] = {}
    several_runs = len({one.run_id for one in series}) > 1
    for one in series:
        for name, column in one.columns.items():
            points = [
                (float(count if step is None else step), float(given))
                for count, (step, given) in enumerate(zip(one.steps, column, strict=True))
                if _is_finite_number(given)
            ]
            label = one.name if name == one.name else f"{one.name}.{name}"
            if points:
                curves[f"{label} {one.run_id}" if several_runs else label] = sorted(points)
    return curves


def _is_finite_number(given: Any) -> bool:
    return isinstance(given, int | float) and not isinstance(given, bool) and math.isfinite(given)


def curve(console: Console, curves: Mapping[str, Sequence[Point]], *, rows: int = CURVE_ROWS) -> Group:
    """The curves in one frame with a legend; without colours a frame each, since they could not be told apart."""
    width = max(CURVE_COLUMNS_MIN, min(console.width, CURVE_COLUMNS_MAX))
    if console.color_system is None or len(curves) == 1:
        parts: list[RenderableType] = []
        for label, points in curves.items():
            parts += [Text(safe(label), style="bold"), _frame([points], width, rows)]
        return Group(*parts)
    colours = [_COLOURS[index % len(_COLOURS)] for index in range(len(curves))]
    legend = [
        Text.assemble(("── ", colour), safe(label)) for label, colour in zip(curves, colours, strict=True)
    ]
    return Group(_frame(list(curves.values()), width, rows), Text("   ").join(legend))


def _frame(curves: Sequence[Sequence[Point]], width: int, rows: int) -> Text:
    """One frame; imported here because plotext takes a quarter of a second to load."""
    import plotext

    figure: Any = plotext.figure
    figure.clear()
    figure.theme("simple")
    figure.plot_size(width, rows)
    for points in curves:
        signal = figure.signal([x for x, _ in points], [y for _, y in points], marker="braille")
        signal.lines(True)
        figure.draw(signal)
    figure.ruler("x").ticks(_step_ticks([x for points in curves for x, _ in points], width))
    return Text.from_ansi(str(figure.build()))


def _step_ticks(steps: Sequence[float], width: int) -> list[int]:
    """Whole numbers for the axis of steps: at most one per dozen columns, evenly spread."""
    first, last = round(min(steps)), round(max(steps))
    count = max(1, min(last - first, width // 12))
    return sorted({round(first + (last - first) * tick / count) for tick in range(count + 1)})


def points_tables(console: Console, series: Sequence[SeriesData]) -> RenderableType:
    """All points of each series, a table each."""
    if not series:
        return Text("no metrics", style="dim")
    parts: list[RenderableType] = []
    for one in series:
        parts += [
            Text.assemble((safe(one.name), "bold"), "  ", (safe(one.run_id), "dim")),
            _points(console, one),
            "",
        ]
    return Group(*parts[:-1])


def _points(console: Console, series: SeriesData) -> RenderableType:
    columns = [Column("STEP", right=True), Column("TIME", drop=9)]
    columns += [Column(safe(name), right=True, cells_min=6) for name in series.columns]
    rows = [
        [
            Text(ABSENT if step is None else str(step)),
            Text(local_time(datetime.fromtimestamp(time_ms / 1_000, UTC)), style="dim"),
            *(styled(value(column[index])) for column in series.columns.values()),
        ]
        for index, (step, time_ms) in enumerate(zip(series.steps, series.times_ms, strict=True))
    ]
    return table(console, columns, rows)
