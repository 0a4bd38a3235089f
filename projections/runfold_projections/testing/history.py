"""Histories without a ledger: events with right places and numbers, as the rules would let them be."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from msgspec.structs import replace

from runfold_events.contract import events as e
from runfold_events.contract.codec import encode_event
from runfold_events.contract.columns import Column, pack_floats, pack_integers
from runfold_events.contract.commands import Tags
from runfold_events.contract.envelope import MSGPACK, RecordedEvent
from runfold_events.contract.ids import experiment_id, experiment_stream, partition_of, run_stream, slice_of
from runfold_events.contract.metrics import Series, encode_batch
from runfold_events.contract.statuses import Status
from runfold_events.contract.tokens import Token

WORKSPACE: Final = "default"
EXPERIMENT: Final = "exp"
WRITER: Final = UUID(int=0xA11CE)
EPOCH: Final = UUID(int=0xE)
START_US: Final = 1_700_000_000_000_000
_TICK_US: Final = 1_000


class MemorySource:
    """An event source in memory, with as many partitions as wanted."""

    def __init__(self, partitions: int = 1, epoch: UUID = EPOCH) -> None:
        self.epoch = epoch
        self.partitions = partitions
        self.events: list[list[RecordedEvent]] = [[] for _ in range(partitions)]

    async def read_public(self, partition: int, from_pos: int, events_max: int) -> list[RecordedEvent]:
        """See the port ``EventStore``."""
        return self.events[partition][from_pos : from_pos + events_max]

    async def read_several(
        self, places: Mapping[int, int], events_max: int, bytes_max: int
    ) -> list[RecordedEvent]:
        """See the port ``SharedEventSource``."""
        found: list[RecordedEvent] = []
        for partition, pos in places.items():
            for event in self.events[partition][pos : pos + events_max]:
                if sum(len(e.body or b"") for e in self.events[partition][pos : event.pos + 1]) <= bytes_max:
                    found.append(event)
        return found

    async def ends(self) -> tuple[int, ...]:
        """See the port ``EventStore``."""
        return tuple(len(events) for events in self.events)

    def token(self) -> Token:
        """The present end of every partition."""
        return Token(self.epoch, {partition: len(events) for partition, events in enumerate(self.events)})


class History:
    """Appends events to a source. Only what folds look at is filled in with care: nothing here is a ledger."""

    def __init__(self, source: MemorySource, workspace: str = WORKSPACE) -> None:
        self.source = source
        self.workspace = workspace
        self.created: dict[str, e.RunCreated] = {}
        self.status: dict[str, Status] = {}
        self._seqs: dict[str, int] = {}  # events of the streams that this object has written, by stream
        self._count = 0

    # Any event

    def append(self, stream: str, event: e.AnyEvent, **envelope: Any) -> RecordedEvent:
        """Append one event; ``envelope`` replaces what is made up."""
        content_type, body = encode_event(event)
        return self.append_body(stream, e.event_type(event), body, content_type=content_type, **envelope)

    def append_body(self, stream: str, event_type: str, body: bytes, **envelope: Any) -> RecordedEvent:
        """Append an event with any body."""
        self._count += 1
        self._seqs[stream] = self._seqs.get(stream, 0) + 1
        partition = partition_of(stream, self.source.partitions)
        events = self.source.events[partition]
        values: dict[str, Any] = {
            "id": UUID(int=self._count),
            "occurred_at": START_US + self._count * _TICK_US - 10,
            "recorded_at": START_US + self._count * _TICK_US,
            "actor": "alice",
            "actor_source": "os",
            "door": "embedded",
            "writer_id": WRITER,
            "stream_seq": self._seqs[stream],
            "writer_seq": self._seqs[stream],
        }
        recorded = RecordedEvent(
            type=event_type,
            stream=stream,
            partition=partition,
            pos=len(events),
            slice=slice_of(stream),
            epoch=self.source.epoch,
            salt=bytes(16),
            digest=bytes(32),
            chain=bytes(32),
            body=body,
            **{**values, **envelope},
        )
        events.append(recorded)
        return recorded

    # Experiments and runs

    def stream(self, run_id: str) -> str:
        """The stream of a run."""
        return run_stream(self.workspace, run_id)

    def experiment(self, name: str = EXPERIMENT, tags: Tags | None = None) -> None:
        """``experiment.created``."""
        self.append(
            experiment_stream(self.workspace, name),
            e.ExperimentCreated(
                experiment=name, experiment_id=experiment_id(self.workspace, name), tags=tags or {}
            ),
        )

    def update_experiment(self, name: str = EXPERIMENT, **changes: Any) -> None:
        """``experiment.updated``."""
        self.append(experiment_stream(self.workspace, name), e.ExperimentUpdated(**changes))

    def create(self, run_id: str, parent: str | None = None, *, start: bool = True, **fields: Any) -> None:
        """``run.created``, and ``run.started`` unless told otherwise."""
        path = (*self.created[parent].path, run_id) if parent is not None else (run_id,)
        experiment = fields.pop("experiment", EXPERIMENT)
        created = e.RunCreated(
            run_id=run_id,
            experiment=experiment,
            experiment_id=experiment_id(self.workspace, experiment),
            number=len(self.created) + 1,
            root_run_id=path[0],
            path=path,
            parent_run_id=parent,
            **fields,
        )
        self.created[run_id] = created
        self.run(run_id, created)
        self.status[run_id] = Status.NOT_STARTED
        if start:
            self.start(run_id)

    def start(self, run_id: str) -> None:
        """``run.started``."""
        self.run(run_id, e.RunStarted())
        self.status[run_id] = Status.RUNNING

    def complete(self, run_id: str) -> None:
        """``run.completed``."""
        self.run(run_id, e.RunCompleted())
        self.status[run_id] = Status.COMPLETED

    def run(self, run_id: str, event: e.AnyEvent, **envelope: Any) -> RecordedEvent:
        """Any event of a run."""
        return self.append(self.stream(run_id), event, **envelope)

    def erase(self, run_id: str, reason: str | None = None) -> None:
        """``run.erased``; the bodies before it are gone, as the store would have it."""
        stream, created = self.stream(run_id), self.created[run_id]
        events = self.source.events[partition_of(stream, self.source.partitions)]
        for index, event in enumerate(events):
            if event.stream == stream:
                events[index] = replace(event, body=None, salt=None)
        self.run(
            run_id,
            e.RunErased(
                run_id=run_id,
                experiment=created.experiment,
                experiment_id=created.experiment_id,
                number=created.number,
                root_run_id=created.root_run_id,
                path=created.path,
                parent_run_id=created.parent_run_id,
                status=self.status[run_id],
                reason=reason,
            ),
        )

    # Metrics

    def metrics(self, run_id: str, *series: Series, **envelope: Any) -> RecordedEvent:
        """``run.metrics_logged`` with these series."""
        return self.run(run_id, e.MetricsLogged(encode_batch(list(series)), MSGPACK), **envelope)

    def log(
        self, run_id: str, name: str, values: Sequence[float], first_step: int | None = 0, **envelope: Any
    ) -> RecordedEvent:
        """A batch of one float series whose steps count from ``first_step`` and whose times follow the steps."""
        return self.metrics(run_id, floats(name, values, first_step), **envelope)


def floats(
    name: str, values: Sequence[float], first_step: int | None = 0, time_ms: int | None = None
) -> Series:
    """A scalar series of floats."""
    first = first_step or 0
    start = START_US // 1_000 + first if time_ms is None else time_ms
    return Series(
        name=name,
        times=pack_integers(array("q", range(start, start + len(values)))),
        steps=None if first_step is None else pack_integers(array("q", range(first, first + len(values)))),
        columns={name: pack_floats(array("d", values))},
    )


def table(
    name: str,
    columns: Mapping[str, Column],
    times: Sequence[int],
    steps: Sequence[int | None] | None = None,
    **fields: Any,
) -> Series:
    """A series of any columns."""
    return Series(
        name=name,
        times=Column(dtype="i64", values=list(times)),
        steps=None if steps is None else Column(dtype="i64", values=list(steps)),
        columns=dict(columns),
        **fields,
    )
