"""Fold events into run summaries. One batch is folded in memory; each row it touches is read and written once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from msgspec import UNSET

from runfold_events.contract import events as e
from runfold_events.contract import limits
from runfold_events.contract.commands import ParamValue
from runfold_events.contract.ids import run_stream, split_stream
from runfold_events.contract.statuses import TERMINAL, Status
from runfold_projections.decoding import Piece
from runfold_projections.projection import (
    PARTITION_SHIFT,
    FoldError,
    FoldEvent,
    FoldEvents,
    Parameters,
    Tables,
    ViewTransaction,
)
from runfold_projections.runs.row import RunRow
from runfold_projections.runs.summary import MetricFold
from runfold_projections.status import streams_to_load, tags_of
from runfold_projections.values import as_number, as_text

TAG: Final = "tag"
PROPERTY: Final = "property"
PARAM: Final = "param"
_RUN_KEYS_MAX: Final = 10_000  # streams whose run key is remembered between batches


class RunsProjection:
    """Summary rows, their labels and metrics."""

    name = "runs"
    version = 3
    tables: Tables = (
        ("run", "run_key"),
        ("ancestor", "workspace, ancestor_run_id, created_at, run_key"),
        ("label", "run_key, kind, key"),
        ("metric", "run_key, name"),
    )

    def __init__(self) -> None:
        # A run's key never changes while metrics may come, and a transaction that is rolled back and folded again
        # gives the same one: what one batch has learned holds for the next.
        self._run_keys: dict[str, int] = {}

    async def apply(self, events: FoldEvents, tx: ViewTransaction) -> None:
        if len(self._run_keys) > _RUN_KEYS_MAX:
            self._run_keys.clear()
        batch = _Batch(tx, self._run_keys)
        mine = [event for event in events.others if _is_folded(event)]
        await batch.load(mine, events.pieces)
        for event in mine:
            batch.fold(event)
        for piece in events.pieces:
            batch.metrics.add(batch.run_key(piece), piece)
        await batch.write()


def _is_folded(event: FoldEvent) -> bool:
    return event.type in _TYPES and event.is_of_run and event.recorded.body is not None


class _Batch:
    """The rows that one batch of events touches."""

    def __init__(self, tx: ViewTransaction, run_keys: dict[str, int]) -> None:
        self._tx = tx
        self._runs: dict[str, RunRow] = {}  # by stream
        self._new: list[RunRow] = []
        self._labels: dict[tuple[int, str, str], Parameters] = {}
        self._removed: dict[tuple[int, str, str], None] = {}
        self._erased: list[RunRow] = []  # as they stood before
        self._run_keys = run_keys
        self.metrics = MetricFold()

    async def load(self, events: Sequence[FoldEvent], pieces: Sequence[Piece]) -> None:
        """Read at once the rows of all runs that events change, and the keys of those that are only measured."""
        changed = streams_to_load(events)
        for row in await self._tx.fetch_many("run_by_id", [_name_of(stream) for stream in changed]):
            run = RunRow.from_row(row)
            self._runs[run_stream(run.workspace, run.run_id)] = run
        known = self._run_keys.keys() | self._runs.keys() | {event.recorded.stream for event in events}
        measured = {piece.stream for piece in pieces} - known
        names = [_name_of(stream) for stream in sorted(measured)]
        for key, workspace, run_id in await self._tx.fetch_many("run_key", names):
            self._run_keys[run_stream(workspace, run_id)] = int(key)

    def run_key(self, piece: Piece) -> int:
        stream = piece.stream
        key = self._run_keys.get(stream)
        if key is None:
            run = self._runs.get(stream)
            if run is None or run.run_key > piece.partition << PARTITION_SHIFT | piece.pos:
                raise FoldError(f"metrics of {stream} before its run.created")
            key = self._run_keys[stream] = run.run_key
        return key

    def fold(self, event: FoldEvent) -> None:
        recorded, body = event.recorded, event.body
        workspace = split_stream(recorded.stream)[0]
        if isinstance(body, e.RunCreated):
            run = self._create(event, workspace, body)
        else:
            found = self._runs.get(recorded.stream)
            if isinstance(body, e.RunErased):
                run = self._erase(event, workspace, found, body)
            elif found is None:
                raise FoldError(f"{event.type} of {recorded.stream} before its run.created")
            else:
                run = found
                self._change(run, body, recorded.recorded_at)
        run.updated_at = recorded.recorded_at

    def _create(self, event: FoldEvent, workspace: str, body: e.RunCreated) -> RunRow:
        run = _stub(event, workspace, body, Status.NOT_STARTED)
        run.name, run.display_name, run.description = body.name, body.display_name, body.description
        run.run_type, run.target = body.run_type, body.target
        run.tags, run.properties = body.tags, body.properties
        self._runs[event.recorded.stream] = run
        self._new.append(run)
        self._set_labels(run, TAG, body.tags)
        self._set_labels(run, PROPERTY, body.properties)
        return run

    def _erase(self, event: FoldEvent, workspace: str, was: RunRow | None, body: e.RunErased) -> RunRow:
        """Leave what the event itself says, the same whether or not what came before could still be read."""
        stream = event.recorded.stream
        if was is not None:
            self._labels = {key: row for key, row in self._labels.items() if key[0] != was.run_key}
            if any(run is was for run in self._new):
                self._new = [run for run in self._new if run is not was]
            else:
                self._erased.append(was)
        self._run_keys.pop(stream, None)
        run = self._runs[stream] = _stub(event, workspace, body, body.status)
        run.erased = True
        self._new.append(run)
        return run

    def _change(self, run: RunRow, body: e.AnyEvent | None, recorded_at: int) -> None:
        change = _CHANGES.get(type(body))
        if change is not None:
            change(run, body, recorded_at)
        elif isinstance(body, e.ParamsLogged):
            run.params = {**run.params, **body.params}
            self._set_labels(run, PARAM, body.params)
        elif isinstance(body, e.PropertiesAdded):
            run.properties = {**run.properties, **body.properties}
            self._set_labels(run, PROPERTY, body.properties)
        elif isinstance(body, e.TagsSet):
            run.tags = {**run.tags, **body.tags}
            self._set_labels(run, TAG, body.tags)
        elif isinstance(body, e.TagsRemoved):
            run.tags = {key: value for key, value in run.tags.items() if key not in set(body.keys)}
            for key in body.keys:
                self._labels.pop((run.run_key, TAG, key), None)
                self._removed[run.run_key, TAG, key] = None

    def _set_labels(self, run: RunRow, kind: str, values: dict[str, Any]) -> None:
        for key, value in values.items():
            cell: ParamValue = value
            self._labels[run.run_key, kind, key] = (
                run.run_key,
                kind,
                key,
                run.workspace,
                as_text(cell),
                as_number(cell),
            )

    async def write(self) -> None:
        tx = self._tx
        for was in self._erased:
            key = (was.run_key,)
            for statement in ("remove_run", "remove_labels", "remove_metrics"):
                await tx.execute(statement, key)
            await tx.execute_many("remove_ancestors", _ancestors(was))
        if self._runs:
            await tx.execute_many("write_run", [run.to_row() for run in self._runs.values()])
        if self._new:
            await tx.execute_many("write_ancestor", [row for run in self._new for row in _ancestors(run)])
        if self._removed:
            await tx.execute_many("remove_label", list(self._removed))
        if self._labels:
            await tx.execute_many("write_label", list(self._labels.values()))
        await self.metrics.write(tx, {run.run_key for run in self._new})


def _name_of(stream: str) -> tuple[str, str]:
    workspace, _, run_id = split_stream(stream)
    return workspace, run_id


def _ancestors(run: RunRow) -> list[Parameters]:
    return [(run.workspace, ancestor, run.created_at, run.run_key) for ancestor in run.path[:-1]]


def _stub(event: FoldEvent, workspace: str, body: e.RunCreated | e.RunErased, status: Status) -> RunRow:
    recorded = event.recorded
    return RunRow(
        run_key=event.key,
        workspace=workspace,
        run_id=body.run_id,
        experiment=body.experiment,
        experiment_id=body.experiment_id,
        number=body.number,
        status=status,
        parent_run_id=body.parent_run_id,
        root_run_id=body.root_run_id,
        path=body.path,
        created_at=recorded.recorded_at,
        created_by=recorded.actor,
        updated_at=recorded.recorded_at,
    )


# What each event changes in the row


def _set_status(run: RunRow, status: Status, recorded_at: int) -> None:
    run.status = status
    run.status_details = None
    if status in TERMINAL:
        run.ended_at = recorded_at


def _started(run: RunRow, body: e.RunStarted, recorded_at: int) -> None:
    _set_status(run, Status.RUNNING, recorded_at)
    if run.started_at is None:  # a lost run that is adopted starts again, and has started once
        run.started_at = recorded_at


def _advanced(run: RunRow, body: e.RunAdvanced, recorded_at: int) -> None:
    _set_status(run, body.status, recorded_at)
    run.status_details = body.details


def _cancel_requested(run: RunRow, body: e.RunCancelRequested, recorded_at: int) -> None:
    _set_status(run, Status.CANCEL_REQUESTED, recorded_at)
    run.cancel_reason = body.reason


def _completed(run: RunRow, body: e.RunCompleted, recorded_at: int) -> None:
    _set_status(run, Status.COMPLETED, recorded_at)


def _failed(run: RunRow, body: e.RunFailed, recorded_at: int) -> None:
    _set_status(run, Status.FAILED, recorded_at)
    run.error = body.error


def _canceled(run: RunRow, body: e.RunCanceled, recorded_at: int) -> None:
    _set_status(run, Status.CANCELED, recorded_at)
    if body.reason is not None:
        run.cancel_reason = body.reason


def _lost(run: RunRow, body: e.RunLost, recorded_at: int) -> None:
    _set_status(run, Status.NOT_RESPONDING, recorded_at)


def _found(run: RunRow, body: e.RunFound, recorded_at: int) -> None:
    _set_status(run, body.status, recorded_at)


def _updated(run: RunRow, body: e.RunUpdated, recorded_at: int) -> None:
    if body.display_name is not UNSET:
        run.display_name = body.display_name
    if body.description is not UNSET:
        run.description = body.description


def _archived(run: RunRow, body: e.RunArchived, recorded_at: int) -> None:
    run.archived = True


def _restored(run: RunRow, body: e.RunRestored, recorded_at: int) -> None:
    run.archived = False


def _commands_lost(run: RunRow, body: e.CommandsLost, recorded_at: int) -> None:
    run.lost_commands = min(run.lost_commands + body.last - body.first + 1, limits.INT64_MAX)
    run.lost_values = min(run.lost_values + body.values, limits.INT64_MAX)


def _rejected(run: RunRow, body: e.CommandRejected, recorded_at: int) -> None:
    run.rejections += 1


_CHANGES: Final[dict[Any, Callable[[RunRow, Any, int], None]]] = {
    e.RunStarted: _started,
    e.RunAdvanced: _advanced,
    e.RunCancelRequested: _cancel_requested,
    e.RunCompleted: _completed,
    e.RunFailed: _failed,
    e.RunCanceled: _canceled,
    e.RunLost: _lost,
    e.RunFound: _found,
    e.RunUpdated: _updated,
    e.RunArchived: _archived,
    e.RunRestored: _restored,
    e.CommandsLost: _commands_lost,
    e.CommandRejected: _rejected,
}
_OTHERS: Final = (
    e.RunCreated,
    e.RunErased,
    e.ParamsLogged,
    e.PropertiesAdded,
    e.TagsSet,
    e.TagsRemoved,
    e.ArtifactRecorded,
)
_TYPES: Final = tags_of(*_CHANGES, *_OTHERS)
