"""The one face that doors, SDK and CLI talk to: commands in, questions answered.

``runfold_services.compose`` builds the real one over the chosen adapters. The HTTP API renders it, the SDK's embedded
transport drives it without a loop (``runfold_events.sync.run_sync``), its HTTP transport mirrors it over the wire.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol
from uuid import UUID

from msgspec import Struct

from runfold_events.contract.submission import Outcome, Submission
from runfold_events.ports import WriterMark
from runfold_events.rules.run_state import RunState
from runfold_projections.ports import Views
from runfold_services.files.port import FileStore


class HeartbeatAnswer(Struct, frozen=True):
    """What a process hears with its heartbeat: which of the runs it holds somebody asked to cancel."""

    cancel_requested: tuple[str, ...]  # "workspace/run_id"
    lease_s: float


class Service(Protocol):
    """Everything a client can ask of runfold."""

    @property
    def views(self) -> Views:
        """The questions."""
        ...

    @property
    def files(self) -> FileStore:
        """Where contents of files are kept. Blocks, unlike all else here."""
        ...

    async def run_state(self, workspace: str, run_id: str) -> RunState:
        """A run as the ledger has it, up to the last commit. ``NotFound``; ``Conflict`` when it was erased."""
        ...

    async def submit(self, submissions: Sequence[Submission]) -> list[Outcome]:
        """Handle commands in order; one outcome each, in the same order. Durable when it returns.

        Raises ``Unavailable`` when nothing of the batch could be decided; after a time-out the caller sends the same
        numbers again.
        """
        ...

    async def heartbeat(
        self, process_id: UUID, last_numbers: Mapping[str, int] | None = None
    ) -> HeartbeatAnswer:
        """Renew the process's lease. ``last_numbers`` ({stream: last writer_seq}) lets a lost tail show."""
        ...

    async def release(self, process_id: UUID) -> None:
        """End the lease: runs that nobody else holds become NotResponding (or Canceled, where that was asked)."""
        ...

    async def held_by(self, process_id: UUID) -> list[str]:
        """The streams of the runs that a process holds."""
        ...

    async def writers(self, workspace: str, run_id: str) -> list[WriterMark]:
        """Per writer: highest number, gaps, declared losses. ``NotFound`` for an unknown run."""
        ...

    async def close(self) -> None:
        """Fold what is left, release everything."""
        ...
