"""Curves in the formats of answers: lists in JSON, columns of bytes in msgpack, one table in Arrow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from runfold_events.contract.envelope import JSON, MSGPACK
from runfold_events.contract.errors import RunfoldError
from runfold_events.contract.metrics import NO_STEP
from runfold_projections.arrow import ARROW_STREAM, arrow_stream_of
from runfold_projections.metrics.curve_table import floats, integers, table_of
from runfold_projections.model import Curve, CurveBuckets, CurvePoints
from runfold_services.api.bodies import (
    CurveAnswer,
    CurveBucketsAnswer,
    CurvePointsAnswer,
    CurvesAnswer,
    PackedCurvesAnswer,
)
from runfold_services.api.negotiation import finite_or_text

if TYPE_CHECKING:
    from numpy.typing import NDArray

_INTEGERS: Final = ("x_first", "x_last", "count", "nan_count")
_FLOATS: Final = ("min", "max", "mean", "first", "last")

_json = msgspec.json.Encoder()
_msgpack = msgspec.msgpack.Encoder()


def check_curve_format(media: str) -> None:
    """Raise ``unsupported_media_type`` where this server cannot answer in ``media``."""
    if media == ARROW_STREAM and find_spec("nanoarrow") is None:
        raise RunfoldError(
            f"this server cannot answer in {ARROW_STREAM}: its extra runfold[arrow] is not installed",
            code="unsupported_media_type",
            facts={"field": "Accept", "limit": [JSON, MSGPACK], "size": media},
        )


def encode_curves(curves: Sequence[Curve], media: str) -> bytes:
    """The answer to a query for curves."""
    if media == MSGPACK:
        return _msgpack.encode(PackedCurvesAnswer(curves=list(curves)))
    if media == ARROW_STREAM:
        return arrow_stream_of(table_of(curves))
    return _json.encode(CurvesAnswer(curves=[_in_lists(curve) for curve in curves]))


def _in_lists(curve: Curve) -> CurveAnswer:
    return CurveAnswer(
        run_id=curve.run_id,
        name=curve.name,
        column=curve.column,
        kind=curve.kind,
        x=curve.x,
        dtype=curve.dtype,
        total=curve.total,
        count=curve.count,
        nan_count=curve.nan_count,
        exact=curve.exact,
        points=None if curve.points is None else _points(curve.points, curve.dtype),
        buckets=None if curve.buckets is None else _buckets(curve.buckets),
    )


def _points(points: CurvePoints, dtype: Literal["f64", "i64"]) -> CurvePointsAnswer:
    return CurvePointsAnswer(
        x=integers(points.x).tolist(),
        values=_integers_or_floats(points.values, dtype),
        steps=None if points.steps is None else _steps(points.steps),
        times_ms=integers(points.times_ms).tolist(),
    )


def _buckets(buckets: CurveBuckets) -> CurveBucketsAnswer:
    columns: dict[str, list[Any]] = {name: integers(getattr(buckets, name)).tolist() for name in _INTEGERS}
    for name in _FLOATS:
        columns[name] = _null_for_nan(floats(getattr(buckets, name)))
    return CurveBucketsAnswer(**columns)


def _integers_or_floats(data: bytes, dtype: Literal["f64", "i64"]) -> list[Any]:
    if dtype == "i64":
        return integers(data).tolist()  # type: ignore[no-any-return]  # NumPy's type does not say what it lists
    values = floats(data)
    return values.tolist() if _all_finite(values) else [finite_or_text(value) for value in values.tolist()]


def _steps(data: bytes) -> list[int | None]:
    steps: list[int] = integers(data).tolist()
    return [None if step == NO_STEP else step for step in steps]


def _null_for_nan(values: NDArray[Any]) -> list[Any]:
    found: list[float] = values.tolist()
    if _all_finite(values):
        return found
    return [None if math.isnan(value) else finite_or_text(value) for value in found]


def _all_finite(values: NDArray[Any]) -> bool:
    import numpy as np

    return bool(np.isfinite(values).all())
