"""What a store offers to be exported, and to be imported into."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol
from uuid import UUID

from msgspec import Struct

from runfold_events.check import End
from runfold_events.contract.envelope import RecordedEvent
from runfold_events.ports import EventStore, WriterMark


class StreamEnd(Struct, frozen=True):
    """A stream and how many events it has: 0 where only a writer's mark or run numbers are kept of it."""

    stream: str
    events: int


class Snapshot(Protocol):
    """One moment of a store, of all workspaces or of one. The store's own streams are no part of it."""

    async def ends(self) -> tuple[End, ...]:
        """The end of every partition of the whole store, by partition number."""
        ...

    async def totals(self) -> tuple[int, int]:
        """How many events the streams of the snapshot have by their heads, and how many those of the whole store."""
        ...

    def streams(self) -> AsyncIterator[StreamEnd]:
        """All streams in the order of their UTF-8 bytes, few at a time in memory."""
        ...

    def events(self, streams: Sequence[str]) -> AsyncIterator[RecordedEvent]:
        """All events of ``streams``, in the order of :meth:`streams` and of their numbers, few at a time in memory."""
        ...

    async def marks(self, streams: Sequence[str]) -> list[WriterMark]:
        """All writer marks of ``streams``, in the order of streams and writer ids."""
        ...

    async def run_numbers(self, streams: Sequence[str]) -> dict[str, int]:
        """The next run number of those of ``streams`` that are experiments and have given numbers."""
        ...


class Exportable(Protocol):
    """A store that can be exported."""

    @property
    def epoch(self) -> UUID: ...

    @property
    def partitions(self) -> int: ...

    def snapshot(self, workspace: str | None = None) -> AbstractAsyncContextManager[Snapshot]:
        """One snapshot, of one workspace or of all, held as long as the context lasts; writers go on meanwhile."""
        ...


class Movable(EventStore, Exportable, Protocol):
    """A store that can be exported and imported into. Importing needs no right that appending does not need."""
