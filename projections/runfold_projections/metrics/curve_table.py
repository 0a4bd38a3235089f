"""Curves as one table: a row for each point where all curves are exact, else a row for each bucket.

A point among buckets is a bucket of one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from runfold_events.contract.metrics import NO_STEP
from runfold_projections.model import Curve, CurveBuckets, CurvePoints

if TYPE_CHECKING:
    from numpy.typing import NDArray

Table = dict[str, "NDArray[Any]"]

_OF_BUCKETS: Final = ("x_first", "x_last", "count", "nan_count", "min", "max", "mean", "first", "last")
_INTEGERS: Final = frozenset({"x_first", "x_last", "count", "nan_count"})


def table_of(curves: Sequence[Curve]) -> Table:
    """Columns of equal length: ``run_id``, ``metric``, ``column``, then

    of points ``x``, ``step`` (float64 with NaN where a point has none, else int64), ``time`` (``datetime64[ms]``, UTC)
    and ``value``; of buckets what :class:`~runfold_projections.model.CurveBuckets` holds.
    """
    import numpy as np

    is_exact = all(curve.exact for curve in curves)
    pieces = [_points(curve) if is_exact else _buckets(curve) for curve in curves]
    sizes = [len(next(iter(piece.values()))) for piece in pieces]
    texts: Table = {
        name: np.repeat(np.array([_text(curve, name) for curve in curves], dtype=object), sizes)
        for name in ("run_id", "metric", "column")
    }
    names = pieces[0] if pieces else ("x", "step", "time", "value") if is_exact else _OF_BUCKETS
    return texts | {
        name: np.concatenate([piece[name] for piece in pieces]) if pieces else np.empty(0) for name in names
    }


def _text(curve: Curve, name: str) -> str:
    return curve.run_id if name == "run_id" else curve.name if name == "metric" else curve.column


def integers(data: bytes) -> NDArray[Any]:
    """A packed column of i64."""
    import numpy as np

    return np.frombuffer(data, dtype="<i8")


def floats(data: bytes) -> NDArray[Any]:
    """A packed column of f64."""
    import numpy as np

    return np.frombuffer(data, dtype="<f8")


def values_of(curve: Curve, points: CurvePoints) -> NDArray[Any]:
    """The values of the points of a curve, of its type."""
    return integers(points.values) if curve.dtype == "i64" else floats(points.values)


def steps_of(points: CurvePoints) -> NDArray[Any]:
    """Steps as int64, or as float64 with NaN where some points have none."""
    import numpy as np

    if points.steps is None:
        return np.full(len(points.x) // 8, np.nan)
    steps = integers(points.steps)
    absent = steps == NO_STEP
    return np.where(absent, np.nan, steps) if absent.any() else steps


def times_of(points: CurvePoints) -> NDArray[Any]:
    """Times as ``datetime64[ms]``, UTC."""
    return integers(points.times_ms).view("datetime64[ms]")


def _points(curve: Curve) -> Table:
    points = curve.points
    if points is None:
        raise AssertionError("an exact curve without points")
    return {
        "x": integers(points.x),
        "step": steps_of(points),
        "time": times_of(points),
        "value": values_of(curve, points),
    }


def _buckets(curve: Curve) -> Table:
    if curve.points is not None:
        return _buckets_of_one(curve, curve.points)
    if curve.buckets is None:
        raise AssertionError("a curve with neither points nor buckets")
    return unpacked(curve.buckets)


def unpacked(buckets: CurveBuckets) -> Table:
    """The columns of buckets as arrays."""
    return {
        name: (integers if name in _INTEGERS else floats)(getattr(buckets, name)) for name in _OF_BUCKETS
    }


def _buckets_of_one(curve: Curve, points: CurvePoints) -> Table:
    import numpy as np

    x, values = integers(points.x), values_of(curve, points).astype("<f8")
    found: Table = {"x_first": x, "x_last": x, "count": np.ones_like(x)}
    found["nan_count"] = np.isnan(values).astype("<i8")
    return found | dict.fromkeys(("min", "max", "mean", "first", "last"), values)
