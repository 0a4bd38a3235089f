"""How sealed columns are packed. The first byte names the codec; decoders stay for ever.

0  raw little-endian bytes
1  byte-shuffled, then zstd: all first bytes of the items, then all second bytes, …; integers as differences
2  pcodec, of the optional package of that name: finds the decimal places, multiples and bases behind numbers
3  byte planes, each by itself: msgpack of how many items and an array of eight planes, each a single byte where all
   are equal, plain where zstd makes it no smaller, else zstd. Of floats most planes are noise, which costs others their
   entropy coding when all are packed together; of floats that were 32 bits wide three planes are nothing but zeros.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec
import zstandard

from runfold_events.contract.errors import Unavailable
from runfold_projections.projection import FoldError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

RAW: Final = b"\x00"
SHUFFLED: Final = b"\x01"
PCODEC: Final = b"\x02"
PLANES: Final = b"\x03"
ValueCodec = Literal[
    "base", "pcodec"
]  # how values are packed; how they are unpacked is said in their first byte
_ZSTD_LEVEL: Final = 3
_PLANE_LEVEL: Final = 1  # noise and runs are what they are at any level
_NUMBER_BYTES: Final = 8
_NARROW_BYTES: Final = (1, 2, 4)

Narrow = tuple[int, int, bytes]  # first value, bytes of each difference, differences

_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(tuple[int, list[bytes]]).decode


@cache
def _compressor(level: int = _ZSTD_LEVEL) -> zstandard.ZstdCompressor:
    return zstandard.ZstdCompressor(level=level, write_checksum=False, write_content_size=True)


@cache
def _decompressor() -> zstandard.ZstdDecompressor:
    return zstandard.ZstdDecompressor()


def pack_floats(raw: bytes, codec: ValueCodec = "base") -> bytes:
    """Pack f64 values; every bit pattern comes back as it was."""
    packed = _or_raw(raw, PLANES + _planes(raw))
    return min(packed, PCODEC + _by_pcodec(raw), key=len) if codec == "pcodec" else packed


def unpack_floats(packed: bytes, count: int) -> bytes:
    """Undo :func:`pack_floats`."""
    return _unpacked(packed, count * 8, 8)


def pack_bytes(raw: bytes) -> bytes:
    """Pack bytes that have no wider items."""
    return _or_raw(raw, SHUFFLED + _compressor().compress(raw))


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
    return _or_raw(raw, SHUFFLED + _compressor().compress(_shuffled(differences.tobytes(), 8)))


def unpack_integers(packed: bytes, count: int) -> bytes:
    """Undo :func:`pack_integers`."""
    raw = _unpacked(packed, count * 8, 8)
    if packed[:1] == RAW:
        return raw
    import numpy as np

    sums: Any = np.cumsum(np.frombuffer(raw, dtype="<i8"), dtype="<i8")
    return bytes(sums.tobytes())


def narrow(raw: bytes) -> Narrow | None:
    """i64 values as the first one and what each adds to the one before, in as few bytes as hold that; None if in eight.

    For what is soon read again: to compress it would take three times as long, and save what is little by then.
    """
    import numpy as np

    values: npt.NDArray[np.int64] = np.frombuffer(raw, dtype="<i8")
    added = values[1:] - values[:-1]  # wraps at 64 bits, and back
    least, greatest = int(added.min(initial=0)), int(added.max(initial=0))
    for width in _NARROW_BYTES:
        if -(1 << 8 * width - 1) <= least and greatest < 1 << 8 * width - 1:
            return int(values[0]), width, added.astype(f"<i{width}").tobytes()
    return None


def widened(first: int, width: int, data: bytes) -> bytes:
    """Undo :func:`narrow`."""
    import numpy as np

    added = np.frombuffer(data, dtype=f"<i{width}")
    values = np.empty(len(added) + 1, dtype="<i8")
    values[0] = first
    values[1:] = added
    return np.add.accumulate(values, out=values).tobytes()


def _or_raw(raw: bytes, packed: bytes) -> bytes:
    return packed if len(packed) <= len(raw) else RAW + raw


def _unpacked(packed: bytes, size: int, width: int) -> bytes:
    codec, data = packed[:1], packed[1:]
    if codec == RAW:
        raw = data
    elif codec == SHUFFLED:
        raw = _unshuffled(_decompressor().decompress(data, max_output_size=size), width)
    elif codec == PLANES:
        raw = _unshuffled(_of_planes(data, size // _NUMBER_BYTES), _NUMBER_BYTES)
    elif codec == PCODEC:
        raw = _of_pcodec(data, size)
    else:
        raise FoldError(f"unknown column codec {codec!r}")
    if len(raw) != size:
        raise FoldError(f"a packed column holds {len(raw)} bytes where {size} belong")
    return raw


def _planes(raw: bytes) -> bytes:
    planes = _shuffled(raw, _NUMBER_BYTES)
    count = len(raw) // _NUMBER_BYTES
    return _pack((count, [_plane(planes[start : start + count]) for start in range(0, len(raw), count or 1)]))


def _plane(plane: bytes) -> bytes:
    if plane.count(plane[0]) == len(plane):
        return plane[:1]
    packed = _compressor(_PLANE_LEVEL).compress(plane)
    return packed if len(packed) < len(plane) else plane


def _of_planes(data: bytes, count: int) -> bytes:
    packed_count, planes = _unpack(data)
    if packed_count != count:
        raise FoldError(f"a packed column holds {packed_count} values where {count} belong")
    return b"".join(_of_plane(plane, count) for plane in planes)


def _of_plane(plane: bytes, count: int) -> bytes:
    if len(plane) == count:
        return plane
    if len(plane) == 1:
        return plane * count
    return _decompressor().decompress(plane, max_output_size=count)


def _by_pcodec(raw: bytes) -> bytes:
    import numpy as np

    packed: bytes = find_pcodec().simple_compress(np.frombuffer(raw, dtype="<f8"), _pcodec_config())
    return packed


def _of_pcodec(data: bytes, size: int) -> bytes:
    """Into memory of the size that belongs here, whatever the data promise."""
    import numpy as np

    values = np.empty(size // _NUMBER_BYTES, dtype="<f8")
    progress = find_pcodec().simple_decompress_into(data, values)
    if progress.n_processed != len(values) or not progress.finished:
        raise FoldError(f"a packed column holds {progress.n_processed} values where {len(values)} belong")
    return values.tobytes()


@cache
def find_pcodec() -> Any:
    """The package, or ``Unavailable`` with what to install."""
    try:
        return import_module("pcodec.standalone")
    except ImportError:
        raise Unavailable(
            "metric values here are packed by pcodec, which is not installed: pip install 'runfold[pcodec]', "
            "or `runfold rebuild metrics` without RUNFOLD_VALUE_CODEC to pack them without it",
            facts={"field": "RUNFOLD_VALUE_CODEC", "limit": "the package pcodec"},
        ) from None


@cache
def _pcodec_config() -> Any:
    return import_module("pcodec").ChunkConfig()


def _shuffled(raw: bytes, width: int) -> bytes:
    import numpy as np

    return np.frombuffer(raw, dtype=np.uint8).reshape(-1, width).T.tobytes()


def _unshuffled(raw: bytes, width: int) -> bytes:
    if width == 1:
        return raw
    import numpy as np

    return np.frombuffer(raw, dtype=np.uint8).reshape(width, -1).T.tobytes()
