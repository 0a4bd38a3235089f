"""What the design says about bytes, written a second time from its words and sharing no code with the package.

digest = sha256(salt ‖ body)
chain  = sha256 over the previous chain value of the partition, a msgpack array of the envelope's fields without
         salt, digest and chain (in their order, UUIDs as 16 bytes, times as int µs, absent = nil), and the digest
slice  = (murmur2(stream id) & 0x7fffffff) mod 1024; of ``_system/{partition}`` the partition, by definition
"""

from __future__ import annotations

import struct
from hashlib import sha256
from typing import Any, Final
from uuid import UUID

CHAINED_FIELDS: Final = (
    "id",
    "type",
    "stream",
    "stream_seq",
    "partition",
    "pos",
    "slice",
    "epoch",
    "occurred_at",
    "recorded_at",
    "actor",
    "actor_source",
    "door",
    "writer_id",
    "writer_seq",
    "causation_id",
    "correlation_id",
    "traceparent",
    "data_version",
    "content_type",
    "subject",
    "key_id",
)


def digest(salt: bytes, body: bytes) -> bytes:
    """The digest of an event's body."""
    return sha256(salt + body).digest()


def chain(previous: bytes, event: Any) -> bytes:
    """The chain value of ``event``, anything with the envelope's attributes, after ``previous``."""
    fields = b"".join(msgpack(getattr(event, name)) for name in CHAINED_FIELDS)
    return sha256(previous + msgpack_array_head(len(CHAINED_FIELDS)) + fields + event.digest).digest()


def msgpack_array_head(length: int) -> bytes:
    """The head of an array; ours have 16 to 65,535 elements."""
    assert 15 < length < 2**16
    return struct.pack(">BH", 0xDC, length)


def msgpack(value: UUID | str | int | None) -> bytes:
    """One element in the shortest form that the msgpack specification allows."""
    if value is None:
        return b"\xc0"
    if isinstance(value, UUID):
        return b"\xc4\x10" + value.bytes
    if isinstance(value, str):
        return _msgpack_text(value.encode("utf-8"))
    return _msgpack_integer(value)


def _msgpack_text(text: bytes) -> bytes:
    if len(text) < 32:
        return bytes([0xA0 | len(text)]) + text
    for head, form, size in ((0xD9, ">BB", 2**8), (0xDA, ">BH", 2**16), (0xDB, ">BI", 2**32)):
        if len(text) < size:
            return struct.pack(form, head, len(text)) + text
    raise ValueError("no msgpack text is that long")


def _msgpack_integer(value: int) -> bytes:
    if -32 <= value < 128:
        return struct.pack(">B" if value >= 0 else ">b", value)
    unsigned = ((0xCC, ">BB", 8), (0xCD, ">BH", 16), (0xCE, ">BI", 32), (0xCF, ">BQ", 64))
    signed = ((0xD0, ">Bb", 7), (0xD1, ">Bh", 15), (0xD2, ">Bi", 31), (0xD3, ">Bq", 63))
    for head, form, bits in unsigned if value >= 0 else signed:
        if -(2**bits) <= value < 2**bits:
            return struct.pack(form, head, value)
    raise ValueError("no msgpack integer is that large")


def slice_of(stream: str) -> int:
    """The slice of a stream."""
    if stream.startswith("_system/"):
        return int(stream.split("/")[1])
    return (murmur2(stream.encode("utf-8")) & 0x7FFFFFFF) % 1024


def murmur2(data: bytes) -> int:
    """Kafka's ``Utils.murmur2``, line by line as in Java, on signed 32-bit integers."""
    length = len(data)
    m, r = 0x5BD1E995, 24
    h = _int(_int(0x9747B28C) ^ length)
    for i in range(length // 4):
        i4 = i * 4
        k = data[i4] + (data[i4 + 1] << 8) + (data[i4 + 2] << 16) + (data[i4 + 3] << 24)
        k = _int(k * m)
        k ^= _shift(k, r)
        k = _int(k * m)
        h = _int(h * m)
        h ^= k
    h = _tail(data, length, h, m)
    h ^= _shift(h, 13)
    h = _int(h * m)
    return h ^ _shift(h, 15)


def _tail(data: bytes, length: int, h: int, m: int) -> int:
    rest = length % 4
    if rest == 0:
        return h
    if rest == 3:
        h = _int(h ^ (data[(length & ~3) + 2] << 16))
    if rest >= 2:
        h = _int(h ^ (data[(length & ~3) + 1] << 8))
    return _int(_int(h ^ data[length & ~3]) * m)


def _int(value: int) -> int:
    """Java's overflow of an ``int``."""
    value &= 0xFFFFFFFF
    return value - 2**32 if value >= 2**31 else value


def _shift(value: int, bits: int) -> int:
    """Java's ``>>>`` on an ``int``."""
    return _int((value & 0xFFFFFFFF) >> bits)
