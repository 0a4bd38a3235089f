"""The journal's records as entries, in order: what delivery takes. Used by one thread at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import msgspec
from msgspec import Struct

from runfold import _spool_format as form
from runfold._spool_bodies import CommandBody, SeriesBody, WideBody
from runfold._spool_format import Kind
from runfold._streams import Block, Entry, Pending, Series
from runfold_events.contract.limits import INT64_MIN

ENTRIES_DECODED_MAX: Final = 20_000  # at once; what is behind them waits in the log
NO_STEP: Final = INT64_MIN


class Span(Struct, frozen=True):
    """A stretch of sound records: offsets in a segment that begins at ``base``."""

    base: int
    buffer: memoryview
    start: int
    end: int


class Meaning(Protocol):
    """What records refer to."""

    def series_of(self, number: int) -> Series:
        """What a number stands for."""
        ...

    def define(self, body: SeriesBody) -> None:
        """A number stands for this from here on."""
        ...

    def command_at(self, end: int, body: memoryview) -> Pending | None:
        """The command whose record ends at ``end``; None when it was taken back."""
        ...

    def mark_at(self, end: int) -> Pending | None:
        """The mark whose record ends at ``end``; None when nobody waits for it any more."""
        ...


class Reader:
    """Decodes records as they are taken.

    Attributes:
        entries: decoded and not taken so far; takers call :meth:`fill` when it is empty.
        position: behind the last record that was decoded.
    """

    def __init__(self, spans: Callable[[int], Sequence[Span]], meaning: Meaning, position: int = 0) -> None:
        self.entries: deque[Entry] = deque()
        self.position = position
        self._spans = spans
        self._meaning = meaning
        self._wide = msgspec.msgpack.Decoder(WideBody)
        self._series = msgspec.msgpack.Decoder(SeriesBody)

    def fill(self) -> bool:
        """Decode more; False when there is none. Numbers that follow one another are decoded together."""
        for span in self._spans(self.position):
            offset = max(span.start, self.position - span.base)
            while offset < span.end and len(self.entries) < ENTRIES_DECODED_MAX:
                offset = self._decode(span, offset)
            self.position = span.base + offset
            if len(self.entries) >= ENTRIES_DECODED_MAX:
                break
        return bool(self.entries)

    def _decode(self, span: Span, offset: int) -> int:
        """Decode the record at ``offset`` and others of its kind behind it; returns where the next one begins."""
        word = form.CHECKSUM.unpack_from(span.buffer, offset + form.CHECKSUM.size)[0]
        if word == form.FLOAT_WORD:
            return self._numbers(span, offset, word, form.FLOAT_RECORD)
        if word in _WHOLE_WORDS:
            return self._numbers(span, offset, word, form.INT_RECORD)
        kind, length = form.split_word(word)
        end = offset + form.record_bytes(length)
        body = span.buffer[offset + form.HEAD_BYTES : offset + form.HEAD_BYTES + length]
        self._other(kind, body, span.base + end)
        return end

    def _numbers(self, span: Span, offset: int, word: int, layout: Any) -> int:
        add, series_of = self.entries.append, self._meaning.series_of
        whole = (span.end - offset) // form.NUMBER_RECORD_BYTES
        stop = offset + min(whole, ENTRIES_DECODED_MAX) * form.NUMBER_RECORD_BYTES
        end = span.base + offset
        is_bool = word == form.BOOL_WORD
        for _, found, number, _, ns, step, value in layout.iter_unpack(span.buffer[offset:stop]):
            if found != word:
                break
            end += form.NUMBER_RECORD_BYTES
            add(
                (
                    series_of(number),
                    ns,
                    None if step == NO_STEP else step,
                    bool(value) if is_bool else value,
                    end,
                )
            )
        return end - span.base

    def _other(self, kind: int, body: memoryview, end: int) -> None:
        if kind == Kind.WIDE:
            wide = self._wide.decode(body)
            series = self._meaning.series_of(wide.series)
            self.entries.append((series, wide.ns, wide.step, _value(wide.value), end))
        elif kind == Kind.SERIES:
            self._meaning.define(self._series.decode(body))
        elif kind in {Kind.COMMAND, Kind.MARK}:
            meaning = self._meaning
            pending = meaning.command_at(end, body) if kind == Kind.COMMAND else meaning.mark_at(end)
            if pending is not None:
                pending.end = end
                self.entries.append(pending)


_WHOLE_WORDS: Final = frozenset({form.INT_WORD, form.BOOL_WORD})
_command_body: Final = msgspec.msgpack.Decoder(CommandBody)


def _value(kept: Any) -> Any:
    if type(kept) is list:
        count, columns = kept
        return Block(columns, count)
    return kept


def wide_value(value: Any) -> Any:
    """A text, a row or a block as a record keeps it."""
    return [value.count, value.columns] if type(value) is Block else value


def command_body(body: memoryview) -> CommandBody:
    """A command as a record keeps it."""
    return _command_body.decode(body)


def entry_end(entry: Entry) -> int:
    """The journal's position behind an entry."""
    return entry.end if isinstance(entry, Pending) else entry[4]
