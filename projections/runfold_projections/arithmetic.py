"""Packed columns undone by NumPy, many at a time.

NumPy takes a microsecond before it does anything: for a column of a hundred values that is most of its time. So the
columns of all batches of a fold that are of one kind and length are undone as the rows of one table.

It is used where the process has loaded it: a projector does when it starts, an embedded program as it likes, so that
the first fold of one that hardly needs NumPy does not wait for its import.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from runfold_events.contract.columns import (
    NUMBER_BYTES,
    Packed,
    Values,
    array_of,
    is_delta,
    is_shuffled,
    undone,
)
from runfold_projections.values import Number

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

LOADED_PAYS_FROM_VALUES: Final = 64
IMPORT_PAYS_FROM_VALUES: Final = 512
_SPLITS_MAX: Final = 4  # of a sum's numbers; so many take what is 2**150 times smaller than the greatest
_EXPONENT_MAX: Final = 1_023  # of a float


class Bounds(Struct, frozen=True, gc=False):
    """Least and greatest value of a column that has values and no NaN."""

    least: Number
    greatest: Number


class Undone(Struct, gc=False):
    """The values of a column, and their bounds where they came with them."""

    values: Values
    bounds: Bounds | None = None


def numpy_pays(count: int) -> bool:
    """True when looking at ``count`` values by NumPy is worth it, its import included where it is not loaded."""
    return count >= (LOADED_PAYS_FROM_VALUES if "numpy" in sys.modules else IMPORT_PAYS_FROM_VALUES)


def undo_together(stretches: Sequence[Sequence[Packed]]) -> list[Undone]:
    """The values of each stretch: of columns of one kind and length, one behind the other."""
    found: list[Undone | None] = [None] * len(stretches)
    groups: dict[tuple[str, str, int], list[int]] = {}
    for index, stretch in enumerate(stretches):
        first = stretch[0]
        groups.setdefault((first.dtype, first.codec, first.count), []).append(index)
    for (_, _, count), indexes in groups.items():
        group = [stretches[index] for index in indexes]
        if count and numpy_pays(count * sum(map(len, group))):
            together = _undo_group(group)
        else:
            together = [Undone(_undone(stretch)) for stretch in group]
        for index, one in zip(indexes, together, strict=True):
            found[index] = one
    return [one for one in found if one is not None]


def _undone(stretch: Sequence[Packed]) -> Values:
    values = array_of(stretch[0].dtype, b"")
    for column in stretch:
        values.extend(undone(column))
    return values


def _undo_group(group: Sequence[Sequence[Packed]]) -> list[Undone]:
    """Stretches of columns of one kind and length, at least one value long."""
    import numpy as np

    columns = [column for stretch in group for column in stretch]
    first = columns[0]
    table = _table(columns)
    if is_delta(first.codec):
        table = np.add.accumulate(table, axis=1)  # wraps at 64 bits, as the codec says
    places = list(accumulate(map(len, group), initial=0))
    least, greatest = table.min(axis=1), table.max(axis=1)
    if len(columns) > len(group):
        least, greatest = (
            np.minimum.reduceat(least, places[:-1]),
            np.maximum.reduceat(greatest, places[:-1]),
        )
    bounds = [
        None if low != low else Bounds(low, high)  # noqa: PLR0124  # NaN is not itself
        for low, high in zip(least.tolist(), greatest.tolist(), strict=True)
    ]
    raw = memoryview(table.tobytes())
    size = first.count * NUMBER_BYTES
    return [
        Undone(array_of(first.dtype, raw[start * size : stop * size]), one)
        for (start, stop), one in zip(pairwise(places), bounds, strict=True)
    ]


def _table(columns: Sequence[Packed]) -> npt.NDArray[Any]:
    """One row for each column, byte planes put together again."""
    import numpy as np

    first, rows = columns[0], len(columns)
    dtype: Any = "<f8" if first.dtype == "f64" else "<i8"
    raw = b"".join(column.raw for column in columns)
    if not is_shuffled(first.codec):
        return np.frombuffer(raw, dtype=dtype).reshape(rows, first.count)
    planes: npt.NDArray[np.uint8] = np.frombuffer(raw, dtype=np.uint8).reshape(
        rows, NUMBER_BYTES, first.count
    )
    table = np.zeros((rows, first.count, NUMBER_BYTES), dtype=np.uint8)
    for place in range(NUMBER_BYTES):
        plane = planes[:, place]
        if plane.any():  # of small numbers, such as differences, most planes are empty
            table[:, :, place] = plane
    numbers: npt.NDArray[Any] = table.view(dtype)
    return numbers.reshape(rows, first.count)


def exact_sum(numbers: npt.NDArray[np.float64]) -> float:
    """What :func:`math.fsum` says of numbers but NaN, without making an object of each.

    The upper bits of all numbers are taken off, few enough that sums of them are exact in whatever order they are made,
    until nothing is left; what was taken off adds up to the sum.

    Raises:
        OverflowError: the sum is too large for a float.
        ValueError: it is of an infinity and its opposite.
    """
    import numpy as np

    sums: list[float] = []
    for _ in range(_SPLITS_MAX):
        greatest = float(np.abs(numbers).max(initial=0.0))
        exponent = math.frexp(greatest)[1] + len(numbers).bit_length() + 1
        if not greatest or exponent > _EXPONENT_MAX or not math.isfinite(greatest):
            break
        ceiling = math.ldexp(1.0, exponent)  # what is added to it loses the bits below its own last one
        upper = (ceiling + numbers) - ceiling
        sums.append(float(upper.sum()))
        numbers = numbers - upper
    return math.fsum([*sums, *numbers[numbers != 0.0].tolist()])
