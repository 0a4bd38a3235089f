"""The columns that NumPy undoes are those that the contract's own arithmetic undoes, bit for bit."""

from __future__ import annotations

import struct
import subprocess
import sys

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from runfold_events.contract.columns import PURE
from runfold_projections.arithmetic import arithmetic

INT64 = st.integers(-(2**63), 2**63 - 1)


def test_numpy_is_used_where_it_is_loaded() -> None:
    assert np.__name__ in sys.modules
    assert arithmetic() is not PURE


def test_it_is_not_loaded_for_this_alone() -> None:
    code = (
        "import sys; from runfold_projections.arithmetic import arithmetic; from runfold_events.contract.columns "
        "import PURE; assert arithmetic() is PURE; assert 'numpy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@given(st.lists(INT64, max_size=50))
@example([2**63 - 1, 1])
@example([-(2**63), -1, 5])
def test_differences_add_up_alike_and_wrap_alike(differences: list[int]) -> None:
    raw = struct.pack(f"<{len(differences)}q", *differences)
    assert arithmetic().undelta(raw) == PURE.undelta(raw)


@given(st.lists(INT64, max_size=50), st.sampled_from([1, 8]))
def test_bytes_find_their_places_alike(values: list[int], width: int) -> None:
    raw = struct.pack(f"<{len(values)}q", *values)
    assert arithmetic().unshuffle(raw, width) == PURE.unshuffle(raw, width)
