"""Metric batches made by hand: packed columns from the words of ``contract.metrics``, not by its code."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import msgspec
import zstandard

Plain = dict[str, Any]


def plain(dtype: str, values: Sequence[Any]) -> Plain:
    """A column as values."""
    return {"dtype": dtype, "values": list(values)}


def packed(dtype: str, codec: str, values: Sequence[Any]) -> Plain:
    """A column as packed little-endian bytes."""
    raw = b"".join(struct.pack({"f64": "<d", "i64": "<q", "bool": "<?"}[dtype], value) for value in values)
    return packed_bytes(dtype, codec, len(values), raw)


def packed_bytes(dtype: str, codec: str, count: int, raw: bytes) -> Plain:
    """A column of bytes that are not compressed yet."""
    if codec.startswith("delta-"):
        raw = _differences(raw)
    if codec.endswith("shuffle-zstd"):
        width = 1 if dtype == "bool" else 8
        raw = bytes(raw[start + place] for place in range(width) for start in range(0, len(raw), width))
    data = raw if codec == "raw" else compress(raw)
    return {"dtype": dtype, "codec": codec, "count": count, "data": data}


def _differences(raw: bytes) -> bytes:
    values = [value for (value,) in struct.iter_unpack("<q", raw)]
    return b"".join(
        struct.pack("<Q", (value - before) % 2**64)
        for before, value in zip([0, *values], values, strict=False)
    )


def compress(raw: bytes, level: int = 3) -> bytes:
    """One zstd frame."""
    return zstandard.ZstdCompressor(level=level).compress(raw)


def series(column: Plain, times: Plain | None = None, **more: Any) -> Plain:
    """A scalar series of one column, with times 0, 1, 2, … unless others are given."""
    count = column.get("count", len(column.get("values") or []))
    return {"name": "m", "times": times or plain("i64", range(count)), "columns": {"m": column}} | more


def json_batch(*many: Plain) -> bytes:
    """A batch in JSON."""
    return msgspec.json.encode({"series": many})


def msgpack_batch(*many: Plain) -> bytes:
    """A batch in msgpack."""
    return msgspec.msgpack.encode({"series": many})
