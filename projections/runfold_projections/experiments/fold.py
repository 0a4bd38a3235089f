"""Fold events into experiments. Metric batches leave them alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from uuid import UUID

import msgspec
from msgspec import UNSET, Struct

from runfold_events.contract import events as e
from runfold_events.contract.commands import Tags
from runfold_events.contract.ids import split_stream
from runfold_events.contract.statuses import Status
from runfold_projections.projection import FoldError, FoldEvent, FoldEvents, Row, Tables, ViewTransaction
from runfold_projections.status import STATUS_EVENTS, status_after, streams_to_load

_json = msgspec.json.Encoder().encode


class ExperimentsProjection:
    """Experiments, the status and last activity of each of their runs, and counts by status."""

    name = "experiments"
    version = 2
    tables: Tables = (
        ("experiment", "experiment_id"),
        ("run", "stream"),
        ("count", "experiment_id, partition, status"),
    )

    async def apply(self, events: FoldEvents, tx: ViewTransaction) -> None:
        batch = _Batch(tx)
        mine = [event for event in events.others if event.recorded.body is not None]
        await batch.load_runs([event for event in mine if event.is_of_run])
        for event in mine:
            if event.type.startswith("experiment."):
                await batch.fold_experiment(event)
            elif event.is_of_run:
                batch.fold_run(event)
        await batch.write()


class _Experiment(Struct):
    """One row; fields stand in the order of the table's columns."""

    experiment_id: bytes
    workspace: str
    experiment: str
    description: str | None
    tags: Tags
    archived_at: int | None
    created_at: int
    created_by: str
    updated_at: int

    def to_row(self) -> Row:
        values = [getattr(self, name) for name in self.__struct_fields__]
        values[4] = _json(self.tags).decode()
        return tuple(values)


class _Run(Struct):
    """What one run contributes."""

    experiment_id: bytes
    status: Status
    updated_at: int


class _Batch:
    def __init__(self, tx: ViewTransaction) -> None:
        self._tx = tx
        self._experiments: dict[bytes, _Experiment] = {}
        self._runs: dict[str, _Run] = {}
        self._counts: Counter[tuple[bytes, int, str]] = Counter()

    async def load_runs(self, events: Sequence[FoldEvent]) -> None:
        """Read at once all runs that the events concern."""
        streams = [(stream,) for stream in streams_to_load(events)]
        for stream, experiment_id, status in await self._tx.fetch_many("run_to_fold", streams):
            self._runs[stream] = _Run(experiment_id, Status(status), 0)

    def fold_run(self, event: FoldEvent) -> None:
        recorded, body = event.recorded, None
        stream, partition = recorded.stream, recorded.partition
        run = self._runs.get(stream)
        if event.type in STATUS_EVENTS:
            body = event.body
        if isinstance(body, e.RunCreated | e.RunErased):
            self._count(run, partition, -1)
            run = self._runs[stream] = _Run(body.experiment_id.bytes, Status.NOT_STARTED, 0)
            self._count(run, partition, 1)
        if run is None:
            raise FoldError(f"{event.type} of {stream} before its run.created")
        status = run.status if body is None else status_after(body)
        if status is not run.status:
            self._count(run, partition, -1)
            run.status = status
            self._count(run, partition, 1)
        run.updated_at = recorded.recorded_at

    def _count(self, run: _Run | None, partition: int, change: int) -> None:
        if run is not None:
            self._counts[run.experiment_id, partition, run.status.value] += change

    async def fold_experiment(self, event: FoldEvent) -> None:
        body, recorded = event.body, event.recorded
        if isinstance(body, e.ExperimentCreated):
            self._experiments[body.experiment_id.bytes] = _Experiment(
                experiment_id=body.experiment_id.bytes,
                workspace=split_stream(recorded.stream)[0],
                experiment=body.experiment,
                description=body.description,
                tags=body.tags,
                archived_at=None,
                created_at=recorded.recorded_at,
                created_by=recorded.actor,
                updated_at=recorded.recorded_at,
            )
        elif isinstance(body, e.ExperimentUpdated):
            experiment = await self._experiment(recorded.stream)
            _update(experiment, body, recorded.recorded_at)
            experiment.updated_at = recorded.recorded_at

    async def _experiment(self, stream: str) -> _Experiment:
        key = UUID(split_stream(stream)[2]).bytes
        found = self._experiments.get(key)
        if found is None:
            rows = await self._tx.fetch("experiment_to_fold", (key,))
            if not rows:
                raise FoldError(f"a change of {stream} before its experiment.created")
            found = self._experiments[key] = _Experiment(*rows[0])
            found.tags = msgspec.json.decode(rows[0][4], type=Tags)
        return found

    async def write(self) -> None:
        if self._experiments:
            rows = [experiment.to_row() for experiment in self._experiments.values()]
            await self._tx.execute_many("write_experiment", rows)
        if self._runs:
            await self._tx.execute_many(
                "write_run",
                [(s, r.experiment_id, r.status.value, r.updated_at) for s, r in self._runs.items()],
            )
        changed = [(key, change) for key, change in self._counts.items() if change]
        await self._tx.execute_many("add_count", [(*key, change) for key, change in changed])
        await self._tx.execute_many("remove_zero", [key for key, change in changed if change < 0])


def _update(experiment: _Experiment, body: e.ExperimentUpdated, at: int) -> None:
    tags = {**experiment.tags, **body.set_tags}
    experiment.tags = {key: value for key, value in tags.items() if key not in body.removed_tags}
    if body.description is not UNSET:
        experiment.description = body.description
    if body.archived is not UNSET:
        experiment.archived_at = (experiment.archived_at or at) if body.archived else None
