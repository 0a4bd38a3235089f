"""Points on their way into chunks and out again.

A :class:`Part` is what batches of one form brought of a series (or a piece of that), with who sent which points.
Fixed-width columns are kept as little-endian bytes, so that cutting and joining parts copies memory and touches no
value. A tail keeps a long column as its batch packed it, which is a third of the bytes: it is undone again once, when
its points are sealed.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from runfold_events.contract.columns import Budget, Codec, Column, Dtype, Packed, Values, array_of, opened
from runfold_projections.arithmetic import Undone, numpy_pays, undo_together
from runfold_projections.decoding import SENT_FROM_POINTS, Piece, Sent, Source
from runfold_projections.metrics.codec import narrow, widened
from runfold_projections.projection import Row
from runfold_projections.values import Cell, decode_cells, encode_cells

WIDTHS: Final[dict[str, int]] = {"f64": 8, "i64": 8, "bool": 1}
_SENT: Final = 2  # items of what was sent: codec and data
_NARROW: Final = 3  # items of narrow integers, as widened() takes them

_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder().decode

Payload = bytes | list[Cell]  # bytes by WIDTHS; a list for str and any

if sys.byteorder != "little":  # the contract's packed columns have the same need
    raise ImportError("runfold keeps points in little-endian memory; this machine's is big-endian")


class Part(Struct, gc=False):
    """Consecutive points of one series."""

    count: int
    sources: list[Source]
    times: bytes  # i64
    steps: bytes | None  # i64, NO_STEP where a point has none
    columns: dict[str, tuple[Dtype, Payload]]
    sent: Sent | None = None  # the same points as they came, where they came whole and packed

    def split(self, count: int) -> tuple[Part, Part]:
        """The first ``count`` points, and the rest."""
        return self._piece(0, count), self._piece(count, self.count)

    def _piece(self, start: int, stop: int) -> Part:
        words = slice(start * 8, stop * 8)
        return Part(
            stop - start,
            _cut_sources(self.sources, start, stop),
            self.times[words],
            None if self.steps is None else self.steps[words],
            {name: (dtype, _cut(dtype, data, start, stop)) for name, (dtype, data) in self.columns.items()},
        )

    def by_source(self) -> Iterator[Part]:
        """What each batch brought of it."""
        start = 0
        for _, _, _, count in self.sources:
            yield self._piece(start, start + count)
            start += count

    def to_row(self) -> Row:
        """Its points, undone."""
        columns = [
            (name, dtype, data if isinstance(data, bytes) else encode_cells(data))
            for name, (dtype, data) in self.columns.items()
        ]
        return (self.count, self.sources, self.times, self.steps, columns)

    def to_tail(self) -> Row:
        """What a tail keeps of it: as :meth:`to_row`, but columns as they were sent, as (codec, data).

        Of many points that came otherwise, times and steps are kept narrow; values are noise for the most part.
        """
        count, sources, times, steps, columns = self.to_row()
        sent = self.sent
        if sent is not None:
            times, steps = sent.times or times, sent.steps or steps
            columns = [(name, dtype, sent.columns.get(name, data)) for name, dtype, data in columns]
        elif count >= SENT_FROM_POINTS and numpy_pays(count):
            times, steps = narrow(times) or times, (steps and narrow(steps)) or steps
        return (count, columns_of_sources(sources), times, steps, columns)


def _cut_sources(sources: Sequence[Source], start: int, stop: int) -> list[Source]:
    found: list[Source] = []
    first = 0
    for writer_id, writer_seq, point, count in sources:
        begin, end = max(start, first), min(stop, first + count)
        if begin < end:
            found.append((writer_id, writer_seq, point + begin - first, end - begin))
        first += count
    return found


def columns_of_sources(sources: Sequence[Source]) -> tuple[bytes, list[Sequence[int]]]:
    """The writers, each once, and for each source the place of its own among them, and its three numbers."""
    ids, *numbers = zip(*sources, strict=True)
    writers = {writer: place for place, writer in enumerate(dict.fromkeys(ids))}
    return b"".join(writers), [[writers[writer] for writer in ids], *numbers]


def sources_of_columns(ids: bytes, columns: Sequence[Sequence[int]]) -> list[Source]:
    """Undo :func:`columns_of_sources`."""
    writers = [ids[start : start + 16] for start in range(0, len(ids), 16)]
    places, *numbers = columns
    return list(zip([writers[place] for place in places], *numbers, strict=True))


def part_of(piece: Piece) -> Part:
    """The points of a piece."""
    series = piece.series
    return Part(
        series.count,
        piece.sources,
        series.times.tobytes(),
        None if series.steps is None else series.steps.tobytes(),
        {name: (dtype, payload_of(dtype, values)) for name, (dtype, values) in series.columns.items()},
        series.sent,
    )


def pack_parts(parts: Sequence[Part]) -> bytes:
    """Consecutive parts of one series as the body of a tail row."""
    return _pack([part.to_tail() for part in parts])


def unpack_parts(body: bytes) -> list[Part]:
    """Undo :func:`pack_parts`."""
    return unpack_tails([body])[0]


def unpack_tails(bodies: Iterable[bytes]) -> list[list[Part]]:
    """Undo :func:`pack_parts` for many rows, whose packed columns are undone together."""
    tails = [_unpack(body) for body in bodies]
    undone = iter(undo_together([[column] for tail in tails for row in tail for column in _packed(*row)]))
    return [[_part_of_row(undone, *row) for row in tail] for tail in tails]


def _packed(count: int, _sources: Any, times: Any, steps: Any, columns: Sequence[Any]) -> Iterator[Packed]:
    """What is to be undone, in the order in which :func:`_part_of_row` takes it."""
    cells: list[tuple[Dtype, Any]] = [("i64", times), ("i64", steps)]
    cells += [(dtype, data) for _, dtype, data in columns]
    for dtype, cell in cells:
        if _items(cell) == _SENT:
            yield _reopened(dtype, count, cell)


def _items(cell: bytes | Sequence[Any] | None) -> int:
    """Of what stands in a tail for a column; 0 of the column itself."""
    return 0 if cell is None or isinstance(cell, bytes) else len(cell)


def _reopened(dtype: Dtype, count: int, cell: tuple[Codec, bytes]) -> Packed:
    codec, data = cell
    column = opened(Column(dtype=dtype, codec=codec, count=count, data=data), Budget())
    if not isinstance(column, Packed):
        raise TypeError(f"a tail holds a column that was never packed: {codec}")
    return column


def _part_of_row(
    undone: Iterator[Undone],
    count: int,
    sources: tuple[bytes, Sequence[Sequence[int]]],
    times: Any,
    steps: Any,
    columns: Sequence[tuple[str, Dtype, Any]],
) -> Part:
    def plain(dtype: str, cell: Any) -> Any:
        if _items(cell) == _SENT:
            return payload_of(dtype, next(undone).values)
        return widened(*cell) if _items(cell) == _NARROW else cell

    times, steps = plain("i64", times), plain("i64", steps)
    payloads: dict[str, tuple[Dtype, Payload]] = {
        name: (dtype, plain(dtype, data) if dtype in WIDTHS else decode_cells(data))
        for name, dtype, data in columns
    }
    return Part(count, sources_of_columns(*sources), times, steps, payloads)


def payload_of(dtype: str, values: Values) -> Payload:
    """Values of one type as they are kept."""
    if isinstance(values, array):
        return values.tobytes()
    return bytes(values) if dtype == "bool" else list(values)


def values_of(dtype: str, data: Payload) -> Sequence[Any]:
    """Undo :func:`payload_of`."""
    if not isinstance(data, bytes):
        return data
    if dtype == "bool":
        return [byte == 1 for byte in data]
    return array_of(dtype, data)


def join(dtype: str, pieces: Iterable[Payload]) -> Payload:
    """Payloads of one type, one after the other."""
    if dtype in WIDTHS:
        return b"".join(piece for piece in pieces if isinstance(piece, bytes))
    return [cell for piece in pieces for cell in piece]


def _cut(dtype: str, data: Payload, start: int, stop: int) -> Payload:
    width = WIDTHS.get(dtype, 1)
    return data[start * width : stop * width]
