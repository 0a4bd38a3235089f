"""The port between handles and whatever keeps the runs: a ledger in this process, or a server.

All methods block and may be called from several threads. Unless a method says otherwise it raises ``Unavailable`` when
no answer came, in which case the command may or may not have taken effect and the same numbers may be sent again, and
``Unauthorized`` when the credentials are not accepted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, BinaryIO, Protocol
from uuid import UUID

from msgspec import Struct

from runfold_events.contract.commands import Command, LogMetrics
from runfold_events.contract.envelope import JSON, MSGPACK
from runfold_events.contract.submission import Actor, Outcome, Submission

if TYPE_CHECKING:
    from runfold_events.fates import Fate
    from runfold_events.ports import WriterMark
    from runfold_projections.model import (
        ChildCounts,
        Curve,
        CurveQuery,
        ExperimentView,
        FileInfo,
        HistoryEntry,
        Page,
        RunQuery,
        RunView,
        SeriesData,
        SeriesInfo,
    )
    from runfold_services.files.port import Content, LogInfo
    from runfold_services.service import HeartbeatAnswer
    from runfold_services.usage import Usage


class Item(Struct, frozen=True, gc=False):
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


def submissions_of(batch: Batch, actor: Actor, door: str, traceparent: str | None) -> list[Submission]:
    """The commands of a request, for a ledger in this process or as records of a log."""
    return [
        Submission(
            workspace=batch.workspace,
            command=item.command,
            writer_id=batch.writer_id,
            writer_seq=item.writer_seq,
            occurred_at=item.occurred_at,
            actor=actor,
            door=door,
            content_type=MSGPACK if isinstance(item.command, LogMetrics) else JSON,
            hold=batch.hold,
            correlation_id=item.correlation_id,
            traceparent=traceparent,
        )
        for item in batch.items
    ]


Place = tuple[int, int]
"""Where a command log keeps a command: partition and offset."""


class CommandLog(Protocol):
    """The door that takes commands as records, for values of large fleets; see :mod:`runfold._log_delivery`.

    What it keeps is on its way, and not answered. Methods raise ``Unavailable`` as a transport's do.
    """

    def post(self, batch: Batch) -> list[Place]:
        """Append commands, at most one of each stream; returns where each is kept.

        Raises:
            LimitExceeded: one is too large. Nothing was sent.
        """
        ...

    def fates(self, batch: Batch, places: Sequence[Place]) -> list[Fate]:
        """Ask the ledger what became of posted commands."""
        ...

    def close(self) -> None:
        """Release connections. Calling it twice is fine."""
        ...


class Transport(Protocol):
    """What a workspace needs of the other side. ``at`` is a position token: answers include at least that."""

    patience_s: float
    """How long a command may go unanswered before the other side counts as gone."""

    log: CommandLog | None
    """The way of logged values, where it is another than that of all else."""

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

    def run_token(self, workspace: str, run_id: str) -> str | None:
        """A token that is good for this run only, for its script; None where none is asked for.

        Raises:
            RunEnded: the run needs none any more.
        """
        ...

    def run(self, workspace: str, run_id: str, at: str | None) -> RunView: ...

    def runs(self, workspace: str, query: RunQuery, at: str | None) -> Page: ...

    def count(self, workspace: str, query: RunQuery, at: str | None) -> int: ...

    def usage(self, workspace: str) -> Usage:
        """What a workspace holds and, on a server, how it stands with its quotas."""
        ...

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

    def curves(self, workspace: str, query: CurveQuery, at: str | None) -> list[Curve]: ...

    def history(
        self, workspace: str, run_id: str, from_seq: int, limit: int, at: str | None
    ) -> list[HistoryEntry]: ...

    # Files. A content is stored first, then recorded by a command, then looked for: see
    # runfold_services.files.erasing. What can be said before bytes are moved is raised before.

    def put_content(self, workspace: str, run_id: str, source: BinaryIO, size_bytes: int | None) -> Content:
        """Store the rest of ``source`` (its next ``size_bytes``, where given): complete or not at all.

        Raises:
            NotFound: there is no such run. Conflict: it was erased.
            LimitExceeded: it is too large.
        """
        ...

    def has_content(self, workspace: str, run_id: str, sha256: str) -> bool:
        """Whether a content is there, also one that another run of the workspace has stored."""
        ...

    def files(self, workspace: str, run_id: str, prefix: str, at: str | None) -> list[FileInfo]:
        """The recorded files of a run whose path begins with ``prefix``, by path."""
        ...

    def open_file(self, workspace: str, run_id: str, path: str, at: str | None) -> Iterator[bytes]:
        """The content of a recorded file, in pieces.

        Raises:
            NotFound: there is no such file, or its content was never uploaded here.
        """
        ...

    def append_log(self, workspace: str, run_id: str, path: str, offset: int, data: bytes) -> int:
        """Write ``data`` at ``offset``, which is where the log ends; returns where it ends then.

        What is there already and says the same is left alone, so an append without an answer is simply sent again.

        Raises:
            Conflict: other bytes are there, or the log ends before ``offset`` (``facts["end"]`` says where), or it was
                finished.
        """
        ...

    def read_log(self, workspace: str, run_id: str, path: str, offset: int, bytes_max: int) -> bytes:
        """At most ``bytes_max`` bytes from ``offset`` on, none at the end; also of a log that was finished."""
        ...

    def logs(self, workspace: str, run_id: str) -> list[LogInfo]:
        """Logs that are being written, by path."""
        ...

    def finish_log(self, workspace: str, run_id: str, path: str, content_type: str) -> None:
        """Turn a log into a recorded file of the same path; again has no effect. ``NotFound``: there is none."""
        ...

    def writers(self, workspace: str, run_id: str) -> list[WriterMark]: ...
