"""Fold metric batches into series: sealed chunks of 4,096 points, and a tail of what batches brought since.

Which points stand in which chunk depends on their number alone, counted from the series' first. How events were cut
into fold batches shows only in which parts share a row of the tail.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import Struct

from runfold_events.contract.events import ERASED
from runfold_projections.decoding import Piece
from runfold_projections.metrics.chunks import CHUNK_POINTS, seal
from runfold_projections.metrics.codec import ValueCodec
from runfold_projections.metrics.points import Part, pack_parts, part_of, unpack_tails
from runfold_projections.projection import FoldEvents, Row, Tables, ViewTransaction
from runfold_projections.status import CREATED

_json = msgspec.json.Encoder().encode


class MetricsProjection:
    """Series, their chunks and tails. ``value_codec``: how values are packed from now on."""

    name = "metrics"
    version = 7
    tables: Tables = (
        ("series", "series_key"),
        ("tail", "series_key, first"),
        ("chunk", "series_key, chunk"),
        ("column", "series_key, chunk, name"),
    )

    def __init__(self, value_codec: ValueCodec = "base") -> None:
        self._value_codec: ValueCodec = value_codec

    async def apply(self, events: FoldEvents, tx: ViewTransaction) -> None:
        batch = _Batch(tx, self._value_codec)
        for event in events.others:
            if event.type == ERASED:
                await batch.erase(event.recorded.stream)
        await batch.load(events)
        for piece in events.pieces:
            batch.add(piece)
        await batch.write()


class _Series(Struct):
    """One series, and what a batch of events adds to it."""

    key: int
    stream: str
    name: str
    kind: str
    columns: list[str]
    stored: int  # points that the tables hold already
    count: int
    parts: list[Part] = []

    @property
    def fills_chunk(self) -> bool:
        return self.count // CHUNK_POINTS > self.stored // CHUNK_POINTS


class _Batch:
    def __init__(self, tx: ViewTransaction, value_codec: ValueCodec) -> None:
        self._tx = tx
        self._value_codec: ValueCodec = value_codec
        self._series: dict[tuple[str, str], _Series] = {}
        self._stored: dict[tuple[str, str], Row] = {}  # by stream and name

    async def load(self, events: FoldEvents) -> None:
        """Read at once all series that the events add to; of runs that begin among them the tables have none."""
        new = {event.recorded.stream for event in events.others if event.type in CREATED}
        wanted = {
            (piece.stream, piece.series.name): None for piece in events.pieces if piece.stream not in new
        }
        for stream, name, *row in await self._tx.fetch_many("series_to_fold", list(wanted)):
            self._stored[stream, name] = tuple(row)

    def add(self, piece: Piece) -> None:
        series = piece.series
        key = (piece.stream, series.name)
        found = self._series.get(key)
        if found is None:
            found = self._series[key] = self._begin(piece)
        found.parts.append(part_of(piece))
        found.count += series.count
        for column in series.columns:
            if column not in found.columns:
                found.columns.append(column)

    def _begin(self, piece: Piece) -> _Series:
        stream, series = piece.stream, piece.series
        stored = self._stored.get((stream, series.name))
        if stored is not None:
            key, kind, columns, count = stored
            return _Series(key, stream, series.name, kind, msgspec.json.decode(columns), count, count)
        return _Series(piece.place, stream, series.name, series.kind, [], 0, 0)

    async def erase(self, stream: str) -> None:
        """Remove all of a run."""
        keys = await self._tx.fetch("series_of_stream", (stream,))
        for statement in ("remove_tail", "remove_columns", "remove_chunks", "remove_series"):
            await self._tx.execute_many(statement, keys)

    async def write(self) -> None:
        stored_tails = await self._take_tails()
        tails: list[Row | None] = []
        chunks: list[Row] = []
        columns: list[Row] = []
        for series in self._series.values():
            if series.fills_chunk:
                parts = stored_tails.get(series.key, []) + series.parts
                tails.append(self._seal(series, parts, chunks, columns))
            else:
                tails.append(_tail_row(series.key, series.stored, series.parts))
        await self._tx.execute_many("write_chunk", chunks)
        await self._tx.execute_many("write_column", columns)
        await self._tx.execute_many("write_series", [_series_row(s) for s in self._series.values()])
        await self._tx.execute_many("write_tail", [row for row in tails if row is not None])

    async def _take_tails(self) -> dict[int, list[Part]]:
        """The tails of all series that fill a chunk now, which leave their table for that."""
        keys = [(s.key,) for s in self._series.values() if s.fills_chunk and s.stored % CHUNK_POINTS]
        found: dict[int, list[Part]] = {}
        rows = await self._tx.fetch_many("tail", keys)
        for (key, _), parts in zip(rows, unpack_tails(body for _, body in rows), strict=True):
            found.setdefault(key, []).extend(parts)
        await self._tx.execute_many("remove_tail", keys)
        return found

    def _seal(
        self, series: _Series, parts: Sequence[Part], chunks: list[Row], columns: list[Row]
    ) -> Row | None:
        """Add the rows of every chunk that is full now; returns the row of the new tail."""
        first = series.stored - series.stored % CHUNK_POINTS
        full, rest = _cut(parts)
        for number, chunk_parts in enumerate(full, first // CHUNK_POINTS):
            chunk = seal(chunk_parts, self._value_codec)
            chunks.append((series.key, number, *chunk.axes))
            columns.extend((series.key, number, *row) for row in chunk.columns)
        return _tail_row(series.key, first + len(full) * CHUNK_POINTS, rest)


def _cut(parts: Sequence[Part]) -> tuple[list[list[Part]], list[Part]]:
    """Groups of exactly CHUNK_POINTS points, and what is left over."""
    full: list[list[Part]] = []
    group: list[Part] = []
    room = CHUNK_POINTS
    for part in parts:
        rest: Part | None = part
        while rest is not None and rest.count >= room:
            head, rest = (rest, None) if rest.count == room else rest.split(room)
            full.append([*group, head])
            group, room = [], CHUNK_POINTS
        if rest is not None:
            group.append(rest)
            room -= rest.count
    return full, group


def _tail_row(key: int, first: int, parts: Sequence[Part]) -> Row | None:
    return (key, first, sum(part.count for part in parts), pack_parts(parts)) if parts else None


def _series_row(series: _Series) -> Row:
    columns = _json(series.columns).decode()
    return (series.key, series.stream, series.name, series.kind, columns, series.count)
