"""What a server process needs of the service beyond what clients ask: keep the leases, read events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from runfold_events.contract.envelope import RecordedEvent
from runfold_events.contract.submission import Outcome, Submission
from runfold_events.contract.tokens import Token
from runfold_events.fates import Asked, Fate
from runfold_events.unreadable import EntryPage, EntryQuery, EntryRecord
from runfold_services.service import Service


class Backend(Service, Protocol):
    """A :class:`~runfold_services.service.Service` that a server drives. Safe to call from several threads.

    A server calls :meth:`submit`, :meth:`heartbeat`, :meth:`release` and :meth:`keeper_pass` from its commit thread,
    ``views.reach(None)``, which folds, from its fold thread, and everything else from its query threads.
    """

    @property
    def partitions(self) -> int:
        """How many partitions the store has."""
        ...

    async def submit_free(self, submissions: Sequence[Submission]) -> list[Outcome | None]:
        """As :meth:`submit`, but what would wait for others to be done with its partition is left undone: None."""
        ...

    async def live_leases(self) -> int:
        """How many processes have a lease that has not ended."""
        ...

    async def keeper_pass(self) -> int:
        """Look once at all leases; returns how many runs were marked lost or found."""
        ...

    async def sweep_files(self) -> int:
        """Remove contents that nobody recorded in time, and what erasures could not remove; returns how many went."""
        ...

    async def latest(self) -> Token:
        """Where the views stand, for a question that names no position.

        That includes what this backend itself has answered, if the views get there soon: somebody who is told of a run
        and then looks for it should find it.
        """
        ...

    async def token(self) -> Token:
        """The committed end of every partition."""
        ...

    async def outcome(self, stream: str, writer_id: UUID, number: int) -> Outcome | None:
        """What the command ``number`` of a writer on a stream gave; None when it is not known."""
        ...

    async def fates(self, writer_id: UUID, asked: Sequence[Asked]) -> list[Fate]:
        """The same for commands that came by the log; one for each, in order. See :mod:`runfold_events.fates`."""
        ...

    async def events(self, partition: int, from_pos: int, events_max: int) -> list[RecordedEvent]:
        """Committed events with ``pos >= from_pos`` in order, at most ``events_max``."""
        ...

    async def run_events(
        self, workspace: str, run_id: str, from_seq: int, events_max: int
    ) -> list[RecordedEvent]:
        """Committed events of a run with ``stream_seq >= from_seq`` in order, at most ``events_max``.

        Raises:
            NotFound: there is no such run.
        """
        ...

    async def unreadable(self, query: EntryQuery) -> EntryPage:
        """What was kept of the command topic; see :mod:`runfold_events.unreadable`."""
        ...

    async def unreadable_record(self, name: str) -> EntryRecord:
        """One such entry with its bytes; ``NotFound`` when there is none."""
        ...
