"""Submitted runs as an agent sees them: the SDK's connection behind :class:`runfold_services.agent.ports.AgentRuns`."""

# pyright: reportPrivateUsage=false
# The SDK's own modules are friends of one another.

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from runfold import _definition, _files
from runfold._experiment import Experiment
from runfold._local_agent import embedded_place
from runfold._run import Run
from runfold._settings import load_settings
from runfold._streams import Stream
from runfold._workspace import Workspace
from runfold_events.contract.commands import (
    AdvanceRun,
    CancelRun,
    Command,
    CompleteRun,
    ErrorInfo,
    FailRun,
    StartRun,
)
from runfold_events.contract.errors import RunEnded, RunfoldError, RunRejected, Unavailable
from runfold_events.contract.statuses import Status
from runfold_projections.model import RunQuery, RunView
from runfold_services.agent.definition import RUN_TYPE, RunDefinition

if TYPE_CHECKING:
    from runfold_events.contract.submission import Accepted

IDS_PER_QUESTION: Final = 50
_FIELDS: Final = ("run_id", "experiment", "status", "parent_run_id", "run_type", "target")


class WorkspaceRuns:
    """Submitted runs of one workspace. Threads of an agent share it."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._connection = workspace._connection
        self._unanswered: set[str] = set()

    # Finding work

    def waiting(self, runs_max: int) -> list[RunView]:
        """See :class:`~runfold_services.agent.ports.AgentRuns`."""
        return self._in_status(Status.STARTING, runs_max)

    def waiting_below(self, parents: Sequence[str], runs_max: int) -> list[RunView]:
        """See :class:`~runfold_services.agent.ports.AgentRuns`."""
        found: list[RunView] = []
        for start in range(0, len(parents), IDS_PER_QUESTION):
            listed = _listed(parents[start : start + IDS_PER_QUESTION])
            found += self._in_status(Status.STARTING, runs_max, f"parent_run_id in ({listed})")
        return found

    def lost(self, runs_max: int) -> list[RunView]:
        """See :class:`~runfold_services.agent.ports.AgentRuns`."""
        return self._in_status(Status.NOT_RESPONDING, runs_max)

    def _in_status(self, status: Status, runs_max: int, condition: str | None = None) -> list[RunView]:
        query = RunQuery(
            filter=condition,
            status=(status,),
            run_type=RUN_TYPE,
            order_by="created_at",
            include_children=True,
            include_archived=True,
            fields=_FIELDS,
        )
        return list(self._workspace._pages(query, runs_max))

    def statuses(self, run_ids: Sequence[str]) -> dict[str, Status]:
        """See :class:`~runfold_services.agent.ports.AgentRuns`."""
        found: dict[str, Status] = {}
        with suppress(Unavailable):  # what was heard with a heartbeat is known all the same
            for start in range(0, len(run_ids), IDS_PER_QUESTION):
                found |= self._statuses(run_ids[start : start + IDS_PER_QUESTION])
        for run_id in run_ids:
            if self._stream(run_id).cancel_requested:
                found.setdefault(run_id, Status.CANCEL_REQUESTED)
        return found

    def _statuses(self, run_ids: Sequence[str]) -> dict[str, Status]:
        query = RunQuery(
            filter=f"run_id in ({_listed(run_ids)})",
            include_children=True,
            include_archived=True,
            fields=("run_id", "status"),
        )
        return {view.run_id: view.status for view in self._workspace._pages(query)}

    # Holding

    def claim(self, run_id: str) -> bool:
        """See :class:`~runfold_services.agent.ports.AgentRuns`."""
        return self._take(AdvanceRun(run_id=run_id, status=Status.PREPARING, claim=True))

    def adopt(self, run_id: str) -> bool:
        """See :class:`~runfold_services.agent.ports.AgentRuns`."""
        return self._take(StartRun(run_id=run_id))

    def _take(self, command: AdvanceRun | StartRun) -> bool:
        try:
            accepted = self._call(command)
        except RunRejected:
            return False
        if accepted is None:  # it is delivered when the other side is back; see claimed_late
            self._unanswered.add(command.run_id)
        return accepted is not None

    def claimed_late(self) -> list[str]:
        """See :class:`~runfold_services.agent.ports.AgentRuns`."""
        taken = [run_id for run_id in self._unanswered if self._stream(run_id).held]
        self._unanswered.difference_update(taken)
        return taken

    def lease_age_s(self) -> float:
        """See :class:`~runfold_services.agent.ports.AgentRuns`."""
        return self._connection.leases.age_s()

    # Stations and ends

    def advance(self, run_id: str, status: Status, details: str | None = None) -> None:
        """See :class:`~runfold_services.agent.ports.AgentRuns`."""
        self._call(AdvanceRun(run_id=run_id, status=status, details=details, unless_adopted=True))

    def start(self, run_id: str) -> None:
        """See :class:`~runfold_services.agent.ports.AgentRuns`."""
        self._call(StartRun(run_id=run_id))

    def complete(self, run_id: str) -> None:
        """See :class:`~runfold_services.agent.ports.AgentRuns`."""
        self._end(CompleteRun(run_id=run_id))

    def fail(self, run_id: str, error: ErrorInfo) -> None:
        """See :class:`~runfold_services.agent.ports.AgentRuns`."""
        self._end(FailRun(run_id=run_id, error=error, unless_adopted=True))

    def cancel(self, run_id: str) -> None:
        """See :class:`~runfold_services.agent.ports.AgentRuns`."""
        self._end(CancelRun(run_id=run_id))

    def _end(self, command: CompleteRun | FailRun | CancelRun) -> None:
        """End a run whose script is gone; what the script could not deliver comes first."""
        with suppress(RunfoldError):
            self._connection.drain_left()
        with suppress(RunEnded):
            self._call(command)

    def _call(self, command: Command) -> Accepted | None:
        run_id: str = getattr(command, "run_id", "")
        return self._connection.call(self._stream(run_id), command)

    def _stream(self, run_id: str) -> Stream:
        return self._connection.run_stream(self._workspace.name, run_id)

    # Files

    def definition(self, run_id: str) -> RunDefinition:
        """See :class:`~runfold_services.agent.ports.AgentRuns`."""
        return _definition.read(self._workspace, run_id)

    def restore(self, run_id: str, snapshot_id: str, folder: Path) -> None:
        """See :class:`~runfold_services.agent.ports.AgentRuns`."""
        from runfold._snapshots import unpack

        with tempfile.TemporaryDirectory(dir=folder.parent) as place:
            unpack(Path(self._handle(run_id).restore_snapshot(snapshot_id, place)), folder)

    def log_size(self, run_id: str, path: str) -> int:
        """See :class:`~runfold_services.agent.ports.AgentRuns`."""
        logs = self._connection.transport().logs(self._workspace.name, run_id)
        return next((log.size_bytes for log in logs if log.path == path), 0)

    def append_log(self, run_id: str, path: str, offset: int, data: bytes) -> int:
        """See :class:`~runfold_services.agent.ports.AgentRuns`."""
        return self._connection.transport().append_log(self._workspace.name, run_id, path, offset, data)

    def finish_log(self, run_id: str, path: str) -> None:
        """See :class:`~runfold_services.agent.ports.AgentRuns`."""
        self._connection.transport().finish_log(
            self._workspace.name, run_id, path, _files.content_type_of(path)
        )

    def put_file(self, run_id: str, path: str, source: BinaryIO) -> None:
        """See :class:`~runfold_services.agent.ports.AgentRuns`."""
        _files.upload(self._handle(run_id), [_files.Upload(path, source)])

    def _handle(self, run_id: str) -> Run:
        """A handle for what handles share; nothing is asked about the run."""
        run = Run.__new__(Run)
        run._bind(Experiment._existing(self._workspace, "-"), run_id)
        return run

    # The script's way to its run

    def environment(self, run_id: str) -> Mapping[str, str]:
        """See :class:`~runfold_services.agent.ports.AgentRuns`."""
        workspace = self._workspace
        view = workspace._ask(lambda transport, at: transport.run(workspace.name, run_id, at))
        variables = {
            "RUNFOLD_RUN_ID": run_id,
            "RUNFOLD_EXPERIMENT": view.experiment,
            "RUNFOLD_WORKSPACE": workspace.name,
        }
        spool = load_settings().spool
        if spool is not None:  # where this agent looks for what a script leaves
            variables["RUNFOLD_SPOOL"] = str(spool)
        if workspace._url is None:
            return variables | embedded_place(workspace._home, self._connection.files)
        token = self._connection.transport().run_token(workspace.name, run_id)
        return (
            variables | {"RUNFOLD_URL": workspace._url} | ({} if token is None else {"RUNFOLD_TOKEN": token})
        )


def _listed(run_ids: Sequence[str]) -> str:
    """Run ids as the filter language has lists; none of them holds a quote."""
    return ", ".join(f'"{run_id}"' for run_id in run_ids)
