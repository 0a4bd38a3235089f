"""What the adapters share: bounds, what is left to write of a repeated append, digests, files cut into pieces."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import BinaryIO, Final

from runfold_events.contract import limits
from runfold_events.contract.errors import Conflict, LimitExceeded, NotFound
from runfold_services.files.port import Content

PIECE_BYTES: Final = 1024 * 1024


class Tally:
    """Counts and hashes a content while it comes in."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._size = 0

    def add(self, data: bytes) -> None:
        """Reckon with the next bytes.

        Raises:
            LimitExceeded: they are more than a file may have.
        """
        check_file_size(self._size + len(data))
        self._size += len(data)
        self._hash.update(data)

    @property
    def content(self) -> Content:
        """What has come in so far."""
        return Content(self._hash.hexdigest(), self._size)


def check_file_size(size: int) -> None:
    """Raise :class:`LimitExceeded` for more bytes than a file may have."""
    if size > limits.FILE_BYTES_MAX:
        raise LimitExceeded(
            f"a file may have {limits.FILE_BYTES_MAX} bytes; it has {size} or more",
            facts={"field": "file", "limit": limits.FILE_BYTES_MAX, "size": size},
        )


def check_log_size(size: int) -> None:
    """Raise :class:`LimitExceeded` for more bytes than a log may have."""
    if size > limits.LOG_BYTES_MAX:
        raise LimitExceeded(
            f"a log may have {limits.LOG_BYTES_MAX} bytes; it would have {size}. Write another one",
            facts={"field": "log", "limit": limits.LOG_BYTES_MAX, "size": size},
        )


def check_log_count(count: int) -> None:
    """Raise :class:`LimitExceeded` for more logs at once than a run may have."""
    if count > limits.LOGS_PER_RUN_MAX:
        raise LimitExceeded(
            f"a run may write {limits.LOGS_PER_RUN_MAX} logs at once; finish some before you begin another",
            facts={"field": "logs", "limit": limits.LOGS_PER_RUN_MAX, "size": count},
        )


def new_part(offset: int, data: bytes, end: int, stored: Callable[[int, int], bytes]) -> bytes:
    """What of ``data`` is not in the log yet, which ends at ``end``; ``stored`` reads a range of it.

    Raises:
        Conflict: what is there differs, or ``offset`` is beyond the end.
    """
    known = min(end - offset, len(data))
    if known < 0 or (known > 0 and stored(offset, offset + known) != data[:known]):
        raise Conflict(
            f"the log ends at byte {end}, and what was sent for byte {offset} does not continue it",
            facts={"field": "offset", "limit": end, "size": offset, "end": end},
        )
    return data[known:]


def log_closed(path: str) -> Conflict:
    """The error for bytes that come when a log is being finished."""
    return Conflict(
        f"log {path[:200]!r} is being finished and takes no more; finish it again if that got no answer",
        facts={"path": path},
    )


def pieces(file: BinaryIO, size: int | None = None) -> Iterator[bytes]:
    """What is left of ``file``, at most ``size`` bytes, in pieces of :data:`PIECE_BYTES`."""
    left = size
    while left is None or left > 0:
        piece = file.read(PIECE_BYTES if left is None else min(PIECE_BYTES, left))
        if not piece:
            return
        left = None if left is None else left - len(piece)
        yield piece


def no_content(sha256: str) -> NotFound:
    """The error for a content that is recorded, maybe, but not here."""
    return NotFound(
        f"no content with SHA-256 {sha256} is in the file store: it was recorded without being uploaded here, "
        "or removed",
        facts={"sha256": sha256},
    )
