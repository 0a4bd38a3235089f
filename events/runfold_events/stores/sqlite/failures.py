"""SQLite's errors in the words of the port: what may be tried again, what is damage, what is the wrong file."""

from __future__ import annotations

import sqlite3
from types import TracebackType
from typing import Final

from runfold_events.contract.envelope import LedgerDamaged
from runfold_events.contract.errors import Invalid, RunfoldError, Unavailable

RETRY_AFTER_S: Final = 1.0
RETRY_AFTER_FULL_S: Final = 10.0
_PRIMARY_CODE_MASK: Final = 0xFF  # an extended code carries its primary code in the low byte

BUSY_CODES: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL})
_DAMAGE_CODES: Final = frozenset({sqlite3.SQLITE_CORRUPT})
_REASONS: Final = {
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_IOERR: "reading or writing the disk failed",
    sqlite3.SQLITE_CANTOPEN: "the file cannot be opened",
    sqlite3.SQLITE_READONLY: "the file is read-only",
    sqlite3.SQLITE_PERM: "access to the file is denied",
    sqlite3.SQLITE_NOMEM: "memory is short",
    sqlite3.SQLITE_INTERRUPT: "the statement was interrupted",
}


def primary_code(error: sqlite3.Error) -> int:
    """SQLite's primary result code, or 0 for errors of the driver itself."""
    return getattr(error, "sqlite_errorcode", 0) & _PRIMARY_CODE_MASK


def is_busy(error: sqlite3.Error) -> bool:
    """Another connection was in the way; a later try may succeed."""
    return primary_code(error) in BUSY_CODES


def translate(error: sqlite3.Error, place: str) -> RunfoldError | None:
    """What the caller of the store at ``place`` should see; None for a mistake in the program."""
    code = primary_code(error)
    if code in BUSY_CODES:
        # Not SQLite's own "database is locked": people would look for a lock that runfold handles by itself.
        return _unavailable(place, "another program is using the file", RETRY_AFTER_S)
    if code in _REASONS:
        retry_after = RETRY_AFTER_FULL_S if code == sqlite3.SQLITE_FULL else RETRY_AFTER_S
        return _unavailable(place, _REASONS[code], retry_after)
    if code == sqlite3.SQLITE_NOTADB:
        return Invalid(f"{place} is not a runfold store: {error}", facts={"field": "path", "size": place})
    if code in _DAMAGE_CODES or isinstance(error, sqlite3.IntegrityError):
        return LedgerDamaged(f"{place}: {error}", facts={"path": place})
    return None


def _unavailable(place: str, reason: str, retry_after: float) -> Unavailable:
    return Unavailable(
        f"the store {place} is not available: {reason}", facts={"retry_after": retry_after, "path": place}
    )


class Translating:
    """``with translating:`` turns SQLite's errors into runfold's; reusable and free of allocation on the good path."""

    __slots__ = ("_place",)

    def __init__(self, place: str) -> None:
        self._place = place

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, sqlite3.Error):
            translated = translate(error, self._place)
            if translated is not None:
                raise translated from error
