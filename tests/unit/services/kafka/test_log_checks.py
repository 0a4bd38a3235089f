"""Which store and which logs belong together."""

from __future__ import annotations

from uuid import UUID

import pytest

from runfold_events.contract.envelope import CHAIN_START
from runfold_events.log_door import LogRecord
from runfold_events.log_ports import Bounds, Committed, LogMismatch
from runfold_events.ports import LogMark, PartitionRow
from runfold_services.log_checks import CommandLog, Overtaken, check_commands, marked_offset

EPOCH, OTHER = UUID(int=1), UUID(int=2)
RECORD = LogRecord(0, 9, 5, b"key", b"", (("ce_writerseq", b"3"),))
MARK = LogMark(9, 5, b"key", 3)


def row(next_offset: int, mark: LogMark | None = None) -> PartitionRow:
    return PartitionRow(0, next_offset, 0, CHAIN_START, 0, mark)


def log(
    begin: int, end: int, record: LogRecord | None = None, committed: Committed | None = None
) -> CommandLog:
    return CommandLog(Bounds(begin, end), record, committed)


@pytest.mark.parametrize(
    ("cursor", "found"),
    [
        (row(0), log(0, 0)),
        (row(0), log(0, 50)),
        (row(10, MARK), log(0, 10, RECORD)),
        (row(10, MARK), log(0, 50, RECORD)),
        (row(10, MARK), log(10, 50)),  # the record was deleted by retention: nothing to compare
        (row(10, MARK), log(10, 10)),
        (row(10, MARK), log(0, 50, RECORD, Committed(10, str(EPOCH)))),
        (row(10, MARK), log(0, 50, RECORD, Committed(7, str(EPOCH)))),
        (row(10, MARK), log(0, 50, RECORD, Committed(40, str(OTHER)))),  # before `ledger restored`
        (row(10, LogMark(9, 5, b"key", None)), log(0, 50, RECORD)),  # its number could not be read
        (row(0, LogMark(-1, 0, b"")), log(0, 50, None, Committed(40, str(EPOCH)))),  # adopted just now
    ],
)
def test_what_belongs_together(cursor: PartitionRow, found: CommandLog) -> None:
    assert check_commands(cursor, found, EPOCH) is None


@pytest.mark.parametrize(
    ("cursor", "found", "code"),
    [
        (row(10, MARK), log(0, 9), "log_replaced"),
        (row(10, MARK), log(0, 0), "log_replaced"),
        (row(10, MARK), log(0, 50, None), "log_replaced"),
        (row(10, MARK), log(0, 50, LogRecord(0, 9, 6, b"key", b"", RECORD.headers)), "log_replaced"),
        (row(10, MARK), log(0, 50, LogRecord(0, 9, 5, b"kez", b"", RECORD.headers)), "log_replaced"),
        (
            row(10, MARK),
            log(0, 50, LogRecord(0, 9, 5, b"key", b"", (("ce_writerseq", b"4"),))),
            "log_replaced",
        ),
        (row(10, MARK), log(0, 50, LogRecord(0, 9, 5, b"key", b"", ())), "log_replaced"),
        (row(10, MARK), log(0, 50, RECORD, Committed(11, str(EPOCH))), "store_restored"),
        (row(0), log(0, 50, None, Committed(11, str(EPOCH))), "store_restored"),
    ],
)
def test_what_does_not(cursor: PartitionRow, found: CommandLog, code: str) -> None:
    with pytest.raises(LogMismatch) as caught:
        check_commands(cursor, found, EPOCH)
    assert caught.value.code == code
    assert caught.value.facts["partition"] == 0


@pytest.mark.parametrize(
    ("cursor", "found", "first", "last"),
    [(row(0), log(3, 50), 0, 2), (row(10, MARK), log(20, 20), 10, 19)],
)
def test_what_was_deleted_unhandled(cursor: PartitionRow, found: CommandLog, first: int, last: int) -> None:
    assert check_commands(cursor, found, EPOCH) == Overtaken(first, last)


def test_which_record_is_compared() -> None:
    assert marked_offset(row(0), Bounds(0, 9)) is None
    assert marked_offset(row(10, MARK), Bounds(0, 10)) == 9
    assert marked_offset(row(10, MARK), Bounds(0, 9)) is None
    assert marked_offset(row(10, MARK), Bounds(10, 20)) is None
