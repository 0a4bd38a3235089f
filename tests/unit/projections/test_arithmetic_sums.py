"""Sums of arrays are those of ``math.fsum``, to the last bit."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runfold_projections.arithmetic import exact_sum

TINY = 5e-324
GREATEST = 1.7976931348623157e308


def outcome(work: Callable[[], float]) -> bytes | type[Exception]:
    try:
        return struct.pack("<d", work())
    except (OverflowError, ValueError) as error:
        return type(error)


@given(st.lists(st.floats(allow_nan=False), max_size=40))
@example([])
@example([-0.0])
@example([1e16, 1.0, -1e16])
@example([1.0, 2.0**-53, 2.0**-106])
@example([TINY, -TINY, TINY])
@example([GREATEST, GREATEST, -GREATEST])
@example([GREATEST, 2.0**970])
@example([math.inf, 1.0])
@example([math.inf, -math.inf])
@example([1e308, 1e-308, 1e200, -1e100, 1e-200, 1.0])
def test_any_numbers(numbers: Sequence[float]) -> None:
    assert outcome(lambda: exact_sum(np.array(numbers, dtype="<f8"))) == outcome(lambda: math.fsum(numbers))


@pytest.mark.parametrize("scale", [1.0, 1e-300, 1e300])
@pytest.mark.parametrize("spread", [0, 8, 40, 300])
def test_many_numbers(scale: float, spread: int) -> None:
    random = np.random.default_rng(spread)
    naive_errors = 0
    for _ in range(20):
        numbers = random.normal(size=4_096) * scale / 2.0 ** random.integers(0, spread + 1, 4_096)
        wanted = math.fsum(numbers.tolist())
        assert exact_sum(numbers) == wanted
        naive_errors += float(numbers.sum()) != wanted
    assert naive_errors  # so that there was something to be exact about
