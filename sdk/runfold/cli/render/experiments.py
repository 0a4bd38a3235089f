"""Experiments for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.console import Console, RenderableType
from rich.text import Text

from runfold.cli.render.columns import Column, table
from runfold.cli.render.statuses import is_plain, roll_up
from runfold.cli.render.text import local_time, styled
from runfold_projections.model import ExperimentView

TSV_COLUMNS: Final = (
    "experiment",
    "experiment_id",
    "archived",
    "created_at",
    "created_by",
    "last_activity_at",
    "runs",
)
_COLUMNS: Final = (
    Column("EXPERIMENT", cells_min=12),
    Column("RUNS", right=True),
    Column("BY STATUS", drop=1, wrap=True, cells_min=24),
    Column("LAST ACTIVITY", drop=2),
    Column("CREATED", drop=4),
    Column("BY", drop=3),
)


def experiments_table(console: Console, experiments: Sequence[ExperimentView]) -> RenderableType:
    """One line per experiment; runs are counted with their children."""
    if not experiments:
        return Text("no experiments", style="dim")
    plain = is_plain(console)
    return table(console, _COLUMNS, [_row(experiment, plain=plain) for experiment in experiments])


def _row(experiment: ExperimentView, *, plain: bool) -> list[Text]:
    name = styled(experiment.experiment)
    if experiment.archived:
        name.append("  archived", style="yellow")
    return [
        name,
        Text(f"{sum(experiment.runs.values()):,}"),
        roll_up(experiment.runs, plain=plain),
        Text(local_time(experiment.last_activity_at)),
        Text(local_time(experiment.created_at)),
        styled(experiment.created_by),
    ]
