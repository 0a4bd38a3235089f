"""Runs as a process writes to them: streams, their series, and commands on their way."""

from __future__ import annotations

import time
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from msgspec import Struct

from runfold_events.contract.commands import Command
from runfold_events.contract.errors import RunfoldError
from runfold_events.contract.submission import Outcome

if TYPE_CHECKING:
    from runfold._packing import SeriesDraft
    from runfold._spool_log import Segment


class Rejection(Struct, frozen=True, kw_only=True):
    """Something that was refused after the call that asked for it had returned.

    Attributes:
        command: the refused command's type, such as ``run.add_properties``.
        code: stable name of the reason, as in :attr:`runfold.errors.RunfoldError.code`.
        message: the reason in words.
        facts: the values behind the message.
        time: when it was refused, UTC.
        event_id: the refusal in the run's history; None where it is not recorded there.
        values: logged values that were refused with it.
    """

    command: str
    code: str
    message: str
    facts: dict[str, Any]
    time: datetime
    event_id: UUID | None = None
    values: int = 0


class Stream:
    """What this process knows of one stream that it writes to; shared by all handles on the same run."""

    __slots__ = (
        "announced",
        "by_log",
        "cancel_requested",
        "ended",
        "held",
        "interrupt",
        "lost_noted",
        "lost_values",
        "name",
        "next_seq",
        "of",
        "refusal",
        "rejections",
        "run_id",
        "scalars",
        "series",
        "values_twin",
        "workspace",
        "writer_id",
    )

    def __init__(
        self, workspace: str, name: str, run_id: str | None, writer_id: UUID, *, by_log: bool = False
    ) -> None:
        """``by_log``: what this writer sends goes through a command log, and nothing of it by another door."""
        self.workspace = workspace
        self.name = name
        self.run_id = run_id
        self.by_log = by_log
        self.of = self  # of a twin: the stream that calls are about
        self.values_twin: Stream | None = None
        self.series: dict[tuple[str, str], Series] = {}
        self.scalars: dict[str, Series] = {}
        self.rejections: list[Rejection] = []
        self.reset(writer_id)

    @property
    def key(self) -> str:
        """What a spool tells it from others by: of one name there are two where values go by a log."""
        return key_of(self.name, self.by_log)

    def for_values(self, writer_id: UUID) -> Stream:
        """The same stream as the writer of its values sees it, where they go by a log."""
        if self.values_twin is not None:
            return self.values_twin
        return self.take_twin(Stream(self.workspace, self.name, self.run_id, writer_id, by_log=True))

    def take_twin(self, twin: Stream) -> Stream:
        """Have ``twin`` be the writer of values; what is refused of them is told here."""
        twin.of, twin.rejections = self, self.rejections
        self.values_twin = twin
        return twin

    def reset(self, writer_id: UUID) -> None:
        """Begin as a new writer that knows and holds nothing."""
        self.writer_id = writer_id
        self.values_twin = None
        self.next_seq = 1
        self.announced = 0  # the last number that a heartbeat told of
        self.lost_values = 0  # values that found no room and are not declared lost yet
        self.lost_noted = 0  # of them, what the spool says
        self.refusal: RunfoldError | None = None  # of the run's creation: nothing more of it is sent
        self.held = False  # this process holds the run
        self.ended = False  # this process sent, or queued, a terminal command
        self.cancel_requested = False
        self.interrupt = False  # raise KeyboardInterrupt in the main thread when a cancel is requested
        self.rejections.clear()
        for series in list(self.series.values()):
            series.reset()


def key_of(name: str, by_log: bool) -> str:
    """See :attr:`Stream.key`."""
    return f"{name} by log" if by_log else name


class Series:
    """One metric of one run, as the journal knows it."""

    __slots__ = ("description", "draft", "kind", "name", "number", "segment", "stream", "written")

    def __init__(self, stream: Stream, name: str, kind: str) -> None:
        self.stream = stream
        self.name = name
        self.kind = kind
        self.description = ""
        self.reset()

    def reset(self) -> None:
        """Be unknown to the journal."""
        self.draft: SeriesDraft | None = None  # where the sender gathers its points for the batch at hand
        self.number = 0  # what records call it; 0: nothing so far
        self.segment: Segment | None = (
            None  # of the journal, where records say last what the number stands for
        )
        self.written = 0  # the journal's position behind its last value

    def describe(self, description: str) -> None:
        """Say what the metric means, from the next batch on."""
        if description != self.description:
            self.description = description
            self.segment = None


class Block(Struct, frozen=True):
    """Many points of one call: equally long columns."""

    columns: dict[str, list[Any]]
    count: int


class Pending:
    """A command on its way, or (without a command) a mark that everything before it was dealt with."""

    __slots__ = (
        "attempted",
        "command",
        "correlation_id",
        "end",
        "occurred_at",
        "ordinal",
        "outcome",
        "seq",
        "size_bytes",
        "stream",
        "values",
        "waited",
        "withdrawn",
    )

    def __init__(self, stream: Stream | None, command: Command | None, size_bytes: int = 0) -> None:
        self.stream = stream
        self.command = command
        self.occurred_at = time.time_ns() // 1_000
        self.size_bytes = size_bytes
        self.correlation_id: UUID | None = None
        self.values = 0  # logged points in it
        self.end = 0  # the journal's position behind it
        self.ordinal = 0  # its name in the log of deliveries; 0: it is not there
        self.seq = 0  # its writer's number, given when it is sent
        self.outcome: Outcome | RunfoldError | None = None
        self.attempted = False  # sent under ``seq`` without an answer: the number may be used up
        self.waited = False  # somebody waits for the outcome
        self.withdrawn = False


Value = tuple[Series, int, int | None, Any, int]
"""A logged value: its series, ns since the epoch, step, value, and the journal's position behind it."""

Entry = Value | Pending
