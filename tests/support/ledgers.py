"""A ledger on a store of either engine, with a clock that the test moves and short words for commands."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Protocol, cast
from uuid import UUID

from runfold_events.clock import ManualClock
from runfold_events.contract import commands as c
from runfold_events.contract.commands import Command
from runfold_events.contract.envelope import JSON, RecordedEvent
from runfold_events.contract.ids import experiment_stream, run_stream
from runfold_events.contract.submission import Accepted, Actor, Outcome, Refused, Submission
from runfold_events.ledger import Ledger
from runfold_events.ports import EventStore, WriterMark
from runfold_events.stores.sqlite.store import SqliteStore
from runfold_events.sync import run_sync
from runfold_events.testing.builders import CountingIds
from tests.support.driven_store import DrivenLoop, DrivenStore, ShiftedClock, poison
from tests.support.postgres_store import template
from tests.support.stack import StackForTest

WORKSPACE: Final = "w"
EXPERIMENT: Final = "exp"
ANN: Final = Actor("ann", "os")
ADMIN: Final = Actor("root", "os", admin=True)
EVENTS_MAX: Final = 1_000_000
MEMORY: Final = ":memory:"

A: Final = UUID(int=0xA)
B: Final = UUID(int=0xB)
SETUP: Final = UUID(int=0x5E7)


class MovableClock(Protocol):
    """A store's clock as a test sees it."""

    def now_us(self) -> int: ...

    def advance(self, seconds: float) -> None:
        """Move by ``seconds``, also backwards."""
        ...


class Desk:
    """One ledger and what a test asks of it. Everything is synchronous."""

    def __init__(self, store: EventStore, clock: MovableClock, first_id: int = 0) -> None:
        self.store = store
        self.clock = clock
        self.ledger = Ledger(store, CountingIds(first_id))

    def handle(self, *submissions: Submission) -> list[Outcome]:
        """One batch."""
        return run_sync(self.ledger.handle(submissions))

    def send(self, writer: UUID, number: int, command: Command, **around: Any) -> Outcome:
        """One command alone."""
        (outcome,) = self.handle(self.submission(writer, number, command, **around))
        return outcome

    def submission(self, writer: UUID, number: int, command: Command, **around: Any) -> Submission:
        """A command with everything around it."""
        known: dict[str, Any] = {
            "workspace": WORKSPACE,
            "occurred_at": self.clock.now_us(),
            "actor": ADMIN if isinstance(command, c.EraseRun) else ANN,
            "door": "embedded",
            "content_type": JSON,
        }
        return Submission(command=command, writer_id=writer, writer_seq=number, **(known | around))

    def ensure(self, experiment: str = EXPERIMENT) -> None:
        """The experiment exists, by the word of a writer of its own."""
        taken(self.send(SETUP, 1, c.EnsureExperiment(experiment=experiment)))

    def create(self, run_id: str, writer: UUID = SETUP, **content: Any) -> Accepted:
        """The run exists and is Running, unless the content says otherwise."""
        return taken(self.send(writer, 1, c.CreateRun(run_id=run_id, experiment=EXPERIMENT, **content)))

    def partition_events(self, partition: int) -> list[RecordedEvent]:
        """Everything in one partition."""
        return run_sync(self.store.read(partition, 0, EVENTS_MAX))

    def all_events(self) -> list[RecordedEvent]:
        """Everything in the store, partition by partition."""
        return [event for number in range(self.store.partitions) for event in self.partition_events(number)]

    def stream_events(self, stream: str) -> list[RecordedEvent]:
        """All of one stream."""
        return run_sync(self.store.read_stream(stream, 1, EVENTS_MAX))

    def types(self, run_id: str) -> list[str]:
        """The types of a run's events, ``run.`` left out."""
        return [event.type.removeprefix("run.") for event in self.stream_events(run(run_id))]

    def mark(self, stream: str, writer: UUID) -> WriterMark | None:
        """How far a writer has come on a stream."""
        marks = {mark.writer_id: mark for mark in run_sync(self.store.writers(stream))}
        return marks.get(writer)

    def ends(self) -> tuple[int, ...]:
        """The end of every partition."""
        return run_sync(self.store.ends())

    def close(self) -> None:
        """Release the store."""
        run_sync(self.store.close())


def run(run_id: str) -> str:
    """A run's stream."""
    return run_stream(WORKSPACE, run_id)


def experiment(name: str = EXPERIMENT) -> str:
    """An experiment's stream."""
    return experiment_stream(WORKSPACE, name)


class Engine(Protocol):
    """Where the stores of a test live."""

    def open(self, path: Path | str, partitions: int) -> tuple[EventStore, MovableClock]:
        """The store at ``path``, made if it is not there, and its clock; ``:memory:`` is always a new one."""
        ...

    def poison(self, path: Path | str, kind: str) -> None:
        """From now on refuse any event of type ``kind`` whose actor is ``poison``."""
        ...


class SqliteEngine:
    """Files, and memory."""

    def open(self, path: Path | str, partitions: int) -> tuple[EventStore, MovableClock]:
        clock = ManualClock()
        return SqliteStore.open(path, clock=clock, partitions=partitions), clock

    def poison(self, path: Path | str, kind: str) -> None:
        connection = sqlite3.connect(path)
        connection.execute(
            "CREATE TRIGGER poison BEFORE INSERT ON events WHEN NEW.actor = 'poison' AND NEW.type = "
            f"'{kind}' BEGIN SELECT RAISE(ABORT, 'poisoned'); END"
        )
        connection.close()


class PostgresEngine:
    """A database for each path, through stores that are driven without a loop."""

    def __init__(self, stack: StackForTest, loop: DrivenLoop) -> None:
        self._stack = stack
        self._loop = loop
        self._dsns: dict[Path | str, str] = {}

    def open(self, path: Path | str, partitions: int) -> tuple[EventStore, MovableClock]:
        if path == MEMORY or path not in self._dsns:
            self._dsns[path] = self._stack.database(template(partitions))
        dsn = self._dsns[path]
        return cast(EventStore, DrivenStore(self._loop, dsn)), ShiftedClock(dsn)

    def poison(self, path: Path | str, kind: str) -> None:
        poison(self._dsns[path], kind)


_engine: Engine = SqliteEngine()


@contextmanager
def using(engine: Engine) -> Generator[Engine]:
    """Every desk that is opened in the block keeps its store in ``engine``."""
    global _engine  # noqa: PLW0603 - the suite runs in one thread, and its desks are opened by fixtures and bodies alike
    before, _engine = _engine, engine
    try:
        yield engine
    finally:
        _engine = before


def new_store() -> EventStore:
    """An empty store of one partition; the caller closes it."""
    return _engine.open(MEMORY, 1)[0]


def new_desk(partitions: int = 1) -> Desk:
    """A ledger on an empty store; the caller closes it."""
    return Desk(*_engine.open(MEMORY, partitions))


@contextmanager
def desk(path: Path | str = MEMORY, *, partitions: int = 1, first_id: int = 0) -> Generator[Desk]:
    """A ledger on the store at ``path``, closed afterwards. Reopening a file needs another ``first_id``."""
    store, clock = _engine.open(path, partitions)
    opened = Desk(store, clock, first_id)
    try:
        yield opened
    finally:
        opened.close()


def taken(outcome: Outcome) -> Accepted:
    """The outcome, which must be an acceptance."""
    assert isinstance(outcome, Accepted), outcome
    return outcome


def refused(outcome: Outcome, code: str) -> Refused:
    """The outcome, which must be a refusal with this code."""
    assert isinstance(outcome, Refused), outcome
    assert outcome.code == code, outcome
    return outcome


def event_types(outcome: Outcome) -> list[str]:
    """What an acceptance gave, or the rejection that a refusal was recorded as; ``run.`` left out."""
    if isinstance(outcome, Accepted):
        return [event.type.removeprefix("run.") for event in outcome.events]
    return [] if outcome.event is None else [outcome.event.type.removeprefix("run.")]
