"""Ports of the projections: what folds write to and what everybody asks.

All methods are coroutines; the SQLite adapter never suspends (see ``runfold_events.sync``).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from runfold_events.contract.tokens import Token
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


class Views(Protocol):
    """The questions that views answer. Lists never touch event tables.

    ``at`` is a position to read at or after: the call waits up to ``wait_s`` seconds for it (an embedded adapter
    catches up instead), then raises ``PositionNotReached``; a token of another epoch raises it at once. ``NotFound``
    when the run or experiment does not exist. ``Unavailable`` naming the projection when its fold stopped on an event
    it cannot read.
    """

    async def reach(self, at: Token | None, wait_s: float = 5.0) -> Token:
        """Wait for ``at`` and return the views' present position: every projection has folded at least that.

        One that has stopped is left out, so that it holds nobody back; whoever asks it gets ``Unavailable``.
        """
        ...

    async def run(self, workspace: str, run_id: str) -> RunView: ...

    async def runs(self, workspace: str, query: RunQuery) -> Page: ...

    async def count(self, workspace: str, query: RunQuery) -> int:
        """How many runs match, whatever the page."""
        ...

    async def groups(self, workspace: str, query: RunQuery, by: str) -> RunGroups:
        """How many of the runs that match have which value of ``by``: a tag, parameter, property or some attributes."""
        ...

    async def child_counts(self, workspace: str, run_id: str) -> ChildCounts: ...

    async def experiments(self, workspace: str, *, include_archived: bool = False) -> list[ExperimentView]:
        """All experiments, newest activity first."""
        ...

    async def experiment(self, workspace: str, name: str) -> ExperimentView: ...

    async def workspaces(self) -> list[str]: ...

    async def series(self, workspace: str, run_id: str, *, recursive: bool = False) -> list[SeriesInfo]:
        """Which metrics a run (with ``recursive`` also its descendants) has."""
        ...

    async def metrics(
        self,
        workspace: str,
        run_id: str,
        *,
        names: tuple[str, ...] = (),
        recursive: bool = False,
        points_max: int | None = None,
    ) -> list[SeriesData]:
        """Points of the named metrics (none named: all). ``points_max``: only the last so many of each series."""
        ...

    async def curves(self, workspace: str, query: CurveQuery) -> list[Curve]:
        """Many series of many runs along an axis, at the resolution asked for: by run, then by name and column.

        A series is found in pieces, each of which a bucket stands for where it may be no finer. So buckets overlap
        only where points were not recorded in the order of their x; what they say of their points is exact all the
        same, and each point is in one.
        """
        ...

    async def history(
        self, workspace: str, run_id: str, *, from_seq: int = 1, limit: int = 1_000
    ) -> list[HistoryEntry]:
        """The audit trail in order of ``stream_seq``; metric batches are not listed."""
        ...

    async def files(self, workspace: str, run_id: str, *, prefix: str = "") -> list[FileInfo]:
        """The files of a run whose path begins with ``prefix``, by path."""
        ...

    async def file(self, workspace: str, run_id: str, path: str) -> FileInfo:
        """One file; ``NotFound`` also when the run has none of this path."""
        ...

    async def recorded_contents(self, workspace: str, sha256s: Sequence[str]) -> set[str]:
        """Which of the contents some run of the workspace has recorded."""
        ...

    async def states(self) -> list[ProjectionState]: ...


class Feed(Protocol):
    """A live stream of what views have folded, for SSE."""

    def follow(self, workspace: str, run_id: str | None, after: Token | None) -> AsyncIterator[Token]:
        """Yields a token whenever something of the run (or any run) changed after ``after``."""
        ...
