"""What waits to be sent: one queue of values and commands, in the order of the calls that made them.

``log()`` does nothing but append here. One consumer (:mod:`runfold._sender`) takes entries from the left.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from msgspec import Struct

from runfold_events.contract.commands import Command
from runfold_events.contract.errors import RunfoldError
from runfold_events.contract.submission import Outcome

if TYPE_CHECKING:
    from runfold._packing import SeriesDraft

JOURNAL_CELLS_MAX: Final = 500_000  # values that wait, in the queue or in a batch on its way; about 80 MB
JOURNAL_TEXT_CHARS_MAX: Final = 32 * 1024 * 1024  # characters in values that are texts
JOURNAL_COMMANDS_MAX: Final = 100_000  # commands that wait beside the values


class Rejection(Struct, frozen=True, kw_only=True):
    """Something that was refused after the call that asked for it had returned.

    Attributes:
        command: the refused command's type, such as ``run.add_properties``.
        code: stable name of the reason, as in :attr:`runfold.errors.RunfoldError.code`.
        message: the reason in words.
        facts: the values behind the message.
        time: when it was refused, UTC.
        event_id: the refusal in the run's history; None where it is not recorded there.
        values: logged values that were refused with it.
    """

    command: str
    code: str
    message: str
    facts: dict[str, Any]
    time: datetime
    event_id: UUID | None = None
    values: int = 0


class Stream:
    """What this process knows of one stream that it writes to; shared by all handles on the same run."""

    __slots__ = (
        "announced",
        "cancel_requested",
        "ended",
        "held",
        "interrupt",
        "lost_values",
        "name",
        "next_seq",
        "refusal",
        "rejections",
        "run_id",
        "scalars",
        "series",
        "workspace",
        "writer_id",
    )

    def __init__(self, workspace: str, name: str, run_id: str | None, writer_id: UUID) -> None:
        self.workspace = workspace
        self.name = name
        self.run_id = run_id
        self.series: dict[tuple[str, str], Series] = {}
        self.scalars: dict[str, Series] = {}
        self.rejections: list[Rejection] = []
        self.reset(writer_id)

    def reset(self, writer_id: UUID) -> None:
        """Begin as a new writer that knows and holds nothing."""
        self.writer_id = writer_id
        self.next_seq = 1
        self.announced = 0  # the last number that a heartbeat told of
        self.lost_values = 0  # values that found no room and are not declared lost yet
        self.refusal: RunfoldError | None = None  # of the run's creation: nothing more of it is sent
        self.held = False  # this process holds the run
        self.ended = False  # this process sent, or queued, a terminal command
        self.cancel_requested = False
        self.interrupt = False  # raise KeyboardInterrupt in the main thread when a cancel is requested
        self.rejections.clear()
        for series in self.series.values():
            series.draft = None


class Series:
    """One metric of one run, as the journal knows it."""

    __slots__ = ("description", "draft", "kind", "name", "stream")

    def __init__(self, stream: Stream, name: str, kind: str) -> None:
        self.stream = stream
        self.name = name
        self.kind = kind
        self.description = ""
        self.draft: SeriesDraft | None = None  # where the sender gathers its points for the batch at hand


class Block(Struct, frozen=True):
    """Many points of one call: equally long columns."""

    columns: dict[str, list[Any]]
    count: int


class Pending:
    """A command on its way, or (without a command) a mark that everything before it was dealt with."""

    __slots__ = (
        "attempted",
        "cells",
        "command",
        "correlation_id",
        "occurred_at",
        "outcome",
        "seq",
        "size_bytes",
        "stream",
        "text_chars",
        "values",
        "waited",
        "withdrawn",
    )

    def __init__(self, stream: Stream | None, command: Command | None, size_bytes: int = 0) -> None:
        self.stream = stream
        self.command = command
        self.occurred_at = time.time_ns() // 1_000
        self.size_bytes = size_bytes
        self.correlation_id: UUID | None = None
        self.values = 0  # logged points in it
        self.cells = 0  # its share of the journal's bounds
        self.text_chars = 0
        self.seq = 0  # its writer's number, given when it is sent
        self.outcome: Outcome | RunfoldError | None = None
        self.attempted = False  # sent under ``seq`` without an answer: the number may be used up
        self.waited = False  # somebody waits for the outcome
        self.withdrawn = False


Entry = tuple[Series, int, int | None, Any] | Pending


class Journal:
    """The queue. ``add`` may be called from any thread; it takes no lock on its fast path.

    Appending to a deque is atomic; the count of cells may overshoot its bound by a few values when threads race,
    which is harmless.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self.entries: deque[Entry] = deque()
        self.awake = False  # the sender knows that there is something
        self.full: set[Stream] = set()  # streams with values that found no room
        self._extra_cells = (
            0  # cells that len(entries) does not count: wide entries, and batches on their way
        )
        self._text_chars = 0
        self._lock = threading.Lock()
        self._wake = wake

    def reset(self) -> None:
        """Forget everything; for the child of a fork, whose parent sends what was here."""
        self._lock = threading.Lock()
        self.entries.clear()
        self.full.clear()
        self.awake = False
        self._extra_cells = self._text_chars = 0

    @property
    def cells(self) -> int:
        """Values that wait, in the queue or on their way."""
        return len(self.entries) + self._extra_cells

    def add(self, series: Series, step: int | None, value: Any) -> bool:
        """Queue one number; False when there was no room and it was counted as lost."""
        entries = self.entries
        if len(entries) + self._extra_cells >= JOURNAL_CELLS_MAX:
            return self._lose(series.stream, 1)
        entries.append((series, time.time_ns(), step, value))
        if not self.awake:
            self.awake = True
            self._wake()
        return True

    def add_wide(
        self, series: Series, step: int | None, value: Any, *, cells: int, text_chars: int, values: int
    ) -> bool:
        """Queue a text, a row or a block of points, which weigh more than one number."""
        with self._lock:
            fits = (
                self.cells + cells <= JOURNAL_CELLS_MAX
                and self._text_chars + text_chars <= JOURNAL_TEXT_CHARS_MAX
            )
            if fits:
                self._extra_cells += cells - 1
                self._text_chars += text_chars
                self.entries.append((series, time.time_ns(), step, value))
        if not fits:
            return self._lose(series.stream, values)
        if not self.awake:
            self.awake = True
            self._wake()
        return True

    def has_room_for(self, commands: int) -> bool:
        """Whether so many commands may be queued beside the values."""
        return len(self.entries) + commands <= JOURNAL_CELLS_MAX + JOURNAL_COMMANDS_MAX

    def taken(self, entries: int) -> None:
        """The sender took so many values' entries out of the queue; they are on their way, not gone."""
        with self._lock:
            self._extra_cells += entries

    def release(self, cells: int, text_chars: int) -> None:
        """What was on its way has arrived, or is given up."""
        if cells or text_chars:
            with self._lock:
                self._extra_cells -= cells
                self._text_chars -= text_chars

    def take_lost(self) -> list[tuple[Stream, int]]:
        """Values that found no room since the last call, by stream."""
        with self._lock:
            lost = [(stream, stream.lost_values) for stream in self.full]
            for stream in self.full:
                stream.lost_values = 0
            self.full.clear()
        return lost

    def _lose(self, stream: Stream, values: int) -> bool:
        with self._lock:
            stream.lost_values += values
            self.full.add(stream)
        if not self.awake:
            self.awake = True
            self._wake()
        return False
