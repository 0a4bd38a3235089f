"""Columns that are undone together are those that the contract undoes one by one, bit for bit."""

from __future__ import annotations

import math
import struct
import subprocess
import sys
from array import array
from itertools import groupby

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from runfold_events.contract.columns import Packed, undone
from runfold_projections.arithmetic import LOADED_PAYS_FROM_VALUES, numpy_pays, undo_together

INT64 = st.integers(-(2**63), 2**63 - 1)
KINDS = st.sampled_from(
    [("i64", "delta-zstd"), ("i64", "delta-shuffle-zstd"), ("i64", "shuffle-zstd"), ("f64", "shuffle-zstd")]
)
# Of equal length or not, alone or many; some groups are large enough for NumPy.
COLUMNS = st.lists(
    st.tuples(KINDS, st.sampled_from([0, 1, 3, 40]), st.lists(INT64, min_size=40, max_size=40)), max_size=6
)


def packed(kind: tuple[str, str], values: list[int]) -> Packed:
    dtype, codec = kind
    return Packed(dtype, codec, len(values), struct.pack(f"<{len(values)}q", *values))  # type: ignore[arg-type]


@given(COLUMNS)
@example([(("i64", "delta-shuffle-zstd"), 40, [2**63 - 1] * 40)] * 3)
def test_together_as_one_by_one(columns: list[tuple[tuple[str, str], int, list[int]]]) -> None:
    many = [packed(kind, values[:count]) for kind, count, values in columns]
    stretches = [list(alike) for _, alike in groupby(many, key=lambda one: (one.dtype, one.codec, one.count))]
    assert_undone([[column] for column in many])
    assert_undone(stretches)


def assert_undone(stretches: list[list[Packed]]) -> None:
    found = undo_together(stretches)
    assert len(found) == len(stretches)
    for stretch, one in zip(stretches, found, strict=True):
        assert isinstance(one.values, array)
        alone = [value for column in stretch for value in undone(column)]
        assert one.values.tobytes() == array(one.values.typecode, alone).tobytes()
        numbers = [value for value in alone if value == value]  # noqa: PLR0124  # NaN is not itself
        if one.bounds is not None:
            assert len(numbers) == len(alone)
            assert (one.bounds.least, one.bounds.greatest) == (min(numbers), max(numbers))


def test_large_groups_come_with_their_bounds_and_those_with_nan_without() -> None:
    fine = packed(("i64", "delta-zstd"), [1] * LOADED_PAYS_FROM_VALUES)
    odd = Packed("f64", "shuffle-zstd", 64, struct.pack("<64q", *[-1] * 64))  # all bits set, which is a NaN
    assert np.__name__ in sys.modules
    first, second = undo_together([[fine], [odd, odd]])
    assert first.bounds is not None
    assert (first.bounds.least, first.bounds.greatest) == (1, LOADED_PAYS_FROM_VALUES)
    assert second.bounds is None
    assert all(map(math.isnan, second.values))


def test_numpy_is_not_loaded_for_little() -> None:
    code = (
        "import sys; from runfold_projections.arithmetic import numpy_pays, undo_together; "
        "from runfold_events.contract.columns import Packed; "
        "undo_together([[Packed('i64', 'delta-zstd', 100, bytes(800))]]); "
        "assert 'numpy' not in sys.modules; assert numpy_pays(512)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    assert numpy_pays(LOADED_PAYS_FROM_VALUES)
