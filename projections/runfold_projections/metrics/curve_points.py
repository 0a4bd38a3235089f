"""Points of one column as arrays: out of chunks, out of the parts behind them, cut to a range, sorted along an axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from runfold_events.contract.metrics import NO_STEP
from runfold_projections.metrics import codec
from runfold_projections.metrics.chunks import CHUNK_POINTS, numbers_of, unpack_column
from runfold_projections.metrics.points import Part
from runfold_projections.model import Axis

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Integers = NDArray[np.int64]


class Points(Struct, frozen=True):
    """Arrays of equal length, one entry for each point that has a number. ``steps`` and ``times`` only where wanted."""

    x: Integers
    values: NDArray[Any]  # float64, or int64 where all are integers
    steps: Integers | None = None  # NO_STEP where a point has none
    times: Integers | None = None

    def __len__(self) -> int:
        return len(self.x)

    @property
    def nan_count(self) -> int:
        """How many values are NaN."""
        return int((self.values != self.values).sum())  # NaN is not itself

    def picked(self, which: Any) -> Points:
        """Those that an index, a mask or a slice picks."""
        return Points(
            self.x[which],
            self.values[which],
            None if self.steps is None else self.steps[which],
            None if self.times is None else self.times[which],
        )

    def between(self, start: int | None, stop: int | None) -> Points:
        """Those with ``start <= x < stop``."""
        import numpy as np

        inside = np.ones(len(self.x), dtype=bool)
        if start is not None:
            inside &= self.x >= start
        if stop is not None:
            inside &= self.x < stop
        return self if inside.all() else self.picked(inside)

    def sorted(self) -> Points:
        """By x; those of one x as they stood."""
        import numpy as np

        if (self.x[1:] >= self.x[:-1]).all():
            return self
        return self.picked(np.argsort(self.x, kind="stable"))


def joined(pieces: Sequence[Points]) -> Points:
    """Points one after the other, all with the same arrays."""
    import numpy as np

    if len(pieces) == 1:
        return pieces[0]
    if not pieces:
        none = np.empty(0, dtype=np.int64)
        return Points(none, np.empty(0), none, none)
    return Points(
        np.concatenate([piece.x for piece in pieces]),
        np.concatenate([piece.values for piece in pieces]),
        _joined_axis([piece.steps for piece in pieces]),
        _joined_axis([piece.times for piece in pieces]),
    )


def _joined_axis(axes: Sequence[Integers | None]) -> Integers | None:
    import numpy as np

    given = [axis for axis in axes if axis is not None]
    return np.concatenate(given) if len(given) == len(axes) else None


def points_of_chunk(
    axis: Axis, first: int, packed: tuple[bytes, bytes | None], column: Sequence[bytes], *, with_axes: bool
) -> Points:
    """The points of one sealed column, out of its body and rest.

    ``first``: its place in the series; ``packed``: its times and steps.
    """
    times_packed, steps_packed = packed
    needs_times, needs_steps = with_axes or axis == "time", with_axes or axis == "step"
    times = _unpacked(times_packed) if needs_times else None
    steps = _unpacked(steps_packed) if needs_steps and steps_packed is not None else None
    cells: list[tuple[int, str, Any]] = []
    place = 0
    for dtype, count, data in unpack_column(column):
        if dtype is not None:
            cells.append((place, dtype, data))
        place += count
    return _points(axis, (first, CHUNK_POINTS), (times, steps), cells, with_axes=with_axes)


def points_of_parts(axis: Axis, first: int, parts: Sequence[Part], column: str) -> Points:
    """The points behind the last chunk, with their axes. ``first``: their place in the series."""
    import numpy as np

    cells: list[tuple[int, str, Any]] = []
    count = 0
    for part in parts:
        if column in part.columns:
            cells.append((count, *part.columns[column]))
        count += part.count
    times = np.frombuffer(b"".join(part.times for part in parts), dtype="<i8")
    none = np.int64(NO_STEP).tobytes()
    steps = None
    if any(part.steps is not None for part in parts):
        raw = b"".join(none * part.count if part.steps is None else part.steps for part in parts)
        steps = np.frombuffer(raw, dtype="<i8")
    return _points(axis, (first, count), (times, steps), cells, with_axes=True)


def _unpacked(packed: bytes) -> Integers:
    import numpy as np

    return np.frombuffer(codec.unpack_integers(packed, CHUNK_POINTS), dtype="<i8")


def _points(
    axis: Axis,
    span: tuple[int, int],
    axes: tuple[Integers | None, Integers | None],
    cells: Sequence[tuple[int, str, Any]],
    *,
    with_axes: bool,
) -> Points:
    """What of ``cells`` (place, type, values) are numbers and have a place on the axis."""
    import numpy as np

    first, count = span
    times, steps = axes
    places, values = _numbers(count, cells)
    if with_axes and steps is None:
        steps = np.full(count, NO_STEP, dtype=np.int64)
    if axis == "index":
        x = np.arange(first, first + count, dtype=np.int64)
    else:
        found = times if axis == "time" else steps
        x = np.full(count, NO_STEP, dtype=np.int64) if found is None else found
    points = Points(x, values, steps if with_axes else None, times if with_axes else None)
    if places is not None:
        points = Points(
            x[places],
            values,
            None if points.steps is None else points.steps[places],
            None if points.times is None else points.times[places],
        )
    if axis == "step" and (absent := points.x == NO_STEP).any():
        points = points.picked(~absent)
    return points


def _numbers(
    count: int, cells: Sequence[tuple[int, str, Any]]
) -> tuple[NDArray[np.intp] | None, NDArray[Any]]:
    """Places and values of all numbers; None in place of all ``count`` places."""
    import numpy as np

    places: list[NDArray[np.intp]] = []
    values: list[NDArray[Any]] = []
    for start, dtype, data in cells:
        found, within = numbers_of(dtype, data)
        values.append(found)
        places.append((np.arange(len(found)) if within is None else within) + start)
    if len(values) == 1 and len(values[0]) == count:
        return None, values[0]
    if not values:
        return np.empty(0, dtype=np.intp), np.empty(0)
    together = np.concatenate(places)
    return (None if len(together) == count else together), np.concatenate(values)
