"""Write a store, or one workspace of it, as lines: from one snapshot, with bounded memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from hashlib import sha256
from typing import Final

from msgspec import Struct

from runfold_events.contract.envelope import LedgerDamaged, RecordedEvent
from runfold_events.transfer.format import (
    FORMAT,
    VERSION,
    Header,
    Line,
    NumbersLine,
    Trailer,
    encode_line,
    event_line,
    mark_line,
    records_content,
)
from runfold_events.transfer.ports import Exportable, Snapshot, StreamEnd

CHUNK_EVENTS: Final = 500  # streams are read together until they have so many events
CHUNK_STREAMS_MAX: Final = 200
PROGRESS_EVENTS: Final = 200

Progress = Callable[[int, int], None]  # events done so far, events in all
Write = Callable[[bytes], object]


class Exported(Struct, frozen=True, kw_only=True):
    """What was written."""

    events: int
    artifacts: int  # recorded files, whose contents are not in what was written
    streams: int
    run_numbers: int
    writer_marks: int
    bytes: int
    sha256: str  # of everything before the trailer


async def export_ledger(
    store: Exportable, write: Write, *, workspace: str | None = None, progress: Progress | None = None
) -> Exported:
    """Write everything that ``store`` holds, or one workspace of it.

    An unchanged store gives the same bytes each time.

    Args:
        store: the store, which may be in use.
        write: takes the bytes of one line after the other.
        workspace: only this one; None: all.
        progress: called now and then with the number of events written and to write.

    Raises:
        LedgerDamaged: events are missing; what was written has no trailer and cannot be imported.
    """
    async with store.snapshot(workspace) as snapshot:
        export = _Export(snapshot, write, progress)
        await export.header(store, workspace)
        async for chunk in _chunks(snapshot.streams()):
            await export.chunk(chunk)
        return export.trailer()


async def _chunks(streams: AsyncIterator[StreamEnd]) -> AsyncIterator[list[StreamEnd]]:
    chunk: list[StreamEnd] = []
    events = 0
    async for stream in streams:
        chunk.append(stream)
        events += stream.events
        if events >= CHUNK_EVENTS or len(chunk) >= CHUNK_STREAMS_MAX:
            yield chunk
            chunk, events = [], 0
    if chunk:
        yield chunk


class _Export:
    def __init__(self, snapshot: Snapshot, write: Write, progress: Progress | None) -> None:
        self._snapshot = snapshot
        self._write = write
        self._progress = progress
        self._hash = sha256()
        self._bytes = 0
        self._total = 0
        self._events = 0
        self._artifacts = 0
        self._streams = 0
        self._marks = 0
        self._numbers = 0

    async def header(self, store: Exportable, workspace: str | None) -> None:
        ends = await self._snapshot.ends()
        self._total, in_all = await self._snapshot.totals()
        positions = sum(end.next_pos for end in ends)
        if in_all != positions:
            raise LedgerDamaged(
                f"the store has {positions} events, but its streams {in_all}",
                facts={"events": positions, "in_streams": in_all},
            )
        self._put(
            Header(
                format=FORMAT,
                version=VERSION,
                epoch=store.epoch,
                partitions=store.partitions,
                ends=tuple(end.next_pos for end in ends),
                chain_heads=tuple(end.chain_head.hex() for end in ends),
                workspace=workspace,
                events=self._total,
            )
        )

    async def chunk(self, streams: Sequence[StreamEnd]) -> None:
        """Each stream's events, run numbers and marks, one stream after the other."""
        names = [stream.stream for stream in streams]
        numbers = await self._snapshot.run_numbers(names)
        marks = {name: list[Line]() for name in names}
        for mark in await self._snapshot.marks(names):
            marks[mark.stream].append(mark_line(mark))
        events = self._snapshot.events(names)
        for stream in streams:
            await self._put_events(stream, events)
            if stream.stream in numbers:
                self._put(NumbersLine(stream=stream.stream, next_number=numbers[stream.stream]))
                self._numbers += 1
            for line in marks[stream.stream]:
                self._put(line)
            self._marks += len(marks[stream.stream])
            self._streams += 1
        beyond = await anext(events, None)
        if beyond is not None:
            raise LedgerDamaged(
                f"stream {beyond.stream} goes on behind its head, with number {beyond.stream_seq}",
                facts={"stream": beyond.stream, "stream_seq": beyond.stream_seq},
            )

    async def _put_events(self, stream: StreamEnd, events: AsyncIterator[RecordedEvent]) -> None:
        for number in range(1, stream.events + 1):
            event = await anext(events, None)
            if event is None or (event.stream, event.stream_seq) != (stream.stream, number):
                raise LedgerDamaged(
                    f"number {number} of stream {stream.stream} is missing",
                    facts={"stream": stream.stream, "stream_seq": number},
                )
            self._put(event_line(event))
            self._events += 1
            self._artifacts += records_content(event)
            if self._progress is not None and self._events % PROGRESS_EVENTS == 0:
                self._progress(self._events, self._total)

    def trailer(self) -> Exported:
        digest = self._hash.hexdigest()
        self._put(
            Trailer(events=self._events, run_numbers=self._numbers, writer_marks=self._marks, sha256=digest)
        )
        if self._progress is not None:
            self._progress(self._events, self._total)
        return Exported(
            events=self._events,
            artifacts=self._artifacts,
            streams=self._streams,
            run_numbers=self._numbers,
            writer_marks=self._marks,
            bytes=self._bytes,
            sha256=digest,
        )

    def _put(self, line: Line) -> None:
        data = encode_line(line)
        self._hash.update(data)
        self._bytes += len(data)
        self._write(data)
