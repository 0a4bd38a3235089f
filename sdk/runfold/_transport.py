"""The port between handles and whatever keeps the runs: a ledger in this process, or a server.

All methods block and may be called from several threads. Unless a method says otherwise it raises ``Unavailable`` when
no answer came, in which case the command may or may not have taken effect and the same numbers may be sent again, and
``Unauthorized`` when the credentials are not accepted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol
from uuid import UUID

from msgspec import Struct

from runfold_events.contract.commands import Command
from runfold_events.contract.submission import Outcome

if TYPE_CHECKING:
    from runfold_events.ports import WriterMark
    from runfold_projections.model import (
        ChildCounts,
        ExperimentView,
        HistoryEntry,
        Page,
        RunQuery,
        RunView,
        SeriesData,
        SeriesInfo,
    )
    from runfold_services.service import HeartbeatAnswer


class Item(Struct, frozen=True):
    """One numbered command. ``occurred_at``: this process's clock, UTC µs since the epoch.

    ``correlation_id`` names the deed that several commands are parts of.
    """

    command: Command
    writer_seq: int
    occurred_at: int
    correlation_id: UUID | None = None


class Batch(Struct, frozen=True, kw_only=True):
    """Commands of one writer for one workspace, in order. With ``hold`` the writer holds the runs it starts."""

    workspace: str
    writer_id: UUID
    items: Sequence[Item]
    hold: bool = False


class Answer(Struct, frozen=True):
    """One outcome per command, in order, and the position to read at from now on."""

    outcomes: list[Outcome]
    token: str | None


class Transport(Protocol):
    """What a workspace needs of the other side. ``at`` is a position token: answers include at least that."""

    patience_s: float
    """How long a command may go unanswered before the other side counts as gone."""

    def submit(self, batch: Batch) -> Answer:
        """Hand over commands; what is answered ``Accepted`` is durable.

        Raises:
            Invalid: the batch as a whole was refused; nothing of it was applied.
        """
        ...

    def heartbeat(self, process_id: UUID, last_numbers: Mapping[str, int]) -> HeartbeatAnswer:
        """Renew the process's lease. ``last_numbers`` ({stream: last number used}) lets a lost tail show."""
        ...

    def release(self, process_id: UUID) -> None:
        """End the lease at once: what only this process holds becomes NotResponding."""
        ...

    def close(self) -> None:
        """Release connections. Calling it twice is fine."""
        ...

    def run(self, workspace: str, run_id: str, at: str | None) -> RunView: ...

    def runs(self, workspace: str, query: RunQuery, at: str | None) -> Page: ...

    def count(self, workspace: str, query: RunQuery, at: str | None) -> int: ...

    def child_counts(self, workspace: str, run_id: str, at: str | None) -> ChildCounts: ...

    def experiments(self, workspace: str, include_archived: bool, at: str | None) -> list[ExperimentView]: ...

    def experiment(self, workspace: str, name: str, at: str | None) -> ExperimentView: ...

    def series(self, workspace: str, run_id: str, recursive: bool, at: str | None) -> list[SeriesInfo]: ...

    def metrics(
        self,
        workspace: str,
        run_id: str,
        names: tuple[str, ...],
        recursive: bool,
        points_max: int | None,
        at: str | None,
    ) -> list[SeriesData]: ...

    def history(
        self, workspace: str, run_id: str, from_seq: int, limit: int, at: str | None
    ) -> list[HistoryEntry]: ...

    def writers(self, workspace: str, run_id: str) -> list[WriterMark]: ...
