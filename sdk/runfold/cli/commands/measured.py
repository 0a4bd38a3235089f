"""Answers about a run's metrics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.text import Text

from runfold.cli.answer import Answer
from runfold.cli.render import metrics as shown
from runfold.cli.render.data import metric_data, series_data
from runfold.cli.render.text import styled
from runfold.cli.session import Session
from runfold_events.contract.errors import NotFound
from runfold_projections.model import MetricSummary, RunQuery, RunView, SeriesData


def summary_answer(session: Session, run: RunView, names: tuple[str, ...], *, recursive: bool) -> Answer:
    """Latest, least and greatest value of each metric, of the run or of its whole tree."""
    runs = [run, *(_descendants(session, run) if recursive else [])]
    chosen = {one.run_id: _named(one.metrics, names) for one in runs}
    chosen = {run_id: metrics for run_id, metrics in chosen.items() if metrics or not recursive}
    if names and not any(chosen.values()):
        raise no_such_metric(run, names)
    data = [
        {"run_id": run_id, "name": name, **metric_data(summary)}
        for run_id, metrics in chosen.items()
        for name, summary in metrics.items()
    ]

    def draw(console: Console) -> RenderableType:
        if not recursive:
            return shown.summary_table(console, chosen[run.run_id])
        parts: list[RenderableType] = []
        for run_id, metrics in chosen.items():
            parts += [styled(run_id, "bold"), shown.summary_table(console, metrics), ""]
        return Group(*parts[:-1]) if parts else Text("no metrics", style="dim")

    return Answer(data, draw, shown.TSV_COLUMNS)


def _descendants(session: Session, run: RunView) -> list[RunView]:
    query = RunQuery(
        ancestor_run_id=run.run_id,
        include_children=True,
        include_archived=True,
        order_by="created_at",
        fields=("run_id", "metrics"),
    )
    return session.runs(query, None)


def _named(metrics: dict[str, MetricSummary], names: tuple[str, ...]) -> dict[str, MetricSummary]:
    """The named metrics; the columns of a row or table are summarised as ``name.column``."""
    if not names:
        return metrics
    return {
        key: entry
        for key, entry in metrics.items()
        if any(key == n or key.startswith(f"{n}.") for n in names)
    }


def points_answer(
    session: Session, run: RunView, series: Sequence[SeriesData], names: tuple[str, ...], *, as_curve: bool
) -> Answer:
    """Every point, as a table or as curves."""
    if names and not series:
        raise no_such_metric(run, names)

    def draw(console: Console) -> RenderableType:
        if not as_curve:
            return shown.points_tables(console, series)
        curves = shown.curves_of(series)
        return shown.curve(console, curves) if curves else Text("nothing to draw: no numbers", style="dim")

    data: list[dict[str, Any]] = [series_data(one) for one in series]
    return Answer(data, draw, ("run_id", "name", "kind", "count", "steps", "times_ms", "columns"))


def no_such_metric(run: RunView, names: tuple[str, ...]) -> NotFound:
    """An error that says which metrics there are."""
    there = ", ".join(list(run.metrics)[:10]) or "none"
    return NotFound(
        f"run {run.run_id!r} has no metric {', '.join(map(repr, names))}; it has: {there}",
        facts={"field": "--name", "size": list(names)},
    )
