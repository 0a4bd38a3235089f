"""Answers from whatever keeps the views: everything of the port but waiting, which depends on who folds."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

from msgspec.structs import replace

from runfold_events.contract import limits
from runfold_events.contract.errors import Invalid, NotFound, Unavailable
from runfold_events.contract.ids import partition_of, run_stream
from runfold_projections.artifacts import queries as artifacts
from runfold_projections.children import queries as children
from runfold_projections.experiments import queries as experiments
from runfold_projections.filters.tokens import is_storable
from runfold_projections.history import queries as history
from runfold_projections.metrics import curves
from runfold_projections.metrics import queries as metrics
from runfold_projections.metrics.curve_query import check_curve_query
from runfold_projections.model import (
    ChildCounts,
    Curve,
    CurveQuery,
    ExperimentView,
    FileInfo,
    HistoryEntry,
    Page,
    ProjectionState,
    RunGroups,
    RunQuery,
    RunView,
    SeriesData,
    SeriesInfo,
)
from runfold_projections.projection import (
    Catalogue,
    Checkpoint,
    EventSource,
    Projection,
    ViewSnapshot,
    ViewStore,
)
from runfold_projections.runner import active_checkpoint
from runfold_projections.runs import listing
from runfold_projections.runs import queries as runs


class ViewQueries:
    """Reads views; :meth:`freshen` is where an adapter sees to it that they are up to date."""

    def __init__(self, source: EventSource, store: ViewStore, projections: Sequence[Projection]) -> None:
        self._source = source
        self._store = store
        self._projections = {projection.name: projection for projection in projections}

    async def freshen(self) -> None:
        """Called before every question."""

    async def run(self, workspace: str, run_id: str) -> RunView:
        """See :class:`~runfold_projections.ports.Views`, as for all methods here."""
        async with self._reading("runs", stream=_stream(workspace, run_id)) as (view,):
            found = await runs.find_run(view, workspace, run_id)
        if found is None:
            raise _no_run(workspace, run_id)
        return found

    async def runs(self, workspace: str, query: RunQuery) -> Page:
        async with self._reading("runs") as (view,):
            return await listing.page(view, workspace, query, self._source.epoch)

    async def count(self, workspace: str, query: RunQuery) -> int:
        async with self._reading("runs") as (view,):
            return await listing.count(view, workspace, query)

    async def groups(self, workspace: str, query: RunQuery, by: str) -> RunGroups:
        async with self._reading("runs") as (view,):
            return await listing.groups(view, workspace, query, by)

    async def child_counts(self, workspace: str, run_id: str) -> ChildCounts:
        _stream(workspace, run_id)
        async with self._reading("runs", "children") as (view, counts):
            await _require(view, workspace, run_id)
            return await children.child_counts(counts, workspace, run_id)

    async def experiments(self, workspace: str, *, include_archived: bool = False) -> list[ExperimentView]:
        async with self._reading("experiments") as (view,):
            if not is_storable(workspace):
                return []
            return await experiments.experiments(view, workspace, include_archived)

    async def experiment(self, workspace: str, name: str) -> ExperimentView:
        async with self._reading("experiments") as (view,):
            findable = is_storable(workspace + name)
            found = await experiments.experiment(view, workspace, name) if findable else None
        if found is None:
            raise NotFound(
                f"there is no experiment {name!r} in workspace {workspace!r}",
                facts={"workspace": workspace, "experiment": name},
            )
        return found

    async def workspaces(self) -> list[str]:
        async with self._reading("experiments") as (view,):
            return await experiments.workspaces(view)

    async def series(self, workspace: str, run_id: str, *, recursive: bool = False) -> list[SeriesInfo]:
        _stream(workspace, run_id)
        async with self._reading("runs", "metrics") as (run_view, view):
            runs = await _run_ids(run_view, workspace, run_id, recursive)
            return await metrics.series_infos(view, {run_stream(workspace, one): one for one in runs})

    async def metrics(
        self,
        workspace: str,
        run_id: str,
        *,
        names: tuple[str, ...] = (),
        recursive: bool = False,
        points_max: int | None = None,
    ) -> list[SeriesData]:
        if points_max is not None:
            _check_number(points_max, "points_max")
        _stream(workspace, run_id)
        known = [name for name in names if is_storable(name)]
        if names and not known:
            return []
        async with self._reading("runs", "metrics") as (run_view, view):
            runs = await _run_ids(run_view, workspace, run_id, recursive)
            streams: dict[str, str] = {run_stream(workspace, one): one for one in runs}
            return await metrics.series_data(view, streams, known, points_max)

    async def curves(self, workspace: str, query: CurveQuery) -> list[Curve]:
        check_curve_query(query)
        for run_id in query.runs:
            _stream(workspace, run_id)
        known = tuple(name for name in query.names if is_storable(name))
        async with self._reading("runs", "metrics") as (run_view, view):
            if query.query is None:
                ids = await _known_runs(run_view, workspace, query.runs)
            else:
                asked = replace(query.query, fields=("run_id",))
                page = await listing.page(run_view, workspace, asked, self._source.epoch)
                ids = [run.run_id for run in page.rows]
            if query.names and not known:
                return []
            streams: dict[str, str] = {run_stream(workspace, one): one for one in ids}
            return await curves.curves(view, streams, replace(query, names=known))

    async def history(
        self, workspace: str, run_id: str, *, from_seq: int = 1, limit: int = 1_000
    ) -> list[HistoryEntry]:
        _check_number(from_seq, "from_seq")
        _check_number(limit, "limit")
        stream = _stream(workspace, run_id)
        async with self._reading("runs", "history", stream=stream) as (run_view, view):
            await _require(run_view, workspace, run_id)
            return await history.entries(view, stream, from_seq, limit)

    async def files(self, workspace: str, run_id: str, *, prefix: str = "") -> list[FileInfo]:
        stream = _stream(workspace, run_id)
        async with self._reading("runs", "artifacts", stream=stream) as (run_view, view):
            await _require(run_view, workspace, run_id)
            return await artifacts.files(view, stream, prefix) if is_storable(prefix) else []

    async def file(self, workspace: str, run_id: str, path: str) -> FileInfo:
        stream = _stream(workspace, run_id)
        async with self._reading("runs", "artifacts", stream=stream) as (run_view, view):
            await _require(run_view, workspace, run_id)
            found = await artifacts.file(view, stream, path) if is_storable(path) else None
        if found is None:
            raise NotFound(
                f"run {run_id!r} has no file {path[:200]!r}",
                facts={"workspace": workspace, "run_id": run_id, "path": path[:1_024]},
            )
        return found

    async def recorded_contents(self, workspace: str, sha256s: Sequence[str]) -> set[str]:
        async with self._reading("artifacts") as (view,):
            return await artifacts.recorded(view, workspace, sha256s)

    async def states(self) -> list[ProjectionState]:
        async with self._store.snapshot() as session:
            catalogue = await session.catalogue()
        ends = await self._source.ends()  # after the checkpoints, so that none seems to lie beyond
        found: list[ProjectionState] = []
        for (generation, partition), checkpoint in sorted(
            catalogue.checkpoints.items(),
            key=lambda item: (item[0][0].projection, item[0][0].number, item[0][1]),
        ):
            if catalogue.active.get(generation.projection) == generation:
                building = catalogue.building.get(generation.projection)
                beside = None if building is None else catalogue.checkpoints.get((building, partition))
                found.append(_state(checkpoint, beside, partition, ends))
        return found

    @asynccontextmanager
    async def _reading(
        self, *names: str, stream: str | None = None
    ) -> AsyncGenerator[list[ViewSnapshot], None]:
        """The named views, all from one moment. With ``stream`` only its partition needs to be in order."""
        await self.freshen()
        partitions = (
            range(self._source.partitions)
            if stream is None
            else (partition_of(stream, self._source.partitions),)
        )
        async with self._store.snapshot() as session:
            catalogue = await session.catalogue()
            for name in names:
                for partition in partitions:
                    self._check(catalogue, name, partition)
            yield [session.of(catalogue.active[name]) for name in names]

    def _check(self, catalogue: Catalogue, name: str, partition: int) -> None:
        checkpoint = active_checkpoint(catalogue, self._projections[name], partition)
        if checkpoint.stopped is not None:
            raise Unavailable(
                f"view {name} stopped at position {checkpoint.pos} of partition {partition}: {checkpoint.stopped}",
                facts={
                    "projection": name,
                    "partition": partition,
                    "pos": checkpoint.pos,
                    "reason": checkpoint.stopped,
                    "retry_after": 60.0,
                },
            )


def _state(
    checkpoint: Checkpoint, beside: Checkpoint | None, partition: int, ends: Sequence[int]
) -> ProjectionState:
    """``beside``: of the generation that is being built."""
    return ProjectionState(
        projection=checkpoint.generation.projection,
        version=checkpoint.generation.version,
        partition=partition,
        position=checkpoint.pos,
        end=ends[partition],
        error=checkpoint.stopped,
        rebuilt_version=None if beside is None else beside.generation.version,
        rebuilt_position=None if beside is None else beside.pos,
    )


def _stream(workspace: str, run_id: str) -> str:
    """The run's stream; there is none of a name that no store can hold."""
    if not is_storable(workspace + run_id):
        raise _no_run(workspace, run_id)
    return run_stream(workspace, run_id)


def _check_number(value: int, field: str) -> None:
    if not 1 <= value <= limits.INT64_MAX:
        raise Invalid(
            f"{field} must be at least 1 and fit 64 bits; got {value}",
            facts={"field": field, "limit": [1, limits.INT64_MAX], "size": str(value)[:80]},
        )


def _no_run(workspace: str, run_id: str) -> NotFound:
    return NotFound(
        f"there is no run {run_id!r} in workspace {workspace!r}",
        facts={"workspace": workspace, "run_id": run_id},
    )


async def _require(view: ViewSnapshot, workspace: str, run_id: str) -> None:
    if not await runs.run_exists(view, workspace, run_id):
        raise _no_run(workspace, run_id)


async def _known_runs(view: ViewSnapshot, workspace: str, run_ids: Sequence[str]) -> list[str]:
    """The runs, each once; raises :class:`NotFound` for the first that there is none of."""
    wanted = list(dict.fromkeys(run_ids))
    rows = await view.fetch_many("run_key", [(workspace, run_id) for run_id in wanted])
    found = {run_id for _, _, run_id in rows}
    for run_id in wanted:
        if run_id not in found:
            raise _no_run(workspace, run_id)
    return wanted


async def _run_ids(view: ViewSnapshot, workspace: str, run_id: str, recursive: bool) -> list[str]:
    if not recursive:
        await _require(view, workspace, run_id)
        return [run_id]
    found = await runs.run_and_descendants(view, workspace, run_id)
    if not found:
        raise _no_run(workspace, run_id)
    return found
