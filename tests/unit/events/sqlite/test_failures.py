"""SQLite's errors in the words of the port."""

from __future__ import annotations

import sqlite3

import pytest

from runfold_events.contract.envelope import LedgerDamaged
from runfold_events.contract.errors import Invalid, RunfoldError, Unavailable
from runfold_events.stores.sqlite.failures import Translating, is_busy, translate

PLACE = "ledger.db"


def failure(code: int, kind: type[sqlite3.Error] = sqlite3.OperationalError) -> sqlite3.Error:
    error = kind("database is locked")
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (sqlite3.SQLITE_BUSY, Unavailable),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, Unavailable),
        (sqlite3.SQLITE_BUSY_RECOVERY, Unavailable),
        (sqlite3.SQLITE_LOCKED, Unavailable),
        (sqlite3.SQLITE_PROTOCOL, Unavailable),
        (sqlite3.SQLITE_FULL, Unavailable),
        (sqlite3.SQLITE_IOERR_FSYNC, Unavailable),
        (sqlite3.SQLITE_CANTOPEN, Unavailable),
        (sqlite3.SQLITE_READONLY_DBMOVED, Unavailable),
        (sqlite3.SQLITE_NOTADB, Invalid),
        (sqlite3.SQLITE_CORRUPT, LedgerDamaged),
    ],
)
def test_codes_become_errors_of_the_port(code: int, kind: type[RunfoldError]) -> None:
    translated = translate(failure(code), PLACE)
    assert isinstance(translated, kind)
    assert PLACE in translated.message


@pytest.mark.parametrize("code", [sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_BUSY_TIMEOUT])
def test_nobody_reads_that_a_database_is_locked(code: int) -> None:
    translated = translate(failure(code), PLACE)
    assert isinstance(translated, Unavailable)
    assert "locked" not in translated.message
    assert translated.retry_after > 0
    assert is_busy(failure(code))


def test_a_broken_constraint_is_damage() -> None:
    error = failure(sqlite3.SQLITE_CONSTRAINT_TRIGGER, sqlite3.IntegrityError)
    assert isinstance(translate(error, PLACE), LedgerDamaged)


def test_mistakes_of_the_program_stay_what_they_are() -> None:
    assert translate(failure(sqlite3.SQLITE_ERROR), PLACE) is None
    assert translate(sqlite3.ProgrammingError("Incorrect number of bindings"), PLACE) is None
    with pytest.raises(sqlite3.ProgrammingError), Translating(PLACE):
        raise sqlite3.ProgrammingError("closed")
    with pytest.raises(KeyError), Translating(PLACE):
        raise KeyError("x")


def test_the_cause_is_kept() -> None:
    error = failure(sqlite3.SQLITE_FULL)
    with pytest.raises(Unavailable, match="disk is full") as caught, Translating(PLACE):
        raise error
    assert caught.value.__cause__ is error
