"""The calls that a dead process has left, for delivery: what :class:`~runfold._journal.Journal` is to a living one."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from uuid import UUID, uuid4

import msgspec

from runfold import _spool_format as form
from runfold._journal_reader import Reader, Span, command_body, entry_end
from runfold._spool import CALLS, SENDS, Spool, read_owner
from runfold._spool_bodies import SentBody, SeriesBody, WideBody, decode_command
from runfold._spool_delivery import read_state
from runfold._spool_format import Damage, Found, Kind
from runfold._spool_log import Log, OldLog
from runfold._streams import Block, Pending, Series, Stream
from runfold_events.contract.commands import DeclareLost

_IN_DOUBT = "sent while the sender's disk was full: whether it arrived is not known"
_DAMAGED = "{} bytes of the sender's spool were damaged"


class LeftCalls:
    """A spool that this process owns now.

    Attributes:
        queue: what goes first: commands that were numbered already, or stand for what is lost.
        in_doubt: commands that may or may not have been sent, and are not sent again.
        damaged_bytes: of both logs.
    """

    def __init__(self, folder: Path, lock: int) -> None:
        self.spool = Spool(folder, lock)
        self.state = read_state(OldLog(folder, SENDS))
        owner = read_owner(folder)
        self.writer_id = _writer_of(folder) if owner is None else owner.writer_id
        self.streams: dict[str, Stream] = {}
        self.values = 0
        self.full: set[Stream] = set()
        self.in_doubt: list[Pending] = []
        self._series: dict[int, Series] = {}
        self._withdrawn: set[int] = set()
        self._found_spans: list[Span] = []
        self._damages: list[tuple[int, int]] = []  # position and size
        self._old_sends = [path for _, _, path in OldLog(folder, SENDS).segments]
        self._last_words: list[Pending] = []
        calls = OldLog(folder, CALLS)
        self._end = calls.end
        self._call_files = [(base + len(buffer), path) for base, buffer, path in calls.segments]
        self._restore_streams()
        self._scan(calls)
        self.reader = Reader(self._spans, self, self.state.upto)
        self.queue = [self._restored(item) for item in self.state.queue]
        self._settle_doubt()
        self._declare_damage()
        self.values = sum(pending.values for pending in self.queue) + self._values_after(self.reader.position)
        self._begin_sends()

    # From files

    def _restore_streams(self) -> None:
        for body in self.state.streams.values():
            stream = Stream(body.workspace, body.name, body.run_id, body.writer_id, by_log=body.by_log)
            stream.next_seq = body.next_seq
            if body.lost_values:
                stream.lost_values = body.lost_values
                self.full.add(stream)
            self.streams[body.key] = stream
        for twin in [stream for stream in self.streams.values() if stream.by_log]:
            self.stream(twin.workspace, twin.name, twin.run_id).take_twin(twin)

    def stream(self, workspace: str, name: str, run_id: str | None) -> Stream:
        """What delivery knows of a stream; one object per stream."""
        if name not in self.streams:
            self.streams[name] = Stream(workspace, name, run_id, self.writer_id)
        return self.streams[name]

    def _scan(self, calls: OldLog) -> None:
        buffers = {base: buffer for base, buffer, _ in calls.segments}
        for base, found in calls.records():
            if isinstance(found, Damage):
                if self.state.upto <= self._end:
                    self._damages.append((base + found.offset, found.size_bytes))
                continue
            if not self._is_understood(found):
                self._damages.append((base + found.offset, found.end - found.offset))
                continue
            last = self._found_spans[-1] if self._found_spans else None
            if last is not None and last.base == base and last.end == found.offset:
                self._found_spans[-1] = Span(base, last.buffer, last.start, found.end)
            else:
                self._found_spans.append(Span(base, buffers[base], found.offset, found.end))

    def _is_understood(self, found: Found) -> bool:
        """Note what a record says of others; False for a value whose series was explained in damaged bytes."""
        if found.kind == Kind.SERIES:
            self.define(msgspec.msgpack.decode(found.body, type=SeriesBody))
        elif found.kind == Kind.WITHDRAWN:
            self._withdrawn.add(msgspec.msgpack.decode(found.body, type=int))
        elif found.kind == Kind.WIDE:
            return msgspec.msgpack.decode(found.body, type=WideBody).series in self._series
        elif found.kind in {Kind.FLOAT, Kind.INT, Kind.BOOL}:
            return form.CHECKSUM.unpack_from(found.body)[0] in self._series
        return True

    def _restored(self, item: SentBody) -> Pending:
        pending = Pending(
            self.streams[item.stream], decode_command(item.command), len(bytes(item.command)) + 100
        )
        pending.ordinal = item.ordinal
        pending.occurred_at = item.occurred_at
        pending.correlation_id = item.correlation_id
        pending.values = item.values
        return pending

    def _values_after(self, position: int) -> int:
        """Count without decoding what is not needed: a second reader, thrown away."""
        reader = Reader(self._spans, _Counting(self), position)
        values = 0
        while reader.fill():
            values += sum(_points(entry[3]) for entry in reader.entries if not isinstance(entry, Pending))
            reader.entries.clear()
        return values

    # What cannot be delivered as it is

    def _settle_doubt(self) -> None:
        """Numbers that may be used up are left alone; everything that was not sent goes as a new writer."""
        doubt = self.state.doubt
        if doubt is None and not self.state.missing:
            return
        settled_to, taken_to = doubt or (self.state.upto, self.state.upto)
        lost: dict[Stream, int] = {}
        for pending in self.queue:
            self._doubt(pending.stream, pending.values, pending, lost)
        reader = Reader(self._spans, self, settled_to)
        while (reader.entries or reader.fill()) and entry_end(reader.entries[0]) <= taken_to:
            entry = reader.entries.popleft()
            if isinstance(entry, Pending):
                self._doubt(entry.stream, 0, entry, lost)
            else:
                self._doubt(entry[0].stream, _points(entry[3]), None, lost)
        self.reader.position = self.state.upto = max(taken_to, self.state.upto)
        fresh, fresh_by_log = uuid4(), uuid4()
        for stream in self.streams.values():
            stream.writer_id, stream.next_seq = fresh_by_log if stream.by_log else fresh, 1
        self.queue = [_lost(stream, _IN_DOUBT, values) for stream, values in lost.items() if stream.run_id]

    def _doubt(
        self, stream: Stream | None, values: int, pending: Pending | None, lost: dict[Stream, int]
    ) -> None:
        if stream is None:
            return
        lost[stream] = lost.get(stream, 0) + values
        if pending is not None and pending.command is not None:
            self.in_doubt.append(pending)

    def _declare_damage(self) -> None:
        """Whose values were in damaged bytes can be told when the spool is about one run; otherwise each run hears.

        That comes behind everything else, at a position of its own: who gets past it has declared.
        """
        size = sum(size for _, size in self._damages)
        runs = [stream for stream in self.streams.values() if stream.run_id is not None and not stream.by_log]
        if size and runs:
            values = size // form.NUMBER_RECORD_BYTES if len(runs) == 1 else 0
            self._last_words = [_lost(stream, _DAMAGED.format(size), values) for stream in runs]
            for pending in self._last_words:
                pending.end = self._end + 1

    @property
    def damaged_bytes(self) -> int:
        return self.state.damaged_bytes + sum(size for _, size in self._damages)

    # For delivery: see Journal

    @property
    def has_unread(self) -> bool:
        if not self.reader.entries and not self.reader.fill():
            self.reader.entries += self._last_words
            self._last_words = []
        return bool(self.reader.entries)

    def _spans(self, position: int) -> list[Span]:
        return [span for span in self._found_spans if span.base + span.end > position]

    def series_of(self, number: int) -> Series:
        return self._series[number]

    def define(self, body: SeriesBody) -> None:
        series = self._series.get(body.number)
        if series is None:
            stream = self.stream(body.workspace, body.stream, body.run_id)
            series = self._series[body.number] = Series(stream, body.name, body.kind)
        series.description = body.description

    def command_at(self, end: int, body: memoryview) -> Pending | None:
        if end in self._withdrawn:
            return None
        kept = command_body(body)
        raw = bytes(kept.command)
        stream = self.stream(kept.workspace, kept.stream, kept.run_id)
        pending = Pending(stream, decode_command(raw), len(raw) + 100)
        pending.occurred_at = kept.occurred_at
        pending.correlation_id = kept.correlation_id
        return pending

    def mark_at(self, end: int) -> Pending | None:
        return None

    def sends(self) -> Log | None:
        return self.spool.sends

    def _begin_sends(self) -> None:
        """Deliveries go on behind what is there; the first one repeats what counts of it."""
        self.spool.sends.begin_at(OldLog(self.folder, SENDS).end)

    @property
    def folder(self) -> Path:
        if self.spool.folder is None:
            raise TypeError("a spool without a folder is nobody else's")
        return self.spool.folder

    def sync(self) -> None:
        """What is here has survived already."""

    def delivered(self, values: int) -> None:
        self.values -= values

    def drop_before(self, position: int) -> None:
        """Remove files that are not needed any more."""
        if self.spool.sends.segments:
            for path in self._old_sends:
                _unlink(path)
            self._old_sends = []
        while len(self._call_files) > 1 and self._call_files[0][0] <= position:
            _unlink(self._call_files.pop(0)[1])

    def waiting_commands(self) -> int:
        return 0

    def unread_streams(self, streams: Iterable[Stream], *, values: bool = True) -> set[Stream]:
        return set()

    def take_lost(self) -> list[tuple[Stream, int]]:
        lost = [(stream, stream.lost_values) for stream in self.full]
        for stream in self.full:
            stream.lost_values = 0
        self.full.clear()
        return lost


class _Counting:
    """Means nothing: for counting."""

    def __init__(self, calls: LeftCalls) -> None:
        self.series_of = calls.series_of
        self.define = calls.define

    def command_at(self, end: int, body: memoryview) -> Pending | None:
        return None

    def mark_at(self, end: int) -> Pending | None:
        return None


def _points(value: object) -> int:
    return value.count if isinstance(value, Block) else 1


def _lost(stream: Stream, reason: str, values: int) -> Pending:
    return Pending(
        stream, DeclareLost(run_id=stream.run_id or "", first=1, last=1, reason=reason, values=values)
    )


def _writer_of(folder: Path) -> UUID:
    """A spool whose owner's file is damaged has its writer in its name."""
    with suppress(ValueError):
        return UUID(folder.name)
    return uuid4()


def _unlink(path: Path) -> None:
    with suppress(OSError):
        path.unlink()
