"""The shapes in which Azure ML's calls answer."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runfold_projections.model import RunView, SeriesData


def details(view: RunView) -> dict[str, Any]:
    """``get_details()``: what is absent is left out."""
    shown: dict[str, Any] = {
        "runId": view.run_id,
        "target": view.target,
        "status": view.status.value,
    }
    if view.started_at is not None:
        shown["startTimeUtc"] = utc(view.started_at)
    if view.ended_at is not None:
        shown["endTimeUtc"] = utc(view.ended_at)
    shown["properties"] = dict(view.properties)
    if view.error is not None:
        shown["error"] = {"error": error(view)}
    if view.lost_values or view.lost_commands:
        message = f"{view.lost_values} logged values and {view.lost_commands} commands were declared lost"
        shown["warnings"] = [{"source": "runfold", "message": message}]
    shown["inputDatasets"] = []
    shown["outputDatasets"] = []
    shown["logFiles"] = {}
    shown["submittedBy"] = view.created_by
    return shown


def error(view: RunView) -> dict[str, Any]:
    """A run's error as Azure ML writes it; ``debugInfo`` only where there is a traceback."""
    info = view.error
    if info is None:
        return {}
    shown: dict[str, Any] = {"code": info.code}
    if info.message is not None:
        shown["message"] = info.message
    if info.details_uri is not None:
        shown["detailsUri"] = info.details_uri
    if info.traceback is not None:
        shown["debugInfo"] = {
            "type": info.error_type,
            "message": info.message,
            "stackTrace": info.traceback,
        }
    return shown


def utc(time: datetime) -> str:
    """``2026-11-24T10:00:00.123456Z``."""
    return time.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def compatible_metrics(series: Iterable[SeriesData]) -> dict[str, Any]:
    """``get_metrics()``: ``{name: value}``.

    One value is itself, several are a list; rows and tables are ``{column: …}`` by the same rule. A metric without
    any value is left out. Where a name has points of several kinds, or points lack a column, the gaps are None.
    """
    shown: dict[str, Any] = {}
    for one in series:
        values = _values(one)
        if values is not None:
            shown[one.name] = values
    return shown


def _values(series: SeriesData) -> Any:
    columns = series.columns
    if set(columns) == {series.name} and series.kind not in {"row", "table"}:
        present = [value for value in columns[series.name] if value is not None]
        if not present:
            return None
        return present[0] if len(present) == 1 else present
    if series.count == 1:
        return {name: values[0] for name, values in columns.items()}
    return {name: list(values) for name, values in columns.items()}
