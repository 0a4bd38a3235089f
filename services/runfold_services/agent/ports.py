"""What an agent needs: runs (the ledger and its files, as a client sees them), and something that executes.

The methods of :class:`AgentRuns` block, may be called from several threads, and raise ``Unavailable`` when no answer
came. Commands are delivered in order all the same once the other side is back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, Protocol

from msgspec import Struct

from runfold_events.contract.commands import ErrorInfo
from runfold_events.contract.statuses import Status
from runfold_projections.model import RunView
from runfold_services.agent.definition import RunDefinition


class AgentRuns(Protocol):
    """Submitted runs of one workspace."""

    def waiting(self, runs_max: int) -> list[RunView]:
        """Runs in Starting, the oldest first."""
        ...

    def waiting_below(self, parents: Sequence[str], runs_max: int) -> list[RunView]:
        """Runs in Starting that are direct children of one of these, the oldest first."""
        ...

    def lost(self, runs_max: int) -> list[RunView]:
        """Submitted runs that are NotResponding: their agent is gone."""
        ...

    def statuses(self, run_ids: Sequence[str]) -> dict[str, Status]:
        """Where runs stand; also what was heard with a heartbeat's answer."""
        ...

    def claim(self, run_id: str) -> bool:
        """Take a run that waits, and hold it from now on; False: it went to somebody else, or is no more."""
        ...

    def claimed_late(self) -> list[str]:
        """Runs whose claim had no answer when it was sent, and has been accepted since."""
        ...

    def adopt(self, run_id: str) -> bool:
        """Take a lost run, and hold it from now on; False: it went to somebody else."""
        ...

    def advance(self, run_id: str, status: Status, details: str | None = None) -> None:
        """Report a station. Raises ``RunRejected``: a cancel was requested, another has the run, or it has ended."""
        ...

    def start(self, run_id: str) -> None:
        """The script runs. Raises like :meth:`advance`."""
        ...

    def complete(self, run_id: str) -> None:
        """End the run; an end that somebody else chose stands."""
        ...

    def fail(self, run_id: str, error: ErrorInfo) -> None:
        """End the run; an end that somebody else chose stands. Raises ``RunRejected`` when another has the run."""
        ...

    def cancel(self, run_id: str) -> None:
        """End the run; an end that somebody else chose stands."""
        ...

    def definition(self, run_id: str) -> RunDefinition:
        """What is to be executed. Raises ``NotFound`` when the run has none, ``Invalid`` when it is unreadable."""
        ...

    def restore(self, run_id: str, snapshot_id: str, folder: Path) -> None:
        """Make the snapshot's files under ``folder``."""
        ...

    def log_size(self, run_id: str, path: str) -> int:
        """How much of a live log is there; 0 when nothing is."""
        ...

    def append_log(self, run_id: str, path: str, offset: int, data: bytes) -> int:
        """Append to a live log; its new end. The same bytes again have no effect."""
        ...

    def finish_log(self, run_id: str, path: str) -> None:
        """Nothing follows: the log becomes a recorded file."""
        ...

    def put_file(self, run_id: str, path: str, source: BinaryIO) -> None:
        """Store a file. Raises ``Conflict`` when there is another of this path."""
        ...

    def environment(self, run_id: str) -> Mapping[str, str]:
        """The variables by which a script finds its run: RUNFOLD_RUN_ID and others."""
        ...

    def lease_age_s(self) -> float:
        """Seconds since the lease was last renewed."""
        ...


class Launch(Struct, frozen=True, kw_only=True):
    """A script to execute.

    Attributes:
        words: the program and its arguments.
        folder: where it runs.
        environment: all of its variables.
        log: the file that what it prints is appended to.
        grace_s: seconds from being asked to end until it is killed.
        fence_s: end it when :meth:`Execution.alive` was not called for so long; None: never.
        keep_open: a descriptor that stays open as long as anything of the execution lives.
    """

    words: tuple[str, ...]
    folder: Path
    environment: Mapping[str, str]
    log: Path
    grace_s: float
    fence_s: float | None = None
    keep_open: int | None = None


class Ended(Struct, frozen=True):
    """How an execution ended: an exit code, negative for a signal; or why it never began.

    ``fenced``: it was ended because nothing had said for too long that the agent still holds the run.
    """

    exit_code: int = 0
    failure: str | None = None
    fenced: bool = False


class Execution(Protocol):
    """A script that was started. Everything it started in turn ends with it."""

    def poll(self) -> Ended | None:
        """How it ended; None while it, or anything that it started, still runs."""
        ...

    def stop(self) -> None:
        """Ask it to end, and kill it after the grace period. Returns at once."""
        ...

    def alive(self) -> None:
        """The agent still holds the run."""
        ...


class Executor(Protocol):
    """Executes scripts somewhere; this machine's processes are the one way there is so far."""

    def start(self, launch: Launch) -> Execution:
        """Start one; what goes wrong is told by :meth:`Execution.poll`."""
        ...
