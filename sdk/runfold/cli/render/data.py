"""What ``-o json`` shows and ``--query`` searches: plain dicts, lists and scalars.

Names are snake_case, times ISO 8601 in UTC, absent values ``null``, dicts such as ``tags`` never null, and numbers that
JSON cannot carry are the strings ``"NaN"``, ``"Infinity"`` and ``"-Infinity"``.
"""

from __future__ import annotations

import math
from typing import Any, Final, TypeGuard

import msgspec

from runfold_projections.model import (
    ChildCounts,
    ExperimentView,
    HistoryEntry,
    MetricSummary,
    RunView,
    SeriesData,
)

_METRIC_FIELDS: Final = MetricSummary.__struct_fields__
# What names a run, and so is there whatever fields were asked for.
_RUN_ALWAYS: Final = ("run_id",)


def plain(given: Any) -> Any:
    """Builtins for a Struct, container or scalar, with non-finite numbers as strings."""
    return _finite(msgspec.to_builtins(given))


def as_dict(given: Any) -> dict[str, Any] | None:
    """``given`` if it is a dict."""
    return given if _is_dict(given) else None


def as_list(given: Any) -> list[Any] | None:
    """``given`` if it is a list."""
    return given if _is_list(given) else None


def _is_dict(given: Any) -> TypeGuard[dict[str, Any]]:
    return isinstance(given, dict)


def _is_list(given: Any) -> TypeGuard[list[Any]]:
    return isinstance(given, list)


def _finite(given: Any) -> Any:
    if isinstance(given, float) and not math.isfinite(given):
        return "NaN" if math.isnan(given) else ("Infinity" if given > 0 else "-Infinity")
    entries, items = as_dict(given), as_list(given)
    if entries is not None:
        return {key: _finite(item) for key, item in entries.items()}
    return given if items is None else [_finite(item) for item in items]


def run_data(run: RunView, fields: tuple[str, ...] = ()) -> dict[str, Any]:
    """One run; with ``fields`` (dotted paths) only those and its id."""
    data: dict[str, Any] = plain(run)
    data["metrics"] = {name: metric_data(summary) for name, summary in run.metrics.items()}
    return narrowed(data, fields) if fields else data


def metric_data(summary: MetricSummary) -> dict[str, Any]:
    """One metric's summary, every field present."""
    return {name: plain(getattr(summary, name)) for name in _METRIC_FIELDS}


def counts_data(counts: ChildCounts) -> dict[str, Any]:
    """Children by status name."""
    return {
        "direct": {str(status): count for status, count in counts.direct.items()},
        "descendants": {str(status): count for status, count in counts.descendants.items()},
    }


def experiment_data(experiment: ExperimentView) -> dict[str, Any]:
    """One experiment with its runs by status name."""
    data: dict[str, Any] = plain(experiment)
    return data


def series_data(series: SeriesData) -> dict[str, Any]:
    """All points of one metric, columnar."""
    return {
        "run_id": series.run_id,
        "name": series.name,
        "kind": series.kind,
        "count": series.count,
        "steps": list(series.steps),
        "times_ms": list(series.times_ms),
        "columns": {name: _finite(list(column)) for name, column in series.columns.items()},
    }


def history_data(entry: HistoryEntry) -> dict[str, Any]:
    """One line of the audit trail, every field present."""
    return {name: plain(getattr(entry, name)) for name in HistoryEntry.__struct_fields__}


def narrowed(data: dict[str, Any], fields: tuple[str, ...]) -> dict[str, Any]:
    """The part of ``data`` that ``fields`` name; a dotted field names an entry of a dict, dots in keys included."""
    kept: dict[str, Any] = {name: data[name] for name in _RUN_ALWAYS}
    for field in fields:
        name, _, key = field.partition(".")
        whole = as_dict(data.get(name))
        if not key:
            kept[name] = data.get(name)
        elif whole is not None:
            found, entry = _entry(whole, key)
            kept.setdefault(name, {}).update({found: entry} if found else {})
    return kept


def _entry(whole: dict[str, Any], key: str) -> tuple[str, Any]:
    """The entry that ``key`` names, also when it goes on into the entry (``metrics.loss.max``)."""
    while key and key not in whole:
        key = key.rpartition(".")[0]
    return key, whole.get(key)


def at(data: Any, path: str) -> Any:
    """The value at a dotted path, or None."""
    if not path or data is None:
        return data
    entries = as_dict(data)
    if entries is None:
        return None
    key, entry = _entry(entries, path)
    return at(entry, path[len(key) + 1 :]) if key else None
