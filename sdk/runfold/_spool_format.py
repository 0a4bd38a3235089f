"""How records lie in a spool's logs. Pure: bytes in, bytes out.

A log is a sequence of segments of fixed size. A segment begins with a header, then come records, then zeros::

    segment   magic "RFSPOOL1" · position of its first byte in the log (u64) · two positions in doubt (u64 each)
    record    checksum (u32) · kind and length of the body (u32: 5 and 27 bits) · body · zeros up to a multiple of 8

Numbers are little-endian. The checksum is the CRC-32 of all but itself, begun with the record's offset, so that a
record is valid in its own place only. A process that is killed may leave one record half written: everything from the
first record on that is not valid, with no valid one behind it, is a torn tail and is cut. Where valid records follow,
something has damaged the file: readers go on behind the gap and say how large it was.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from mmap import mmap
from struct import Struct as Layout
from typing import Final
from zlib import crc32

from msgspec import Struct

MAGIC: Final = b"RFSPOOL1"
ALIGNMENT_BYTES: Final = 8
_LENGTH_BITS: Final = 27
BODY_BYTES_MAX: Final = (1 << _LENGTH_BITS) - 1
_SEGMENT: Final = Layout("<8sQ")
_DOUBT: Final = Layout("<QQ")  # behind it
_HEAD: Final = Layout("<II")
SEGMENT_HEADER_BYTES: Final = _SEGMENT.size + _DOUBT.size
HEAD_BYTES: Final = _HEAD.size


class Kind(IntEnum):
    """What a record's body is. Numbers are never used again."""

    FLOAT = 1  # one number: see the layouts below
    INT = 2
    BOOL = 3
    WIDE = 4  # a text, a row, a block of points
    SERIES = 5  # what a number in the records behind it stands for; before its first value in every segment
    COMMAND = 6
    MARK = 7  # somebody waits until everything before it was dealt with
    WITHDRAWN = 8  # the position of a command that was taken back
    SNAPSHOT = 16  # delivery's own log, from here on: everything, at the beginning of a segment
    STEP = 17


# One logged number in 40 bytes: checksum, word, number of its series, reserved, ns since the epoch, step, value.
FLOAT_RECORD: Final = Layout("<IIIIqqd")
INT_RECORD: Final = Layout("<IIIIqqq")
NUMBER_RECORD_BYTES: Final = FLOAT_RECORD.size
FLOAT_BODY: Final = Layout("<IIIqqd")  # the same without its checksum
INT_BODY: Final = Layout("<IIIqqq")
CHECKSUM: Final = Layout("<I")


def word_of(kind: Kind, length: int) -> int:
    """Kind and length as they stand in a record."""
    return kind << _LENGTH_BITS | length


def split_word(word: int) -> tuple[int, int]:
    """``(kind, length)`` of what :func:`word_of` made."""
    return word >> _LENGTH_BITS, word & BODY_BYTES_MAX


FLOAT_WORD: Final = word_of(Kind.FLOAT, NUMBER_RECORD_BYTES - HEAD_BYTES)
INT_WORD: Final = word_of(Kind.INT, NUMBER_RECORD_BYTES - HEAD_BYTES)
BOOL_WORD: Final = word_of(Kind.BOOL, NUMBER_RECORD_BYTES - HEAD_BYTES)


class Found(Struct, frozen=True, gc=False):
    """A valid record: ``body`` lies in the buffer that was read; ``end`` is where the next one begins."""

    kind: Kind
    offset: int
    end: int
    body: memoryview


class Damage(Struct, frozen=True, gc=False):
    """Bytes between valid records that are none."""

    offset: int
    end: int

    @property
    def size_bytes(self) -> int:
        return self.end - self.offset


def segment_header(base: int) -> bytes:
    """What a segment begins with."""
    return _SEGMENT.pack(MAGIC, base) + bytes(_DOUBT.size)


def write_doubt(buffer: mmap, settled_to: int, taken_to: int) -> None:
    """Note into a segment of delivery's log what could not be written behind it: see :mod:`runfold._spool_delivery`."""
    _DOUBT.pack_into(buffer, _SEGMENT.size, settled_to, taken_to)


def read_doubt(buffer: memoryview) -> tuple[int, int]:
    """What :func:`write_doubt` noted; zeros where nothing is in doubt."""
    settled_to, taken_to = _DOUBT.unpack_from(buffer, _SEGMENT.size)
    return settled_to, taken_to


def base_of(buffer: memoryview) -> int | None:
    """Where in its log a segment lies; None when it is no segment."""
    if len(buffer) < SEGMENT_HEADER_BYTES:
        return None
    magic, base = _SEGMENT.unpack_from(buffer)
    return int(base) if magic == MAGIC else None


def record_bytes(body_bytes: int) -> int:
    """What a record with such a body takes."""
    return (HEAD_BYTES + body_bytes + ALIGNMENT_BYTES - 1) & -ALIGNMENT_BYTES


def encode_record(kind: Kind, body: bytes, offset: int) -> bytes:
    """A record as it is to lie at ``offset``."""
    if len(body) > BODY_BYTES_MAX:
        raise ValueError(f"a record holds at most {BODY_BYTES_MAX} bytes; this one has {len(body)}")
    rest = CHECKSUM.pack(word_of(kind, len(body))) + body + bytes(-len(body) % ALIGNMENT_BYTES)
    return CHECKSUM.pack(crc32(rest, offset)) + rest


def record_at(buffer: memoryview, offset: int) -> Found | None:
    """The record at ``offset``, if there is a valid one."""
    if offset + HEAD_BYTES > len(buffer):
        return None
    checksum, word = _HEAD.unpack_from(buffer, offset)
    kind, length = split_word(word)
    end = offset + record_bytes(length)
    if kind not in _KINDS or end > len(buffer):
        return None
    if crc32(buffer[offset + CHECKSUM.size : end], offset) != checksum:
        return None
    body = offset + HEAD_BYTES
    return Found(Kind(kind), offset, end, buffer[body : body + length])


def records(buffer: memoryview, start: int = SEGMENT_HEADER_BYTES) -> Iterator[Found | Damage]:
    """Everything valid from ``start`` on, and the gaps between; a torn tail is left out."""
    offset = start
    while (found := record_at(buffer, offset) or _next_record(buffer, offset)) is not None:
        if found.offset > offset:
            yield Damage(offset, found.offset)
        yield found
        offset = found.end


def _next_record(buffer: memoryview, offset: int) -> Found | None:
    """The first valid record behind ``offset``. Zeros are skipped at once: they are what most of a tail is."""
    offset += ALIGNMENT_BYTES
    while offset < len(buffer):
        zeros = _zeros_from(buffer, offset)
        if zeros >= ALIGNMENT_BYTES:
            offset += zeros & -ALIGNMENT_BYTES
            continue
        found = record_at(buffer, offset)
        if found is not None:
            return found
        offset += ALIGNMENT_BYTES
    return None


def _zeros_from(buffer: memoryview, offset: int) -> int:
    """How many zero bytes there are from ``offset`` on."""
    step, zeros = 4096, 0
    while offset + zeros < len(buffer):
        piece = bytes(buffer[offset + zeros : offset + zeros + step])
        rest = len(piece.lstrip(b"\0"))
        zeros += len(piece) - rest
        if rest:
            break
    return zeros


_KINDS: Final = frozenset(int(kind) for kind in Kind)


def is_zero_from(buffer: memoryview, offset: int) -> bool:
    """Whether nothing was ever written from ``offset`` on."""
    return offset + _zeros_from(buffer, offset) >= len(buffer)
