"""Contents of files over HTTP: sent and received piece by piece, however large they are."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO, Final, Protocol

import msgspec
import urllib3
from urllib3.exceptions import HTTPError

from runfold_events.contract.envelope import MSGPACK
from runfold_events.contract.errors import Unavailable
from runfold_services.files.pieces import PIECE_BYTES, check_file_size, pieces
from runfold_services.files.port import Content

if TYPE_CHECKING:
    from runfold._http import HttpTransport

STORE_TIMEOUT_S: Final = 600.0  # after the last byte a server may have to carry all of it to an object store
READ_TIMEOUT_S: Final = 60.0
RETRY_AFTER_S_MAX: Final = 30.0
_AGAIN_AFTER_S: Final = (0.2, 1.0, 3.0)
_BYTES: Final = "application/octet-stream"


class Digest(Protocol):
    """A hash that is being made."""

    def update(self, data: bytes, /) -> None: ...


def pause(error: Unavailable, at_least_s: float) -> None:
    """Wait before a request is sent again: for as long as the server has said, within reason."""
    asked_s = float(error.facts.get("retry_after", 0.0))
    time.sleep(max(at_least_s, min(asked_s, RETRY_AFTER_S_MAX)))


def put_content(http: HttpTransport, path: str, source: BinaryIO, size_bytes: int | None) -> Content:
    """Send the rest of ``source``, or its next ``size_bytes``; again from where it stood, if it can go back there."""
    check_file_size(size_bytes or 0)
    start = source.tell() if source.seekable() else None
    pauses = () if start is None else _AGAIN_AFTER_S
    for pause_s in pauses:
        try:
            return _put(http, path, source, size_bytes)
        except Unavailable as error:
            pause(error, pause_s)
            source.seek(start or 0)
    return _put(http, path, source, size_bytes)


def _put(http: HttpTransport, path: str, source: BinaryIO, size_bytes: int | None) -> Content:
    headers = {"Content-Type": _BYTES}
    if size_bytes is not None:
        headers["Content-Length"] = str(size_bytes)
    digest = hashlib.sha256()
    answer = http.request("POST", path, _hashed(source, size_bytes, digest), headers, STORE_TIMEOUT_S)
    content = msgspec.msgpack.decode(answer.data, type=Content)
    if content.sha256 != digest.hexdigest():
        raise Unavailable("the server stored other bytes than were sent; nothing was recorded")
    return content


def _hashed(source: BinaryIO, size_bytes: int | None, digest: Digest) -> Iterator[bytes]:
    sent = 0
    for piece in pieces(source, size_bytes):
        digest.update(piece)
        sent += len(piece)
        yield piece
    if size_bytes is not None and sent < size_bytes:
        raise OSError(f"the file became shorter while it was sent: {sent} of {size_bytes} bytes")


def open_file(http: HttpTransport, path: str, at: str | None) -> Iterator[bytes]:
    """The content of a file. What is wrong is raised here; what goes wrong while it is read, by the iterator."""
    headers = {"Runfold-Wait": "10", "Accept": MSGPACK}
    if at is not None:
        headers["Runfold-Position"] = at
    response = http.request("GET", path, None, headers, READ_TIMEOUT_S, preload=False)
    return _stream(response)


def _stream(response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    try:
        yield from response.stream(PIECE_BYTES)
    except (HTTPError, OSError) as error:
        raise Unavailable(f"the file did not arrive as a whole: {error}") from None
    finally:
        response.release_conn()
