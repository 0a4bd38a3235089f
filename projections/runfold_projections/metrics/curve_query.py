"""What a query for curves may ask."""

from __future__ import annotations

from typing import Any

from runfold_events.contract import limits
from runfold_events.contract.errors import Invalid, LimitExceeded
from runfold_projections.model import CurveQuery


def check_curve_query(query: CurveQuery) -> None:
    """Raise unless the query is one.

    Raises:
        LimitExceeded: it names too many runs or metrics, or asks for too many points.
        Invalid: it contradicts itself.
    """
    if bool(query.runs) == (query.query is not None):
        raise Invalid(
            "name the runs by their ids in runs, or by a query: one of both",
            facts={"field": "runs", "limit": "runs or query"},
        )
    _at_most(len(query.runs), limits.CURVE_RUNS_MAX, "runs", "ids")
    _at_most(len(query.names), limits.CURVE_NAMES_MAX, "names", "names")
    _number(query.points_max, 1, limits.CURVE_POINTS_PER_ANSWER_MAX, "points_max")
    if query.last is not None:
        _number(query.last, 1, query.points_max, "last")
    for field, value in (("from", query.start), ("to", query.stop)):
        if value is not None:
            _number(value, limits.INT64_MIN, limits.INT64_MAX, field)


def _at_most(size: int, limit: int, field: str, unit: str) -> None:
    if size > limit:
        raise LimitExceeded(
            f"{field} may hold {limit} {unit}; there are {size}",
            facts={"field": field, "limit": limit, "size": size, "unit": unit},
        )


def _number(value: int, least: int, greatest: int, field: str) -> None:
    if not least <= value <= greatest:
        facts: dict[str, Any] = {"field": field, "limit": [least, greatest], "size": str(value)[:80]}
        raise Invalid(f"{field} must be from {least} to {greatest}; got {value}", facts=facts)
