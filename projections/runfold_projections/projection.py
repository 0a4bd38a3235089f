"""What a projection is, and the ports it writes and is read through. Engine-neutral: SQL stands in ``.sql`` files.

A projection folds events into tables of its own. Its statements are named (``statements.sql`` in its folder) and know
their tables by a prefix, so that the same code fills a second generation of tables beside the first one.
All coroutines may be driven without a loop when the adapter never suspends (``runfold_events.sync``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any, Final, Protocol
from uuid import UUID

from msgspec import Struct

from runfold_events.contract.codec import decode_event
from runfold_events.contract.envelope import PublicEvent
from runfold_events.contract.errors import Invalid
from runfold_events.contract.events import ERASED, METRICS_LOGGED, AnyEvent
from runfold_projections.decoding import Gathering, Piece

Row = tuple[Any, ...]
Parameters = Sequence[Any]
Tables = tuple[tuple[str, str], ...]  # (table, columns that order its rows), for dumps

PARTITION_SHIFT: Final = (
    48  # a run key is partition << 48 | pos: unique in the store, the same in every rebuild
)


class FoldError(Exception):
    """The events contradict each other in a way that no accepted history can; the projection stops on it."""


class FoldEvent:
    """A stored event that is no metric batch; its body is decoded at most once, however many projections fold it."""

    __slots__ = ("_body", "recorded", "type")

    def __init__(self, recorded: PublicEvent) -> None:
        self.recorded = recorded
        self.type = recorded.type
        self._body: AnyEvent | None = None

    @property
    def body(self) -> AnyEvent | None:
        """The decoded body; None when it was erased."""
        if self._body is None:
            self._body = decode_event(self.recorded)
        return self._body

    @property
    def is_of_run(self) -> bool:
        """True for an event of a run's stream. The store's own streams, ``_system/…``, belong to no view."""
        return self.type.startswith("run.") and "/run/" in self.recorded.stream

    @property
    def key(self) -> int:
        """The position as one number."""
        return self.recorded.partition << PARTITION_SHIFT | self.recorded.pos


class FoldEvents:
    """Events that are folded together: metric batches as pieces of series, the others one by one.

    Nearly all events are metric batches, and no projection looks at each of them: those that fold them take pieces.
    """

    def __init__(self, recorded: Sequence[PublicEvent]) -> None:
        self.recorded = recorded
        self.others = [FoldEvent(event) for event in recorded if event.type != METRICS_LOGGED]
        self._pieces: list[Piece] | None = None

    def __len__(self) -> int:
        return len(self.recorded)

    @property
    def pieces(self) -> list[Piece]:
        """What the metric batches brought, but for those of runs that were erased afterwards.

        Raises:
            Invalid: one of them is no metric batch.
        """
        if self._pieces is None:
            gathering = Gathering()
            for event in self.recorded:
                if event.type == METRICS_LOGGED:
                    if event.body is not None:
                        gathering.add(event, event.body)
                elif event.type == ERASED:
                    gathering.forget(event.stream)
            self._pieces = gathering.pieces()
        return self._pieces

    def unpack(self) -> None:
        """Make :attr:`pieces` now, before a transaction waits for them; what is wrong is said when they are used."""
        with suppress(Invalid):
            self._pieces = self.pieces

    def part(self, start: int, stop: int) -> FoldEvents:
        """Some of the events."""
        return FoldEvents(self.recorded[start:stop])


class Generation(Struct, frozen=True):
    """One set of tables of one projection. A rebuild fills the next generation beside the active one."""

    projection: str
    version: int
    number: int

    @property
    def prefix(self) -> str:
        """What the names of its tables start with."""
        return f"view_{self.projection}_v{self.version}_g{self.number}_"


class ViewSnapshot(Protocol):
    """Reads one generation's tables, all from the same moment, by named statements."""

    async def fetch(self, statement: str, parameters: Parameters = ()) -> list[Row]:
        """The rows of one statement."""
        ...

    async def fetch_many(self, statement: str, keys: Sequence[Parameters]) -> list[Row]:
        """The rows of one statement for every key, in the order of the keys."""
        ...

    async def fetch_compiled(self, sql: str, parameters: Parameters) -> list[Row]:
        """The rows of SQL made by the filter compiler, in the words of :mod:`runfold_projections.spelling`."""
        ...


class ViewTransaction(ViewSnapshot, Protocol):
    """Also writes them. Used inside a fold's transaction only."""

    async def execute(self, statement: str, parameters: Parameters = ()) -> int:
        """Run one statement; returns the number of rows it changed."""
        ...

    async def execute_many(self, statement: str, rows: Sequence[Parameters]) -> None:
        """Run one statement for every row of parameters."""
        ...


class Projection(Protocol):
    """Folds events into a view.

    ``apply`` is called with events in position order and without holes, inside the transaction that has moved the
    checkpoint over them. They may be of several partitions, one behind the other. What it writes depends on the events
    alone: neither on a clock nor on how they were cut into batches. Any exception it raises stops the projection on
    that partition; the events of several are then folded apart first.
    """

    name: str
    version: int
    tables: Tables

    async def apply(self, events: FoldEvents, tx: ViewTransaction) -> None: ...


class Checkpoint(Struct, frozen=True, kw_only=True):
    """Where one generation stands on one partition."""

    generation: Generation
    partition: int
    epoch: UUID
    pos: int  # the next position to fold
    stopped: str | None = None  # why the event at ``pos`` cannot be folded


class Move(Struct, frozen=True):
    """A checkpoint, and where a batch of events moves it."""

    checkpoint: Checkpoint
    pos: int


class Catalogue(Struct, frozen=True):
    """All generations there are and where they stand."""

    active: dict[str, Generation]  # by projection
    building: dict[str, Generation]
    checkpoints: dict[tuple[Generation, int], Checkpoint]  # by generation and partition


class ViewSession(Protocol):
    """One transaction or snapshot over all views."""

    def of(self, generation: Generation) -> ViewTransaction:
        """Access to the tables of one generation."""
        ...

    async def catalogue(self) -> Catalogue: ...

    async def advance(self, moves: Sequence[Move]) -> bool:
        """Compare and set: move checkpoints if all still stand as given.

        False when one does not: then the transaction may have moved others, and must be given up.
        """
        ...

    async def stop(self, checkpoint: Checkpoint, why: str | None) -> bool:
        """Record that the event at the checkpoint cannot be folded (None: try again); False when it has moved."""
        ...

    async def create(self, generation: Generation, state: str, partitions: int, epoch: UUID) -> None:
        """Make a generation's empty tables, ``active`` or ``building``, and checkpoints at 0."""
        ...

    async def activate(self, generation: Generation) -> None:
        """Make a generation the active one of its projection; drop every other generation of that projection."""
        ...

    async def drop(self, generation: Generation) -> None:
        """Remove a generation's tables and checkpoints."""
        ...


class ViewStore(Protocol):
    """Keeps the tables of all views."""

    def transaction(self, *, alone: bool = False) -> AbstractAsyncContextManager[ViewSession]:
        """Write. Commits at the end, rolls back on any exception.

        Who moves the same checkpoint waits for the other one's end. ``alone``: nobody else moves any checkpoint or
        changes which generations there are until the end; needed to look at the catalogue and then change it.

        Raises ``Unavailable`` when the engine cannot answer: never a reason to stop a projection.
        """
        ...

    def snapshot(self) -> AbstractAsyncContextManager[ViewSession]:
        """Read from one moment."""
        ...

    async def catalogue(self) -> Catalogue:
        """The catalogue as it is now, for who reads nothing else."""
        ...

    def is_engine_failure(self, error: BaseException) -> bool:
        """True when ``error`` is about the engine (locked, full, gone) and says nothing of what was being folded."""
        ...

    async def close(self) -> None: ...


class EventSource(Protocol):
    """What folding needs of the event store."""

    @property
    def epoch(self) -> UUID: ...

    @property
    def partitions(self) -> int: ...

    async def read_public(self, partition: int, from_pos: int, events_max: int) -> Sequence[PublicEvent]: ...

    async def ends(self) -> tuple[int, ...]: ...


class SharedEventSource(EventSource, Protocol):
    """Also reads of several partitions at once."""

    async def read_several(
        self, places: Mapping[int, int], events_max: int, bytes_max: int
    ) -> Sequence[PublicEvent]:
        """Committed events from each partition's position on, partition by partition.

        At most ``events_max`` of each, with at most ``bytes_max`` of bodies: of what is larger, none comes.
        """
        ...
