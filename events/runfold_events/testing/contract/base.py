"""How a contract test reaches the adapter under test."""

from __future__ import annotations

import functools
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar, Concatenate, Final, ParamSpec, TypeVar, cast
from uuid import UUID

import pytest

from runfold_events.clock import ManualClock
from runfold_events.contract.envelope import RecordedEvent
from runfold_events.ports import EventStore, Holders, Loaded, Write, WriterKey
from runfold_events.sync import run_sync
from runfold_events.testing.builders import EventBuilder, stream_in

T = TypeVar("T")
P = ParamSpec("P")
S = TypeVar("S", bound="ContractBase")
Work = Callable[[], Coroutine[Any, Any, T]]

PARTITIONS: Final = 4
LOCK_TIMEOUT_S: Final = 5.0
LOCK_TIMEOUT_SHORT_S: Final = 0.1
EVENTS_MAX: Final = 100_000
LEASE_US: Final = 120_000_000

# Streams of partition 0 and one of partition 1; the same for every adapter, since slices are part of the contract.
ONE: Final = stream_in(0, PARTITIONS, "one")
TWO: Final = stream_in(0, PARTITIONS, "two")
ELSEWHERE: Final = stream_in(1, PARTITIONS, "elsewhere")
ANN: Final = UUID(int=0xA)
BOB: Final = UUID(int=0xB)


class Scene:
    """A store with a builder of fitting events and a clock."""

    def __init__(self, store: EventStore, clock: ManualClock) -> None:
        self.store = store
        self.clock = clock
        self.build = EventBuilder(store.epoch)

    async def append(
        self, partition: int, events: Iterable[RecordedEvent] = (), **changes: Any
    ) -> list[RecordedEvent]:
        """Append ``events`` and make the other changes of a ``Write``, in one transaction."""
        async with self.store.transaction(partition) as transaction:
            placed = self.build.place(transaction.row, events)
            await transaction.write(Write(events=placed, **changes))
        return placed

    async def load(self, streams: Iterable[str] = (), writers: Iterable[WriterKey] = ()) -> Loaded:
        """What a transaction on partition 0 loads."""
        async with self.store.transaction(0) as transaction:
            return await transaction.load(streams, writers)

    async def holders(self, stream: str) -> Holders:
        """Who holds ``stream``."""
        return (await self.load([stream])).holders.get(stream, Holders())


class ContractBase(ABC):
    """What an adapter says about itself."""

    PARTITIONS: ClassVar[int] = PARTITIONS

    @abstractmethod
    async def open_store(
        self, place: Path, clock: ManualClock, *, lock_timeout_s: float = LOCK_TIMEOUT_S
    ) -> EventStore:
        """A store with ``PARTITIONS`` partitions at ``place``, created if there is none."""

    def drive(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end. Adapters that suspend bring their event loop."""
        return run_sync(coroutine)

    async def at_once(self, *works: Work[T]) -> list[T | BaseException]:
        """Do all ``works`` at the same time; results and errors in their order. Here: in threads."""
        results: list[T | BaseException] = [AssertionError("did not run")] * len(works)

        def do(index: int) -> None:
            try:
                results[index] = self.drive(works[index]())
            except BaseException as error:
                results[index] = error

        threads = [threading.Thread(target=do, args=(index,)) for index in range(len(works))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return results

    async def pass_time(self, scene: Scene, seconds: float) -> None:
        """Let the store's clock go on."""
        scene.clock.advance(seconds)

    @pytest.fixture
    def place(self, tmp_path: Path) -> Path:
        """Where the store under test is."""
        return tmp_path / "store" / "ledger.db"

    @pytest.fixture
    def scene(self, place: Path) -> Iterator[Scene]:
        """A new store."""
        clock = ManualClock()
        scene = Scene(self.drive(self.open_store(place, clock)), clock)
        yield scene
        self.drive(scene.store.close())


def driven(
    test: Callable[Concatenate[S, P], Coroutine[Any, Any, None]],
) -> Callable[Concatenate[S, P], None]:
    """Make a test of a coroutine, driven as the adapter wants it."""

    @functools.wraps(test)
    def run(self: S, /, *args: P.args, **kwargs: P.kwargs) -> None:
        self.drive(test(self, *args, **kwargs))

    return cast(Callable[Concatenate[S, P], None], run)
