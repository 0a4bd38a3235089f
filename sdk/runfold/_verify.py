"""Proof that everything that was sent is stored: what spools and receipts say, against what the store knows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID

from msgspec import Struct

from runfold._spool import SENDS, spools_in
from runfold._spool_delivery import read_state
from runfold._spool_kept import read_receipts
from runfold._spool_log import OldLog
from runfold._transport import Transport
from runfold_events.contract.errors import Conflict, NotFound
from runfold_events.ports import Range, WriterMark


class Checked(Struct, frozen=True, kw_only=True):
    """One writer on one run.

    Attributes:
        sent: its last number that was answered, as it remembers.
        stored: the last number that the store knows of it.
        missing: numbers up to ``sent`` that the store does not know.
        lost: numbers that the writer has declared lost.
        waiting: commands in its spool that are sent next.
        note: why nothing can be said, such as an unknown run.
    """

    workspace: str
    run_id: str
    writer_id: UUID
    sent: int
    stored: int = 0
    missing: tuple[Range, ...] = ()
    lost: tuple[Range, ...] = ()
    waiting: int = 0
    note: str = ""

    @property
    def is_complete(self) -> bool:
        return not self.missing


class _Sent(Struct):
    sent: int = 0
    waiting: int = 0


_Key = tuple[str, str, UUID]  # workspace, run, writer


def verify(
    folder: Path, transport: Transport, progress: Callable[[int, int], None] = lambda done, total: None
) -> Iterator[Checked]:
    """Every writer that spools and receipts of one destination tell of.

    Raises:
        Unavailable, Unauthorized: the other side cannot be asked.
    """
    told = _told(folder)
    runs: dict[tuple[str, str], list[WriterMark] | str] = {}
    for index, ((workspace, run_id, writer_id), sent) in enumerate(sorted(told.items()), 1):
        run = (workspace, run_id)
        if run not in runs:
            runs[run] = _marks(transport, workspace, run_id)
        progress(index, len(told))
        yield _checked((workspace, run_id, writer_id), sent, runs[run])


def _told(folder: Path) -> dict[_Key, _Sent]:
    """What writers remember of themselves."""
    told: dict[_Key, _Sent] = {}
    for receipt in read_receipts(folder):
        sent = told.setdefault((receipt.workspace, receipt.run_id, receipt.writer_id), _Sent())
        sent.sent = max(sent.sent, receipt.highest)
    for spool in spools_in(folder):
        state = read_state(OldLog(spool, SENDS))
        for stream in state.streams.values():
            if stream.run_id is None:
                continue
            sent = told.setdefault((stream.workspace, stream.run_id, stream.writer_id), _Sent())
            sent.sent = max(sent.sent, stream.next_seq - 1)
            sent.waiting += sum(1 for item in state.queue if item.stream == stream.key)
    return told


def _marks(transport: Transport, workspace: str, run_id: str) -> list[WriterMark] | str:
    try:
        return transport.writers(workspace, run_id)
    except (NotFound, Conflict) as error:
        return error.message


def _checked(key: _Key, sent: _Sent, marks: list[WriterMark] | str) -> Checked:
    workspace, run_id, writer_id = key
    note = marks if isinstance(marks, str) else ""
    mark = next((m for m in marks if m.writer_id == writer_id), None) if isinstance(marks, list) else None
    return Checked(
        workspace=workspace,
        run_id=run_id,
        writer_id=writer_id,
        sent=sent.sent,
        stored=0 if mark is None else mark.highest,
        missing=missing_of(mark, sent.sent),
        lost=() if mark is None else mark.lost,
        waiting=sent.waiting,
        note=note,
    )


def missing_of(mark: WriterMark | None, sent: int) -> tuple[Range, ...]:
    """Numbers from 1 to ``sent`` that a store with this mark does not know."""
    highest = 0 if mark is None else mark.highest
    missing = [] if mark is None else [(a, min(b, sent)) for a, b in mark.gaps if a <= sent]
    if highest < sent:
        missing.append((highest + 1, sent))
    return tuple(missing)
