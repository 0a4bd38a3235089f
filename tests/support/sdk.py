"""A transport on which requests and answers get lost, over a real ledger in memory; and a sender driven by hand."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID, uuid4

import pytest

from runfold import Workspace
from runfold._connection import Connection
from runfold._embedded import EmbeddedTransport
from runfold._journal import Journal
from runfold._sender import Sender
from runfold._spool import IN_MEMORY, Place
from runfold._streams import Pending, Series, Stream
from runfold._transport import Answer, Batch
from runfold_events.contract.commands import Command, CreateRun, EnsureExperiment
from runfold_events.contract.errors import RunfoldError, Unavailable
from runfold_events.contract.ids import experiment_stream, run_stream
from runfold_events.contract.submission import Actor
from runfold_services.compose import EmbeddedTracker, open_embedded
from runfold_services.service import HeartbeatAnswer

Submit = Callable[[Batch], Answer]
Fault = Callable[[Batch, Submit], Answer]


def lose_request(batch: Batch, submit: Submit) -> Answer:
    """The other side never hears of it."""
    raise Unavailable("the request was lost")


def lose_answer(batch: Batch, submit: Submit) -> Answer:
    """The other side commits, and its answer is lost."""
    submit(batch)
    raise Unavailable("the answer was lost")


def refuse_whole(error: RunfoldError) -> Fault:
    """The other side refuses the request before it looks at its commands."""

    def fault(batch: Batch, submit: Submit) -> Answer:
        raise error

    return fault


_made: list[Wire] = []


def close_wires() -> None:
    """Close the ledger of every wire made so far: Python 3.13 warns of one that is only dropped."""
    while _made:
        wire = _made.pop()
        wire.keeps_open = False
        wire.close()


class Wire(EmbeddedTransport):
    """Every submit takes the next of ``faults``; while ``is_gone`` nothing gets through."""

    def __init__(self, service: EmbeddedTracker | None = None) -> None:
        self.service = service or open_embedded(":memory:", background=False)
        super().__init__(self.service, Actor("tester", "os"))
        self.faults: deque[Fault] = deque()
        self.batches: list[Batch] = []
        self.heartbeats: list[tuple[UUID, dict[str, int]]] = []
        self.released: list[UUID] = []
        self.is_gone = False
        self.keeps_open = False  # close() does nothing, so that a test can look at the ledger afterwards
        self._is_open = True
        _made.append(self)

    def close(self) -> None:
        if self._is_open and not self.keeps_open:
            self._is_open = False
            super().close()

    def submit(self, batch: Batch) -> Answer:
        self._check()
        self.batches.append(batch)
        if self.faults:
            return self.faults.popleft()(batch, super().submit)
        return super().submit(batch)

    def heartbeat(self, process_id: UUID, last_numbers: Mapping[str, int]) -> HeartbeatAnswer:
        self._check()
        self.heartbeats.append((process_id, dict(last_numbers)))
        return super().heartbeat(process_id, last_numbers)

    def release(self, process_id: UUID) -> None:
        self._check()
        self.released.append(process_id)
        super().release(process_id)

    def _ask(self, at: str | None, question: Any) -> Any:
        self._check()
        return super()._ask(at, question)

    def _check(self) -> None:
        if self.is_gone:
            raise Unavailable("nobody is there")

    @property
    def sent(self) -> list[list[tuple[str, int]]]:
        """Per request: (command type, number) of each command."""
        return [
            [(str(type(item.command).__struct_config__.tag), item.writer_seq) for item in batch.items]
            for batch in self.batches
        ]


class Desk:
    """A sender without a thread: the test says when it delivers, and what time it is."""

    def __init__(self, place: Place = IN_MEMORY, wire: Wire | None = None) -> None:
        self.wire = wire or Wire()
        self.now_s: float = 0.0
        self.writer_id = uuid4()
        self.tokens: list[str] = []
        self.journal = Journal(lambda: None, place, lambda: self.writer_id)
        self.sender = Sender(
            self.journal,
            lambda: self.wire,
            clock=lambda: self.now_s,
            settled=lambda token: self.tokens.append(token or ""),
            before_hold=lambda writer: None,
        )
        self.put(self.experiment(), EnsureExperiment(experiment="e"))

    def experiment(self) -> Stream:
        return Stream("w", experiment_stream("w", "e"), None, self.writer_id)

    def run(self, run_id: str, *, create: bool = True) -> Stream:
        """The stream of a run, with its creation queued."""
        stream = Stream("w", run_stream("w", run_id), run_id, self.writer_id)
        if create:
            self.put(stream, CreateRun(run_id=run_id, experiment="e"))
        return stream

    def put(self, stream: Stream, command: Command, *, waited: bool = False) -> Pending:
        pending = Pending(stream, command)
        pending.waited = waited
        self.journal.add_commands([pending])
        return pending

    def log(self, stream: Stream, name: str, *values: float) -> None:
        series = stream.series.setdefault((name, "scalar"), Series(stream, name, "scalar"))
        for value in values:
            self.journal.add(series, None, value)

    def deliver(self, requests_max: int = 50) -> None:
        """Send until nothing waits; back-off passes at once."""
        for _ in range(requests_max):
            if self.sender.is_idle:
                return
            self.now_s += self.sender.wait_s()
            self.sender.deliver()
        raise AssertionError(f"not delivered: {self.wire.sent}")

    def die(self) -> None:
        """As if the process were killed here and now: the kernel keeps its files and lets go of its lock."""
        if self.journal.spool is not None:
            self.journal.spool.leave()

    def values(self, run_id: str, name: str) -> list[Any]:
        """What the views have of a metric, in compatible order."""
        found = self.wire.metrics("w", run_id, (name,), False, None, None)
        return found[0].columns[name] if found else []

    def history(self, run_id: str) -> list[str]:
        return [entry.type for entry in self.wire.history("w", run_id, 1, 1000, None)]


def connection_over(wire: Wire, **options: Any) -> Connection:
    """A connection with its thread, that does not linger."""
    return Connection(lambda: wire, linger_s=0.0, **options)


def counted_questions(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the questions that a workspace asks from now on."""
    asked: list[str] = []
    connection = workspace._connection  # pyright: ignore[reportPrivateUsage]  # no public call counts
    ask = connection.ask

    def counting(question: Callable[[Any, str | None], Any]) -> Any:
        def call(transport: Any, at: str | None) -> Any:
            return question(_Recording(transport, asked), at)

        return ask(call)

    monkeypatch.setattr(connection, "ask", counting)
    return asked


class _Recording:
    """Notes which of another object's methods are called."""

    def __init__(self, other: Any, names: list[str]) -> None:
        self._other = other
        self._names = names

    def __getattr__(self, name: str) -> Any:
        self._names.append(name)
        return getattr(self._other, name)
