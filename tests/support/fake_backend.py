"""A backend in a few dictionaries, for tests of what stands in front of one: it remembers what it was told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from runfold_events.contract import commands as c
from runfold_events.contract.envelope import RecordedEvent
from runfold_events.contract.errors import NotFound, PositionNotReached
from runfold_events.contract.ids import experiment_id, run_stream, slice_of
from runfold_events.contract.statuses import Status
from runfold_events.contract.submission import Accepted, EventRef, Outcome, Submission
from runfold_events.contract.tokens import Token
from runfold_events.fates import Asked, Fate
from runfold_events.ports import WriterMark
from runfold_events.rules.run_state import RunState
from runfold_events.unreadable import EntryPage, EntryQuery, EntryRecord
from runfold_projections.model import (
    ChildCounts,
    Curve,
    CurveQuery,
    ExperimentView,
    FileInfo,
    HistoryEntry,
    MetricSummary,
    Page,
    ProjectionState,
    RunGroup,
    RunGroups,
    RunQuery,
    RunView,
    SeriesData,
    SeriesInfo,
)
from runfold_projections.ports import Views
from runfold_services.compose.files import open_files
from runfold_services.service import HeartbeatAnswer

WHEN = datetime(2024, 5, 1, tzinfo=UTC)


class FakeViews:
    """Every run that was created, as it was created; queries answer all of them."""

    def __init__(self, owner: FakeBackend) -> None:
        self._owner = owner
        self.queries: list[RunQuery] = []
        self.run_views: dict[tuple[str, str], RunView] = {}
        self.series_data: list[SeriesData] = []
        self.error: str | None = None

    async def reach(self, at: Token | None, wait_s: float = 5.0) -> Token:
        now = await self._owner.token()
        if at is not None and (at.epoch != now.epoch or at.ends.get(0, 0) > now.ends[0]):
            raise PositionNotReached("not there yet", facts={"position": str(now)})
        return now

    async def run(self, workspace: str, run_id: str) -> RunView:
        try:
            return self.run_views[workspace, run_id]
        except KeyError:
            raise NotFound(f"there is no run {run_id!r}", facts={"run_id": run_id}) from None

    async def runs(self, workspace: str, query: RunQuery) -> Page:
        self.queries.append(query)
        return Page([view for (w, _), view in self.run_views.items() if w == workspace])

    async def count(self, workspace: str, query: RunQuery) -> int:
        return len((await self.runs(workspace, query)).rows)

    async def groups(self, workspace: str, query: RunQuery, by: str) -> RunGroups:
        rows = (await self.runs(workspace, query)).rows
        return RunGroups([RunGroup(value=None, count=len(rows), runs={Status.RUNNING: len(rows)})], True)

    async def child_counts(self, workspace: str, run_id: str) -> ChildCounts:
        await self.run(workspace, run_id)
        return ChildCounts(direct={Status.RUNNING: 2})

    async def experiments(self, workspace: str, *, include_archived: bool = False) -> list[ExperimentView]:
        return []

    async def experiment(self, workspace: str, name: str) -> ExperimentView:
        raise NotFound(f"there is no experiment {name!r}", facts={"experiment": name})

    async def workspaces(self) -> list[str]:
        return sorted({workspace for workspace, _ in self.run_views})

    async def files(self, workspace: str, run_id: str, *, prefix: str = "") -> list[FileInfo]:
        await self.run(workspace, run_id)
        return []

    async def file(self, workspace: str, run_id: str, path: str) -> FileInfo:
        raise NotFound(f"there is no file {path!r}", facts={"path": path})

    async def recorded_contents(self, workspace: str, sha256s: Sequence[str]) -> set[str]:
        return set()

    async def series(self, workspace: str, run_id: str, *, recursive: bool = False) -> list[SeriesInfo]:
        return [
            SeriesInfo(run_id=s.run_id, name=s.name, kind=s.kind, count=s.count) for s in self.series_data
        ]

    async def metrics(
        self,
        workspace: str,
        run_id: str,
        *,
        names: tuple[str, ...] = (),
        recursive: bool = False,
        points_max: int | None = None,
    ) -> list[SeriesData]:
        return [series for series in self.series_data if not names or series.name in names]

    async def curves(self, workspace: str, query: CurveQuery) -> list[Curve]:
        return []

    async def history(
        self, workspace: str, run_id: str, *, from_seq: int = 1, limit: int = 1_000
    ) -> list[HistoryEntry]:
        await self.run(workspace, run_id)
        return []

    async def states(self) -> list[ProjectionState]:
        end = len(self._owner.recorded)
        return [
            ProjectionState(
                projection="runs", version=1, partition=0, position=end, end=end, error=self.error
            )
        ]


class FakeBackend:
    """Accepts every command; remembers submissions in :attr:`submitted` and the calls' threads."""

    def __init__(self) -> None:
        self.epoch = uuid4()
        self.files = open_files(None, None)
        self.fake = FakeViews(self)
        self.views: Views = self.fake
        self.batches: list[list[Submission]] = []
        self.recorded: list[RecordedEvent] = []
        self.heartbeats: list[tuple[UUID, dict[str, int]]] = []
        self.released: list[UUID] = []
        self.outcomes: dict[tuple[str, UUID, int], Outcome] = {}
        self.threads: dict[str, set[str]] = {}
        self.closed = 0
        self.before_submit: Callable[[Sequence[Submission]], object] = lambda submissions: None
        self.answer: Callable[[Submission], Outcome] = self.accept

    @property
    def submitted(self) -> list[Submission]:
        """All submissions of all batches, in order."""
        return [submission for batch in self.batches for submission in batch]

    async def submit(self, submissions: Sequence[Submission]) -> list[Outcome]:
        self._note("submit")
        self.before_submit(submissions)
        self.batches.append(list(submissions))
        return [self.answer(submission) for submission in submissions]

    async def submit_free(self, submissions: Sequence[Submission]) -> list[Outcome | None]:
        return [*await self.submit(submissions)]

    def accept(self, submission: Submission) -> Accepted:
        """One event named after the command, and for a creation its view."""
        command = submission.command
        if isinstance(command, c.CreateRun):
            self.fake.run_views[submission.workspace, command.run_id] = run_view(
                command, submission.workspace
            )
        event = self._record(submission)
        ref = EventRef(event.id, event.type, event.stream, event.stream_seq, event.partition, event.pos)
        return Accepted(token=self._token(), events=(ref,), run_id=getattr(command, "run_id", None))

    def _record(self, submission: Submission) -> RecordedEvent:
        command = submission.command
        kind = "run.created" if isinstance(command, c.CreateRun) else c.command_type(command)
        event = RecordedEvent(
            id=uuid4(),
            type="experiment.created" if isinstance(command, c.EnsureExperiment) else kind,
            stream=submission.stream,
            stream_seq=1 + sum(1 for event in self.recorded if event.stream == submission.stream),
            partition=0,
            pos=len(self.recorded),
            slice=slice_of(submission.stream),
            epoch=self.epoch,
            occurred_at=submission.occurred_at,
            recorded_at=submission.occurred_at,
            actor=submission.actor.name,
            actor_source=submission.actor.source,
            door=submission.door,
            writer_id=submission.writer_id,
            writer_seq=submission.writer_seq,
            salt=bytes(16),
            digest=bytes(32),
            chain=bytes(32),
            body=b"{}",
        )
        self.recorded.append(event)
        return event

    async def heartbeat(
        self, process_id: UUID, last_numbers: Mapping[str, int] | None = None
    ) -> HeartbeatAnswer:
        self._note("heartbeat")
        self.heartbeats.append((process_id, dict(last_numbers or {})))
        return HeartbeatAnswer((), 120.0)

    async def release(self, process_id: UUID) -> None:
        self.released.append(process_id)

    async def held_by(self, process_id: UUID) -> list[str]:
        return []

    async def run_state(self, workspace: str, run_id: str) -> RunState:
        raise NotFound(f"there is no run {run_id!r}", facts={"run_id": run_id})

    async def writers(self, workspace: str, run_id: str) -> list[WriterMark]:
        await self.fake.run(workspace, run_id)
        return []

    @property
    def partitions(self) -> int:
        return 1

    async def latest(self) -> Token:
        return await self.views.reach(None)

    async def live_leases(self) -> int:
        return 0

    async def keeper_pass(self) -> int:
        self._note("keeper_pass")
        return 0

    async def sweep_files(self) -> int:
        self._note("sweep_files")
        return 0

    async def token(self) -> Token:
        return Token(self.epoch, {0: len(self.recorded)})

    async def outcome(self, stream: str, writer_id: UUID, number: int) -> Outcome | None:
        return self.outcomes.get((stream, writer_id, number))

    async def fates(self, writer_id: UUID, asked: Sequence[Asked]) -> list[Fate]:
        return [Fate(self.outcomes.get((one.stream, writer_id, one.number))) for one in asked]

    async def events(self, partition: int, from_pos: int, events_max: int) -> list[RecordedEvent]:
        return self.recorded[from_pos : from_pos + events_max]

    async def run_events(
        self, workspace: str, run_id: str, from_seq: int, events_max: int
    ) -> list[RecordedEvent]:
        stream = run_stream(workspace, run_id)
        found = [event for event in self.recorded if event.stream == stream and event.stream_seq >= from_seq]
        return found[:events_max]

    async def unreadable(self, query: EntryQuery) -> EntryPage:
        return EntryPage([])

    async def unreadable_record(self, name: str) -> EntryRecord:
        raise NotFound(f"there is no unreadable record {name}", facts={"name": name})

    async def close(self) -> None:
        self.closed += 1

    def _token(self) -> str:
        return str(Token(self.epoch, {0: len(self.recorded)}))

    def _note(self, what: str) -> None:
        self.threads.setdefault(what, set()).add(threading.current_thread().name)


def run_view(command: c.CreateRun, workspace: str, **fields: Any) -> RunView:
    """The view of a run that was just created."""
    return RunView(
        workspace=workspace,
        run_id=command.run_id,
        experiment=command.experiment,
        experiment_id=experiment_id(workspace, command.experiment),
        number=1,
        status=Status.RUNNING if command.start else Status.NOT_STARTED,
        root_run_id=command.run_id,
        path=(command.run_id,),
        created_at=WHEN,
        created_by="anonymous",
        updated_at=WHEN,
        tags=command.tags,
        properties=command.properties,
        **fields,
    )


def summary(value: float) -> MetricSummary:
    """The summary of a metric with one point."""
    return MetricSummary(latest=value, count=1, min=value, max=value)
