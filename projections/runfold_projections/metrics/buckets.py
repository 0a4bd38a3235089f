"""What many points of a curve come to: buckets, each with its least, greatest, mean, first and last value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from runfold_projections.metrics.curve_points import Points
from runfold_projections.model import CurveBuckets

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Summary(Struct, frozen=True):
    """Some points of a curve. What is no number, or has none, is NaN."""

    x_first: int
    x_last: int
    count: int  # NaN included
    nan_count: int
    least: float
    greatest: float
    mean: float
    first: float
    last: float


def summary_of(points: Points) -> Summary:
    """Of at least one point, sorted."""
    found = _Columns.of_points(points, 1)
    return Summary(
        int(found.x_first[0]),
        int(found.x_last[0]),
        int(found.count[0]),
        int(found.nan_count[0]),
        *(float(column[0]) for column in (found.least, found.greatest, found.mean, found.first, found.last)),
    )


def buckets_of_points(points: Points, buckets: int) -> CurveBuckets:
    """So many buckets of as equal numbers of points as can be, out of more points, sorted by x."""
    return _Columns.of_points(points, buckets).packed()


def buckets_of_summaries(summaries: Sequence[Summary], buckets_max: int) -> CurveBuckets:
    """At most so many buckets, each of neighbours: as equal in number as can be."""
    ordered = sorted(summaries, key=lambda one: (one.x_first, one.x_last))
    return _Columns.of_summaries(ordered, min(buckets_max, len(ordered))).packed()


class _Columns(Struct, frozen=True):
    x_first: NDArray[np.int64]
    x_last: NDArray[np.int64]
    count: NDArray[np.int64]
    nan_count: NDArray[np.int64]
    least: NDArray[np.float64]
    greatest: NDArray[np.float64]
    mean: NDArray[np.float64]
    first: NDArray[np.float64]
    last: NDArray[np.float64]

    @classmethod
    def of_points(cls, points: Points, buckets: int) -> _Columns:
        import numpy as np

        starts, ends = _cut(len(points), buckets)
        values = points.values.astype(np.float64, copy=False)
        is_nan = np.isnan(values)
        nan_count = np.add.reduceat(is_nan, starts, dtype=np.int64)
        count = ends - starts
        return cls(
            points.x[starts],
            points.x[ends - 1],
            count,
            nan_count,
            np.fmin.reduceat(values, starts),
            np.fmax.reduceat(values, starts),
            _means(values, (~is_nan).astype(np.int64), starts),
            values[starts],
            values[ends - 1],
        )

    @classmethod
    def of_summaries(cls, ordered: Sequence[Summary], buckets: int) -> _Columns:
        import numpy as np

        def integers(name: str) -> NDArray[np.int64]:
            return np.array([getattr(one, name) for one in ordered], dtype=np.int64)

        def floats(name: str) -> NDArray[np.float64]:
            return np.array([getattr(one, name) for one in ordered], dtype=np.float64)

        starts, ends = _cut(len(ordered), buckets)
        count, nan_count = integers("count"), integers("nan_count")
        return cls(
            np.minimum.reduceat(integers("x_first"), starts),
            np.maximum.reduceat(integers("x_last"), starts),
            np.add.reduceat(count, starts),
            np.add.reduceat(nan_count, starts),
            np.fmin.reduceat(floats("least"), starts),
            np.fmax.reduceat(floats("greatest"), starts),
            _means(floats("mean"), count - nan_count, starts),
            floats("first")[starts],
            floats("last")[ends - 1],
        )

    def packed(self) -> CurveBuckets:
        return CurveBuckets(
            x_first=packed(self.x_first, "<i8"),
            x_last=packed(self.x_last, "<i8"),
            count=packed(self.count, "<i8"),
            nan_count=packed(self.nan_count, "<i8"),
            min=packed(self.least, "<f8"),
            max=packed(self.greatest, "<f8"),
            mean=packed(self.mean, "<f8"),
            first=packed(self.first, "<f8"),
            last=packed(self.last, "<f8"),
        )


def _means(
    values: NDArray[np.float64], weights: NDArray[np.int64], starts: NDArray[np.int64]
) -> NDArray[np.float64]:
    """The mean of each bucket; what has no weight does not count. NaN where there is nothing, or no mean."""
    import numpy as np

    total = np.add.reduceat(weights, starts)
    counts = np.where(weights == 0, 0.0, values)
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        means = np.add.reduceat(counts * weights, starts) / total
        if not np.isfinite(means).all():  # of sums that are too large, the means may not be
            sizes = np.diff(np.append(starts, len(values)))
            scaled = np.add.reduceat(counts * (weights / np.repeat(total, sizes)), starts)
            means = np.where(np.isfinite(means), means, scaled)
    return means


def _cut(size: int, buckets: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where buckets start and end that share ``size`` things as equally as can be; each gets one or more."""
    import numpy as np

    edges = np.arange(buckets + 1, dtype=np.int64) * size // buckets
    return edges[:-1], edges[1:]


def packed(array: NDArray[Any], dtype: str) -> bytes:
    """The bytes of an array, little-endian."""
    return array.astype(dtype, copy=False).tobytes()
