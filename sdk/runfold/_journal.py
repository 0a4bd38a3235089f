"""What waits to be sent: one log of values and commands, in the order of the calls that made them.

``log()`` does nothing but append here: one record, into memory that the kernel keeps when this process is killed
(:mod:`runfold._spool_log`). One consumer (:mod:`runfold._sender`) reads behind.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import count
from typing import Any, Final
from uuid import UUID, uuid4
from zlib import crc32

import msgspec

from runfold import _spool_format as form
from runfold._journal_reader import NO_STEP, Reader, Span, wide_value
from runfold._spool import IN_MEMORY, MEMORY_BYTES_MAX, Place, Spool, open_spool
from runfold._spool_bodies import CommandBody, SeriesBody, WideBody, encode
from runfold._spool_format import (
    BOOL_WORD,
    CHECKSUM,
    FLOAT_BODY,
    FLOAT_WORD,
    INT_BODY,
    INT_WORD,
    NUMBER_RECORD_BYTES,
    Kind,
)
from runfold._spool_log import Log
from runfold._streams import Pending, Series, Stream
from runfold_events.contract.errors import Unavailable

_pack_float, _pack_int, _pack_checksum = FLOAT_BODY.pack, INT_BODY.pack, CHECKSUM.pack
_SERIES_BYTES: Final = 16 * 1024  # more than what explains a series takes
COMMANDS_BYTES_MAX: Final = 64 * 1024 * 1024  # what commands may take beyond the bound for values
_log = logging.getLogger("runfold")


class Journal:
    """The log of calls. ``add`` may be called from any thread and from signal handlers.

    Its lock is held for one copy at a time: never while anything is encoded, sent or waited for, except when a segment
    is full and the next one is made.

    Args:
        wake: called when there is something after there was nothing.
        place: where the spool is kept; it is made by the first entry.
        writer: whose spool it is.
    """

    def __init__(
        self, wake: Callable[[], None], place: Place = IN_MEMORY, writer: Callable[[], UUID] = uuid4
    ) -> None:
        self.place = place
        self._wake = wake
        self._writer = writer
        self._begin()

    def _begin(self) -> None:
        self._lock = threading.RLock()
        self.spool: Spool | None = None
        self.log = Log(None, "")  # until the spool is there: without room, so that the first entry makes it
        self.awake = False  # the sender knows that there is something
        self.full: set[Stream] = set()  # streams with values that found no room
        self.values = 0  # that wait: unread, or in a command on its way
        self.reader = Reader(self._spans, self)
        self._numbers = count(1)
        self._series: list[Series | None] = [None]
        self._pendings: dict[int, Pending] = {}  # commands and marks that were not read so far, by their end
        self._told_full = self._told_disk = self._is_opening = False

    def reset(self) -> None:
        """Begin anew, without a spool. Who calls has dealt with the one that was."""
        self._begin()

    @property
    def has_unread(self) -> bool:
        """Something is in the log that delivery has not taken."""
        return bool(self.reader.entries) or self.reader.position < self.log.end

    # Appending

    def add(self, series: Series, step: int | None, value: Any) -> bool:
        """Queue one float, int (64 bits) or bool; False when there was no room and it was counted as lost."""
        kind = type(value)  # pyright: ignore[reportUnknownVariableType]  # of anything
        with self._lock:
            segment = self.log.current
            if series.segment is not segment and not self._prepare(series, NUMBER_RECORD_BYTES):
                return self._lose(series.stream, 1)
            whole_step = NO_STEP if step is None else step
            if kind is float:
                rest = _pack_float(FLOAT_WORD, series.number, 0, time.time_ns(), whole_step, value)
            else:
                word = INT_WORD if kind is int else BOOL_WORD
                rest = _pack_int(word, series.number, 0, time.time_ns(), whole_step, value)
            while True:
                segment = self.log.current
                start = segment.end
                end = start + NUMBER_RECORD_BYTES
                record = _pack_checksum(crc32(rest, start)) + rest
                # A signal handler that logs has come in between at the latest here: see Segment.append.
                if start == segment.end and end <= segment.size and segment is series.segment:
                    segment.buffer[start:end] = record
                    segment.end = end
                    break
                if not self._prepare(series, NUMBER_RECORD_BYTES):
                    return self._lose(series.stream, 1)
            series.written = segment.base + end
            self.values += 1
            if segment.file is not None:
                segment.write_through(record, start)
        if not self.awake:
            self._is_awake()
        return True

    def add_wide(self, series: Series, step: int | None, value: Any, *, values: int) -> bool:
        """Queue a text, a row or a block of ``values`` points; False when there was no room for it."""
        with self._lock:
            if not series.number:
                self._number(series)
            body = encode(WideBody(series.number, time.time_ns(), step, wide_value(value)))
            end = 0
            while not end:
                if not self._prepare(series, form.record_bytes(len(body))):
                    return self._lose(series.stream, values)
                end = self.log.current.append(Kind.WIDE, body)
            series.written = end
            self.values += values
        self._is_awake()
        return True

    def add_commands(self, pendings: Sequence[Pending]) -> None:
        """Queue commands behind everything that was queued before.

        Raises:
            Unavailable: too much waits already; none of them is queued.
        """
        bodies = [_command_body(pending) for pending in pendings]
        with self._lock:
            for pending, body in zip(pendings, bodies, strict=True):
                self._pendings[self._append(Kind.COMMAND, body)] = pending

    def add_mark(self, mark: Pending) -> None:
        """Queue a mark: its outcome says that everything before it was dealt with."""
        with self._lock:
            self._pendings[self._append(Kind.MARK, b"")] = mark

    def withdraw(self, pending: Pending) -> None:
        """Take back a command that was not sent."""
        pending.withdrawn = True
        with self._lock:
            ends = [end for end, other in self._pendings.items() if other is pending]
            for end in ends or [pending.end]:
                self._append(Kind.WITHDRAWN, encode(end))

    def _append(self, kind: Kind, body: bytes) -> int:
        while not (end := self.log.current.append(kind, body)):
            if not self._roll(form.record_bytes(len(body)), self.place.bytes_max + COMMANDS_BYTES_MAX):
                raise Unavailable(
                    f"{self._used_bytes()} bytes of values and commands wait already; the server is gone for too long",
                    facts={"limit": self.place.bytes_max, "size": self._used_bytes()},
                )
        return end

    def _is_awake(self) -> None:
        if not self.awake:
            self.awake = True
            self._wake()

    def _lose(self, stream: Stream, values: int) -> bool:
        with self._lock:
            stream.lost_values += values
            self.full.add(stream)
        self._is_awake()
        if not self._told_full:
            self._told_full = True
            _log.warning(
                "runfold: %d bytes wait to be delivered, and there is no room for more: new values are counted and "
                "declared lost; commands are kept. RUNFOLD_SPOOL_MIB sets the bound",
                self._used_bytes(),
            )
        return False

    # Room

    def _used_bytes(self) -> int:
        return self.log.used_bytes + (0 if self.spool is None else self.spool.sends.used_bytes)

    def _number(self, series: Series) -> None:
        series.number = next(self._numbers)
        self._series.append(series)

    def _prepare(self, series: Series, size: int) -> bool:
        """Make room for a record of a series, which the same segment explains; False when there is none."""
        if not series.number:
            self._number(series)
        while True:
            segment = self.log.current
            body = b"" if series.segment is segment else encode(_series_body(series))
            needed = size + (form.record_bytes(len(body)) if body else 0)
            if segment.end + needed > segment.size:
                if not self._roll(needed + _SERIES_BYTES, self.place.bytes_max):
                    return False
            elif not body:
                return True
            elif segment.append(Kind.SERIES, body):
                series.segment = segment

    def _roll(self, size: int, bytes_max: int) -> bool:
        """Begin a segment that has room for ``size``; in memory, where the disk has none."""
        if self.spool is None and not self._open():
            return False
        log = self.log
        needed = log.next_size(size, self.place.bytes_max)
        if log.folder is not None:
            if self._used_bytes() + needed > bytes_max:
                return False
            try:
                log.roll(needed)
                self._told_full = self._told_disk = False
                return True
            except OSError as error:
                self._tell_disk(error)
        if log.memory_bytes + needed > min(bytes_max, MEMORY_BYTES_MAX):
            return False
        log.roll(needed, in_memory=True)
        self._told_full = False
        return True

    def _open(self) -> bool:
        """Make the spool; False in a signal handler that has come in between just that."""
        if self._is_opening:
            return False
        self._is_opening = True
        self.spool = open_spool(self.place, self._writer())
        self.log = self.spool.calls
        return True

    def _tell_disk(self, error: OSError) -> None:
        if not self._told_disk:
            self._told_disk = True
            _log.warning(
                "runfold: %s takes no more files (%s): what is logged from now on waits in memory, at most %d MiB, and "
                "is lost if this process is killed before it is delivered; what is there already is kept",
                self.log.folder,
                error.strerror or error,
                MEMORY_BYTES_MAX // 1024**2,
            )

    def sends(self) -> Log | None:
        """The log of deliveries beside this one, as soon as there is one."""
        return None if self.spool is None else self.spool.sends

    def sync(self) -> None:
        """Have the disk take what was written, where that is asked for."""
        if self.place.syncs and self.spool is not None:
            self.spool.sync()

    # Reading, by the sender

    def _spans(self, position: int) -> list[Span]:
        with self._lock:  # so no record is half written
            return [
                Span(segment.base, memoryview(segment.buffer), form.SEGMENT_HEADER_BYTES, segment.end)
                for segment in self.log.segments
                if segment.base + segment.end > position
            ]

    def series_of(self, number: int) -> Series:
        series = self._series[number]
        if series is None:
            raise TypeError(f"no series has the number {number}")
        return series

    def define(self, body: SeriesBody) -> None:
        """Known already: this process has numbered it."""

    def command_at(self, end: int, body: memoryview) -> Pending | None:
        return self._pendings.pop(end, None)

    def mark_at(self, end: int) -> Pending | None:
        return self._pendings.pop(end, None)

    # What has arrived

    def delivered(self, values: int) -> None:
        """So many values have arrived, or are given up."""
        if values:
            with self._lock:
                self.values -= values

    def drop_before(self, position: int) -> None:
        """Everything before ``position`` is kept elsewhere, or was delivered."""
        with self._lock:
            self.log.drop_before(position)

    @property
    def holds_delivered(self) -> bool:
        """There are segments, and nothing in them waits."""
        return bool(self.log.segments) and not self.has_unread

    def forget_delivered(self) -> bool:
        """Remove what was delivered, so that what a run erases is not left here; False when something waits."""
        with self._lock:
            return not self.has_unread and self.log.forget(self.reader.position)

    def waiting_commands(self) -> int:
        """Commands that were not read so far."""
        return sum(1 for p in list(self._pendings.values()) if p.command is not None and not p.withdrawn)

    def unread_streams(self, streams: Iterable[Stream], *, values: bool = True) -> set[Stream]:
        """Which of ``streams`` have something that delivery has not taken; without ``values``: commands."""
        if not values:
            waiting = [p for p in self._pendings.values() if p.command is not None and not p.withdrawn]
            return {p.stream for p in waiting if p.stream is not None}
        read_to = self.reader.position
        found = {s for s in streams if any(series.written > read_to for series in list(s.series.values()))}
        for entry in [*self._pendings.values(), *self.reader.entries]:
            stream = entry.stream if isinstance(entry, Pending) else entry[0].stream
            if stream is not None:
                found.add(stream)
        return found | self.full

    def take_lost(self) -> list[tuple[Stream, int]]:
        """Values that found no room since the last call, by stream."""
        with self._lock:
            lost = [(stream, stream.lost_values) for stream in self.full]
            for stream in self.full:
                stream.lost_values = 0
            self.full.clear()
        return lost


def _series_body(series: Series) -> SeriesBody:
    stream = series.stream
    return SeriesBody(
        series.number,
        stream.workspace,
        stream.name,
        stream.run_id,
        series.name,
        series.kind,
        series.description,
    )


def _command_body(pending: Pending) -> bytes:
    stream, command = pending.stream, pending.command
    if stream is None or command is None:
        raise TypeError("a command without a stream")
    return encode(
        CommandBody(
            stream.workspace,
            stream.name,
            stream.run_id,
            pending.occurred_at,
            pending.correlation_id,
            msgspec.Raw(encode(command)),
        )
    )
