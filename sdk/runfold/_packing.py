"""From journal entries to commands: values of one run become one columnar batch per request."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import msgspec

from runfold._streams import Block, Entry, Pending, Series, Stream, Value
from runfold_events.contract import limits
from runfold_events.contract.commands import LogMetrics

if TYPE_CHECKING:
    from runfold._journal_reader import Reader
    from runfold_events.contract.columns import Column
    from runfold_events.contract.metrics import Series as WireSeries

# One command's share: far below the contract's limits, so that a batch is never refused for its size.
COMMAND_CELLS_MAX: Final = 50_000
COMMAND_TEXT_CHARS_MAX: Final = 512 * 1024  # at most 2 MiB of UTF-8
COMMAND_SERIES_MAX: Final = 2_000
# One request's share.
REQUEST_CELLS_MAX: Final = 100_000
REQUEST_BYTES_MAX: Final = 3 * 1024 * 1024
REQUEST_COMMANDS_MAX: Final = limits.COMMANDS_PER_REQUEST_MAX
_COMMAND_OVERHEAD_BYTES: Final = 200
_BYTES_PER_CELL: Final = 16  # before compression: an upper guess that keeps requests small

ONE_VALUE_KINDS: Final = frozenset(
    {"scalar", "image", "chart"}
)  # a point is one value, of the metric's own name

NUMBERS: Final = frozenset({float, int, bool})
Point = tuple[int, int | None, Any]  # (ns since the epoch, step, value)


class SeriesDraft:
    """Points of one metric that will go out together."""

    __slots__ = ("numbers", "points", "series")

    def __init__(self, series: Series) -> None:
        self.series = series
        self.numbers = 0  # of the points: those that are not counted in the batch so far
        self.points: list[Point] = []


class _StreamDraft:
    """What one run's next batch gathers."""

    __slots__ = ("by_name", "cells", "stream", "text_chars", "values")

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.by_name: dict[str, SeriesDraft] = {}
        self.cells = 0
        self.values = 0
        self.text_chars = 0

    def close(self) -> Pending:
        for draft in self.by_name.values():
            draft.series.draft = None
        batch = encode([wire_series(draft) for draft in self.by_name.values()])
        run_id = self.stream.run_id or ""
        pending = Pending(
            self.stream,
            LogMetrics(run_id=run_id, batch=msgspec.Raw(batch)),
            len(batch) + _COMMAND_OVERHEAD_BYTES,
        )
        pending.values = self.values
        return pending


class Packer:
    """Takes entries in order and makes commands of them. Used by one thread at a time."""

    def __init__(self) -> None:
        self._last_ns = 0  # times never decrease within a process
        self._drafts: dict[Stream, _StreamDraft] = {}
        self._packed: list[Pending] = []
        self._cells = 0
        self._bytes = 0
        self.taken_to = 0  # the journal's position behind the last entry that was taken

    def pack(self, reader: Reader, before: Sequence[Pending] = ()) -> list[Pending]:
        """The next request: ``before``, then what fits of the reader's entries, all of one workspace and writer.

        Entries that do not belong to it stay where they are.
        """
        self._packed, self._cells = list(before), 0
        entries = reader.entries
        self._bytes = sum(pending.size_bytes for pending in before)
        target = _target(before)
        while self._has_room() and (entries or reader.fill()):
            entry = entries.popleft()
            stream = entry.stream if isinstance(entry, Pending) else entry[0].stream
            if stream is not None:
                if target is None:
                    target = (stream.workspace, stream.writer_id)
                elif stream.workspace != target[0] or stream.writer_id != target[1]:
                    entries.appendleft(entry)
                    break
            if isinstance(entry, Pending):
                self.taken_to = entry.end
                self._take_command(entry)
                if entry.command is None:
                    break
            else:
                self.taken_to = entry[4]
                self._take_value(entry)
                if len(entries) > 1:
                    self._take_numbers(entries)
        for draft in list(self._drafts.values()):
            self._close(draft)
        return self._packed

    def _has_room(self) -> bool:
        return (
            self._cells < REQUEST_CELLS_MAX
            and self._bytes + self._cells * _BYTES_PER_CELL < REQUEST_BYTES_MAX
            and len(self._packed) + len(self._drafts) < REQUEST_COMMANDS_MAX
        )

    def _take_command(self, pending: Pending) -> None:
        """A run's command goes behind the values that were logged before it."""
        if pending.stream is not None and pending.stream in self._drafts:
            self._close(self._drafts[pending.stream])
        self._packed.append(pending)
        self._bytes += pending.size_bytes

    def _take_numbers(self, entries: deque[Entry]) -> None:
        """Take numbers of series that the batch has already, as long as there are any: most of what is ever logged."""
        last_ns, taken, end = self._last_ns, 0, self.taken_to
        drafts = self._drafts
        room = min(
            REQUEST_CELLS_MAX - self._cells, *(COMMAND_CELLS_MAX - draft.cells for draft in drafts.values())
        )
        room = min(room, (REQUEST_BYTES_MAX - self._bytes) // _BYTES_PER_CELL - self._cells)
        while taken < room and entries:
            entry = entries[0]
            if type(entry) is not tuple:
                break
            series, ns, step, value, end_of_entry = entry
            draft = series.draft
            if draft is None or type(value) not in NUMBERS:
                break
            entries.popleft()
            if ns < last_ns:
                ns = last_ns
            else:
                last_ns = ns
            draft.points.append((ns, step, value))
            draft.numbers += 1
            end = end_of_entry
            taken += 1
        for stream_draft in drafts.values():
            for draft in stream_draft.by_name.values():
                stream_draft.cells += draft.numbers
                stream_draft.values += draft.numbers
                draft.numbers = 0
        self._last_ns, self.taken_to = last_ns, end
        self._cells += taken
        for stream_draft in list(drafts.values()):
            if stream_draft.cells >= COMMAND_CELLS_MAX:
                self._close(stream_draft)

    def _take_value(self, entry: Value) -> None:
        series, ns, step, value, _ = entry
        self._last_ns = ns = max(ns, self._last_ns)
        draft = self._drafts.get(series.stream)
        if draft is None:
            draft = self._drafts[series.stream] = _StreamDraft(series.stream)
        points = series.draft
        if points is None:
            points = self._open(draft, series)
            draft = self._drafts[series.stream]
        points.points.append((ns, step, value))
        cells, values, text_chars = weigh(value)
        draft.cells += cells
        draft.values += values
        draft.text_chars += text_chars
        self._cells += cells
        self._bytes += text_chars * 2
        if draft.cells >= COMMAND_CELLS_MAX or draft.text_chars >= COMMAND_TEXT_CHARS_MAX:
            self._close(draft)

    def _open(self, draft: _StreamDraft, series: Series) -> SeriesDraft:
        """A name has one kind per batch, so that a point's place in its batch stays unambiguous."""
        if series.name in draft.by_name or len(draft.by_name) >= COMMAND_SERIES_MAX:
            self._close(draft)
            draft = self._drafts[series.stream] = _StreamDraft(series.stream)
        opened = draft.by_name[series.name] = series.draft = SeriesDraft(series)
        return opened

    def _close(self, draft: _StreamDraft) -> None:
        del self._drafts[draft.stream]
        if draft.by_name:
            pending = draft.close()
            self._packed.append(pending)
            self._bytes += pending.size_bytes


def _target(before: Sequence[Pending]) -> tuple[str, UUID] | None:
    """Workspace and writer that a request is for already."""
    for pending in before:
        if pending.stream is not None:
            return pending.stream.workspace, pending.stream.writer_id
    return None


def weigh(value: Any) -> tuple[int, int, int]:
    """``(cells, points, characters of text)`` of an entry's value."""
    kind = type(value)  # pyright: ignore[reportUnknownVariableType]  # of anything
    if kind is float or kind is int or kind is bool:
        return 1, 1, 0
    if kind is str:
        return 1, 1, len(value)
    if kind is dict:
        return max(len(value), 1), 1, _text_chars(value.values())
    columns = value.columns.values()
    return max(len(columns), 1) * value.count, value.count, sum(_text_chars(column) for column in columns)


def _text_chars(values: Any) -> int:
    return sum(len(value) for value in values if type(value) is str)


def encode(series: list[WireSeries]) -> bytes:
    """The wire form of a batch; the codec, with its compressor, is imported by the first one."""
    from runfold_events.contract.metrics import encode_batch

    return encode_batch(series)


def wire_series(draft: SeriesDraft) -> WireSeries:
    """One series in columns."""
    from runfold_events.contract.columns import pack_integers
    from runfold_events.contract.metrics import Series as WireSeries

    series = draft.series
    times, steps = _when(draft.points, series.kind in ONE_VALUE_KINDS)
    return WireSeries(
        name=series.name,
        kind=series.kind,  # type: ignore[arg-type]  # one of the contract's kinds, by construction
        times=pack_integers(array("q", times)),
        steps=_steps(steps),
        columns={name: column(values) for name, values in _columns(series, draft.points).items()},
        description=series.description,
    )


def _when(points: list[Point], each_is_one: bool) -> tuple[list[int], list[int | None]]:
    """Times in ms, and steps, one for each point; a block is many."""
    if each_is_one:
        return [ns // 1_000_000 for ns, _, _ in points], [step for _, step, _ in points]
    times: list[int] = []
    steps: list[int | None] = []
    for ns, step, value in points:
        count = value.count if type(value) is Block else 1
        times += [ns // 1_000_000] * count
        steps += [step] * count
    return times, steps


def _steps(steps: list[int | None]) -> Column | None:
    """Steps as a column; where some points have none, that is null, or inside packed data ``NO_STEP``."""
    from runfold_events.contract.columns import Column, pack_integers
    from runfold_events.contract.metrics import NO_STEP

    present = sum(step is not None for step in steps)
    if not present:
        return None
    packed = pack_integers(array("q", [NO_STEP if step is None else step for step in steps]))
    if packed.values is None or present == len(steps):
        return packed
    return Column(dtype="i64", values=list(steps))


def _columns(series: Series, points: list[Point]) -> dict[str, list[Any]]:
    if series.kind in ONE_VALUE_KINDS:
        return {series.name: [value for _, _, value in points]}
    if series.kind == "row":
        names = dict.fromkeys(name for _, _, row in points for name in row)
        return {name: [row.get(name) for _, _, row in points] for name in names}
    names = dict.fromkeys(name for _, _, block in points for name in block.columns)
    columns: dict[str, list[Any]] = {name: [] for name in names}
    for _, _, block in points:
        for name, cells in columns.items():
            cells.extend(block.columns.get(name) or [None] * block.count)
    return columns


def column(values: list[Any]) -> Column:
    """A typed column; ``any`` where types are mixed or a point lacks the column."""
    from runfold_events.contract.columns import Column, pack_floats, pack_integers

    kinds = set(map(type, values))
    if kinds == {float}:
        return pack_floats(array("d", values))
    if kinds == {int}:
        return pack_integers(array("q", values))
    if kinds == {bool}:
        return Column(dtype="bool", values=values)
    if kinds == {str}:
        return Column(dtype="str", values=values)
    return Column(dtype="any", values=values)
