"""Runs as a DataFrame: one row a run, one column for whatever any of them has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from runfold._frames import frame_of

if TYPE_CHECKING:
    from runfold_projections.model import RunView

_PLAIN: Final = ("run_id", "experiment", "number")
_NAMES: Final = ("name", "display_name", "run_type", "parent_run_id", "created_by")
_TIMES: Final = ("created_at", "started_at", "ended_at")


def runs_frame(views: Iterable[RunView], engine: str) -> Any:
    """Ids, status, names and times; then ``params.*``, ``metrics.*`` (the last value) and ``tags.*``, by name.

    Views are taken one by one, and only what becomes a cell is kept of them.
    """
    fixed: dict[str, list[Any]] = {name: [] for name in (*_PLAIN, "status", *_NAMES, *_TIMES, "duration_s")}
    groups: dict[str, dict[str, list[Any]]] = {"params": {}, "metrics": {}, "tags": {}}
    count = 0
    for view in views:
        for name in (*_PLAIN, *_NAMES, *_TIMES):
            fixed[name].append(getattr(view, name))
        fixed["status"].append(view.status.value)
        ended, started = view.ended_at, view.started_at
        fixed["duration_s"].append((ended - started).total_seconds() if ended and started else None)
        latest = {name: summary.latest for name, summary in view.metrics.items()}
        of_run: tuple[Mapping[str, Any], ...] = (view.params, latest, view.tags)
        for columns, cells in zip(groups.values(), of_run, strict=True):
            for key, value in cells.items():
                column = columns.get(key)
                if column is None:
                    column = columns[key] = []
                column.extend([None] * (count - len(column)))
                column.append(value)
        count += 1
    table: dict[str, Any] = dict(fixed)
    for group, columns in groups.items():
        for key in sorted(columns):
            table[f"{group}.{key}"] = columns[key] + [None] * (count - len(columns[key]))
    return frame_of(table, engine)
