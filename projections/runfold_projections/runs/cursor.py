"""Page cursors: opaque, versioned, and good only for the query and the store that they came from."""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import blake2b
from typing import Final
from uuid import UUID

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from runfold_events.contract.errors import Invalid
from runfold_projections.model import RunQuery

_VERSION: Final = b"\x01"
_SEAL_BYTES: Final = 12
_CURSOR_CHARS_MAX: Final = 4_096


class Cursor(Struct, frozen=True, array_like=True):
    """The last row of a page: its key, and where its value stands in the order."""

    run_key: int
    rank: int  # 0 numbers and plain values, 1 texts, 2 nothing
    value: int | float | str | None


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Cursor)


def fingerprint(epoch: UUID, workspace: str, query: RunQuery) -> bytes:
    """What a cursor is bound to: everything of the query that decides which rows there are and in which order."""
    same = replace(query, page=None, limit=0, fields=())
    return blake2b(_encoder.encode((epoch.bytes, workspace, same)), digest_size=32).digest()


def encode_cursor(cursor: Cursor, seal: bytes) -> str:
    """The text that opens the page after ``cursor``."""
    body = _encoder.encode(cursor)
    return urlsafe_b64encode(_VERSION + _checksum(body, seal) + body).decode().rstrip("=")


def decode_cursor(text: str, seal: bytes) -> Cursor:
    """Undo :func:`encode_cursor`.

    Raises:
        Invalid: the text was changed, or belongs to another query, store or version.
    """
    try:
        if len(text) > _CURSOR_CHARS_MAX:
            raise ValueError
        data = urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
        version, checksum, body = data[:1], data[1 : 1 + _SEAL_BYTES], data[1 + _SEAL_BYTES :]
        if version != _VERSION or checksum != _checksum(body, seal):
            raise ValueError
        return _decoder.decode(body)
    except (ValueError, binascii.Error, msgspec.DecodeError):
        raise Invalid(
            "page does not continue this query: a cursor is good for the query that it came from, unchanged; "
            "leave page out to start again",
            facts={"field": "page", "limit": "a cursor of this query", "size": text[:80]},
        ) from None


def _checksum(body: bytes, seal: bytes) -> bytes:
    return blake2b(_VERSION + body, digest_size=_SEAL_BYTES, key=seal).digest()
