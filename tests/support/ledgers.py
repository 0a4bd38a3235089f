"""A ledger on a store in memory or in a file, with a clock that the test moves and short words for commands."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
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

WORKSPACE: Final = "w"
EXPERIMENT: Final = "exp"
ANN: Final = Actor("ann", "os")
ADMIN: Final = Actor("root", "os", admin=True)
EVENTS_MAX: Final = 1_000_000

A: Final = UUID(int=0xA)
B: Final = UUID(int=0xB)
SETUP: Final = UUID(int=0x5E7)


class Desk:
    """One ledger and what a test asks of it. Everything is synchronous."""

    def __init__(self, store: EventStore, clock: ManualClock, first_id: int = 0) -> None:
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


@contextmanager
def desk(path: Path | str = ":memory:", *, partitions: int = 1, first_id: int = 0) -> Generator[Desk]:
    """A ledger on the store at ``path``, closed afterwards. Reopening a file needs another ``first_id``."""
    clock = ManualClock()
    opened = Desk(SqliteStore.open(path, clock=clock, partitions=partitions), clock, first_id)
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
