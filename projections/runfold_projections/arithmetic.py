"""Arithmetic of columns by NumPy, which takes half the interpreter's time from a few dozen values on.

NumPy is used where the process has loaded it: a projector does when it starts, an embedded program as it likes, so that
the first fold of one that hardly needs NumPy does not wait for its import.
"""

from __future__ import annotations

import sys
from array import array
from typing import TYPE_CHECKING, Final

from runfold_events.contract.columns import PURE, Arithmetic

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
LOADED_PAYS_FROM_VALUES: Final = 64
IMPORT_PAYS_FROM_VALUES: Final = 512


def arithmetic() -> Arithmetic:
    """The fastest that this process has at hand."""
    return _NUMPY if "numpy" in sys.modules else PURE


def numpy_pays(count: int) -> bool:
    """True when looking at ``count`` values by NumPy is worth it, its import included where it is not loaded."""
    return count >= (LOADED_PAYS_FROM_VALUES if "numpy" in sys.modules else IMPORT_PAYS_FROM_VALUES)


def _undelta(raw: bytes) -> array[int]:
    import numpy as np

    differences: npt.NDArray[np.int64] = np.frombuffer(raw, dtype="<i8")
    values = array("q")
    values.frombytes(np.add.accumulate(differences).tobytes())  # wraps at 64 bits, as the codec says
    return values


def _unshuffle(raw: bytes, width: int) -> bytes:
    import numpy as np

    planes: npt.NDArray[np.uint8] = np.frombuffer(raw, dtype=np.uint8)
    return planes.reshape(width, -1).T.tobytes()


_NUMPY: Final = Arithmetic(_undelta, _unshuffle)
