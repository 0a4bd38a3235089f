"""The service over one store and its views: what :mod:`runfold_services.compose` hands out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol, TypeVar
from uuid import UUID

from runfold_events.clock import Clock
from runfold_events.contract import limits
from runfold_events.contract.commands import EraseRun, MarkLost
from runfold_events.contract.envelope import RecordedEvent
from runfold_events.contract.errors import NotFound, RunfoldError
from runfold_events.contract.ids import run_stream, split_stream
from runfold_events.contract.statuses import Status
from runfold_events.contract.submission import Accepted, Outcome, Submission
from runfold_events.contract.tokens import Token
from runfold_events.decision_state import run_state_of
from runfold_events.fates import Asked, Fate, fates
from runfold_events.ledger import Ledger
from runfold_events.ports import WriterMark
from runfold_events.rules.run_state import RunState
from runfold_events.unreadable import EntryPage, EntryQuery, EntryRecord, find_entry, list_entries
from runfold_projections.ports import Views
from runfold_services.files.admission import check_open
from runfold_services.files.erasing import remove_unrecorded, sweep
from runfold_services.files.port import FileStore
from runfold_services.keeper import Keeper
from runfold_services.service import HeartbeatAnswer

T = TypeVar("T")
RECORDED_WAIT_S: Final = (
    10.0  # how long a removal waits for the views, to know who else has recorded a content
)
UNREMOVED_MAX: Final = 10_000  # erased runs whose files are to be removed later, remembered by one process
_log = logging.getLogger("runfold.files")


class FoldingViews(Views, Protocol):
    """Views that this process keeps up to date itself."""

    async def catch_up(self) -> int:
        """Fold what has been appended since the last call; returns the number of events."""
        ...

    async def close(self) -> None:
        """Release connections."""
        ...


class Tracker:
    """Commands go to the ledger, questions to the views, leases to the store. Safe to call from several threads."""

    def __init__(
        self,
        ledger: Ledger,
        views: FoldingViews,
        clock: Clock,
        files: FileStore,
        *,
        lease_s: float = limits.LEASE_S,
        on_append: Callable[[], None] = lambda: None,
    ) -> None:
        self.views = views
        self.files = files
        self.keeper = Keeper(ledger, clock)
        self._ledger = ledger
        self._store = ledger.store
        self._lease_s = lease_s
        self._unremoved: dict[tuple[str, str], Sequence[str]] = {}  # contents of runs that were erased
        self.on_append = on_append  # a hint that views are behind; called after every commit

    async def submit(self, submissions: Sequence[Submission]) -> list[Outcome]:
        """See :meth:`runfold_services.service.Service.submit`."""
        erased = {
            index: (run, await self._contents_of(*run))
            for index, run in enumerate(map(_run_to_erase, submissions))
            if run is not None
        }
        try:
            outcomes = await self._ledger.handle(submissions)
        finally:
            self.on_append()
        for index, (run, sha256s) in erased.items():
            if isinstance(outcomes[index], Accepted):
                await self._erase_files(*run, sha256s)
        return outcomes

    async def submit_free(self, submissions: Sequence[Submission]) -> list[Outcome | None]:
        """See :class:`~runfold_services.backend.Backend`. One after the other, nobody is waited for."""
        return [*await self.submit(submissions)]

    async def heartbeat(
        self, process_id: UUID, last_numbers: Mapping[str, int] | None = None
    ) -> HeartbeatAnswer:
        """See :meth:`runfold_services.service.Service.heartbeat`."""
        await self._store.renew_lease(process_id, round(self._lease_s * 1_000_000))
        if last_numbers:
            await self._store.announce(
                {(stream, process_id): number for stream, number in last_numbers.items()}
            )
        heads = await self._store.heads(await self._store.held_by(process_id))
        requested = [stream for stream, head in heads.items() if _is_cancel_requested(run_state_of(head))]
        return HeartbeatAnswer(tuple(sorted(_run_name(stream) for stream in requested)), self._lease_s)

    async def release(self, process_id: UUID) -> None:
        """See :meth:`runfold_services.service.Service.release`."""
        streams = await self._store.end_lease(process_id)
        if await self.keeper.mark(streams, MarkLost):
            self.on_append()

    async def held_by(self, process_id: UUID) -> list[str]:
        """See :meth:`runfold_services.service.Service.held_by`."""
        return await self._store.held_by(process_id)

    async def writers(self, workspace: str, run_id: str) -> list[WriterMark]:
        """See :meth:`runfold_services.service.Service.writers`."""
        return await self._store.writers(await self._known_stream(workspace, run_id))

    async def _known_stream(self, workspace: str, run_id: str) -> str:
        """The stream of a run; raises :class:`NotFound` when there is no such run."""
        stream = run_stream(workspace, run_id)
        if not await self._store.heads([stream]):
            raise NotFound(f"there is no run {run_id!r}", facts={"run_id": run_id})
        return stream

    # Files

    async def run_state(self, workspace: str, run_id: str) -> RunState:
        """See :meth:`runfold_services.service.Service.run_state`."""
        return check_open(await self._state(workspace, run_id), run_id)

    async def recorded(self, workspace: str, sha256s: Sequence[str]) -> set[str]:
        """See :class:`runfold_services.files.erasing.Desk`."""
        await self.views.reach(await self.token(), RECORDED_WAIT_S)
        return await self.views.recorded_contents(workspace, sha256s)

    async def apart(self, work: Callable[[], T]) -> T:
        """See :class:`runfold_services.files.erasing.Desk`. Whoever drives this backend has threads for what blocks."""
        return work()

    async def sweep_files(self) -> int:
        """See :class:`~runfold_services.backend.Backend`."""
        for run in list(self._unremoved):
            await self._erase_files(*run, self._unremoved.pop(run))
        return sum([await sweep(self, workspace) for workspace in await self.views.workspaces()])

    async def _state(self, workspace: str, run_id: str) -> RunState | None:
        stream = run_stream(workspace, run_id)
        return run_state_of((await self._store.heads([stream])).get(stream))

    async def _contents_of(self, workspace: str, run_id: str) -> tuple[str, ...]:
        """What a run has recorded, asked before its erasure makes everybody forget it."""
        state = await self._state(workspace, run_id)
        return () if state is None else tuple(artifact.sha256 for artifact in state.artifacts.values())

    async def _erase_files(self, workspace: str, run_id: str, sha256s: Sequence[str]) -> None:
        """Remove an erased run's logs, and its contents that nobody else has recorded.

        The erasure itself stands: what cannot be removed now is left for :meth:`sweep_files`, and said.
        """
        try:
            await self.apart(lambda: self.files.remove_logs(workspace, run_id))
            await remove_unrecorded(self, workspace, sha256s)
        except RunfoldError as error:
            if len(self._unremoved) < UNREMOVED_MAX:
                self._unremoved[workspace, run_id] = sha256s
            _log.error(
                "files of the erased run %s/%s are still in the file store (%s). A server tries again within two "
                "hours; otherwise `runfold ledger vacuum` removes the contents once they are a day old, and erasing "
                "the run again its logs",
                workspace,
                run_id,
                error,
            )

    @property
    def partitions(self) -> int:
        """How many partitions the store has."""
        return self._store.partitions

    async def live_leases(self) -> int:
        """How many processes have a lease that has not ended."""
        return await self._store.live_leases()

    async def keeper_pass(self) -> int:
        """Look once at all leases; returns how many runs were marked lost or found."""
        return await self.keeper.pass_over()

    async def fold(self) -> int:
        """Bring the views up to the store's end; returns the number of events folded."""
        return await self.views.catch_up()

    async def latest(self) -> Token:
        """See :class:`~runfold_services.backend.Backend`. These views fold before they answer."""
        return await self.views.reach(None)

    async def events(self, partition: int, from_pos: int, events_max: int) -> list[RecordedEvent]:
        """Committed events with ``pos >= from_pos`` in order, at most ``events_max``."""
        return await self._store.read(partition, from_pos, events_max)

    async def run_events(
        self, workspace: str, run_id: str, from_seq: int, events_max: int
    ) -> list[RecordedEvent]:
        """See :meth:`runfold_services.backend.Backend.run_events`."""
        stream = await self._known_stream(workspace, run_id)
        return await self._store.read_stream(stream, from_seq, events_max)

    async def unreadable(self, query: EntryQuery) -> EntryPage:
        """See :meth:`runfold_services.backend.Backend.unreadable`."""
        return await list_entries(self._store, query)

    async def unreadable_record(self, name: str) -> EntryRecord:
        """See :meth:`runfold_services.backend.Backend.unreadable_record`."""
        return await find_entry(self._store, name)

    async def outcome(self, stream: str, writer_id: UUID, number: int) -> Outcome | None:
        """What the command ``number`` of a writer on a stream gave; None when it is not known."""
        return await self._ledger.outcome((stream, writer_id, number))

    async def fates(self, writer_id: UUID, asked: Sequence[Asked]) -> list[Fate]:
        """See :meth:`runfold_services.backend.Backend.fates`."""
        return await fates(self._ledger, self._log_cursors, writer_id, asked)

    async def _log_cursors(self) -> Mapping[int, int]:
        """How far commands of a log are handled, by partition. Nothing comes here by one."""
        return {}

    async def token(self) -> Token:
        """The committed end of every partition."""
        return Token(self._store.epoch, dict(enumerate(await self._store.ends())))

    async def close(self) -> None:
        """Fold what is left, release everything."""
        try:
            await self.views.catch_up()
        finally:
            await self.views.close()
            await self._store.close()


def _run_to_erase(submission: Submission) -> tuple[str, str] | None:
    """Workspace and id of the run that a command erases; None for any other command."""
    command = submission.command
    return (submission.workspace, command.run_id) if isinstance(command, EraseRun) else None


def _is_cancel_requested(state: RunState | None) -> bool:
    return state is not None and state.status is Status.CANCEL_REQUESTED


def _run_name(stream: str) -> str:
    workspace, _, run_id = split_stream(stream)
    return f"{workspace}/{run_id}"
