"""Runs as another process would see them, and other helpers for tests of the SDK's handles."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

from collections.abc import Iterable

from runfold import Run, Workspace, _process
from runfold._connection import Connection
from runfold_events.contract.commands import RequestCancel


def ids(runs: Iterable[Run]) -> list[str]:
    return [run.id for run in runs]


def in_another_process(run: Run) -> Run:
    """The same run through a connection of its own: another writer, another lease, that holds nothing."""
    connection = _process.register(Connection(run._connection._open_transport))
    return Workspace._over(connection, run.experiment.workspace.name).get_run(run.id)


def ask_to_cancel(run: Run) -> None:
    """What ``cancel()`` sends for a run that another process holds, without waiting for its end."""
    run._call(RequestCancel(run_id=run.id))


def next_heartbeat_now(run: Run) -> None:
    """Not to wait for 5 s."""
    connection = run._connection
    with connection._lock:
        connection.leases._due_at = 0.0
        connection._wake()
