"""How sealed columns are packed. The first byte names the codec; decoders stay for ever.

0  raw little-endian bytes
1  byte-shuffled, then zstd: all first bytes of the items, then all second bytes, …; integers as differences
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

import zstandard

from runfold_projections.projection import FoldError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

RAW: Final = b"\x00"
SHUFFLED: Final = b"\x01"
_ZSTD_LEVEL: Final = 3


@cache
def _compressor() -> zstandard.ZstdCompressor:
    return zstandard.ZstdCompressor(level=_ZSTD_LEVEL, write_checksum=False, write_content_size=True)


@cache
def _decompressor() -> zstandard.ZstdDecompressor:
    return zstandard.ZstdDecompressor()


def pack_floats(raw: bytes) -> bytes:
    """Pack f64 values; every bit pattern comes back as it was."""
    return _smaller(raw, _shuffled(raw, 8))


def unpack_floats(packed: bytes, count: int) -> bytes:
    """Undo :func:`pack_floats`."""
    return _unpacked(packed, count * 8, 8)


def pack_bytes(raw: bytes) -> bytes:
    """Pack bytes that have no wider items."""
    return _smaller(raw, raw)


def unpack_bytes(packed: bytes, size: int) -> bytes:
    """Undo :func:`pack_bytes`."""
    return _unpacked(packed, size, 1)


def pack_integers(raw: bytes) -> bytes:
    """Pack i64 values as differences, which may wrap around: they do so back, too."""
    import numpy as np

    values: npt.NDArray[np.int64] = np.frombuffer(raw, dtype="<i8")
    differences = np.empty_like(values)
    differences[:1] = values[:1]
    np.subtract(values[1:], values[:-1], out=differences[1:])
    return _smaller(raw, _shuffled(differences.tobytes(), 8))


def unpack_integers(packed: bytes, count: int) -> bytes:
    """Undo :func:`pack_integers`."""
    raw = _unpacked(packed, count * 8, 8)
    if packed[:1] == RAW:
        return raw
    import numpy as np

    sums: Any = np.cumsum(np.frombuffer(raw, dtype="<i8"), dtype="<i8")
    return bytes(sums.tobytes())


def _smaller(raw: bytes, prepared: bytes) -> bytes:
    packed = _compressor().compress(prepared)
    return SHUFFLED + packed if len(packed) < len(raw) else RAW + raw


def _unpacked(packed: bytes, size: int, width: int) -> bytes:
    codec, data = packed[:1], packed[1:]
    if codec == RAW:
        raw = data
    elif codec == SHUFFLED:
        raw = _unshuffled(_decompressor().decompress(data, max_output_size=size), width)
    else:
        raise FoldError(f"unknown column codec {codec!r}")
    if len(raw) != size:
        raise FoldError(f"a packed column holds {len(raw)} bytes where {size} belong")
    return raw


def _shuffled(raw: bytes, width: int) -> bytes:
    import numpy as np

    return np.frombuffer(raw, dtype=np.uint8).reshape(-1, width).T.tobytes()


def _unshuffled(raw: bytes, width: int) -> bytes:
    if width == 1:
        return raw
    import numpy as np

    return np.frombuffer(raw, dtype=np.uint8).reshape(width, -1).T.tobytes()
