"""A process that appends to a shared ledger until it is told to stop, and notes what was acknowledged.

    python -m tests.chaos.sqlite_worker LEDGER NUMBER SECONDS

Writes one byte to stdout when it begins, and ``{ledger}.{number}`` grows by a line for each acknowledged command.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from uuid import UUID

from msgspec import Raw

from runfold_events.contract import commands as c
from runfold_events.contract.commands import Command
from runfold_events.contract.submission import Accepted
from runfold_events.ids_source import SystemIds
from runfold_events.ledger import Ledger
from runfold_events.stores.sqlite.store import SqliteStore
from runfold_events.sync import run_sync
from tests.chaos.sqlite_story import submission


def work(ledger_path: Path, number: int, seconds: float) -> None:
    """Create a run of one's own, then log to it, one command a transaction."""
    writer = UUID(int=number)
    run_id = f"run-{number}"
    acknowledged = os.open(f"{ledger_path}.{number}", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    store = SqliteStore.open(ledger_path)
    ledger = Ledger(store, SystemIds())
    os.write(sys.stdout.fileno(), b".")

    def send(command: Command, seq: int) -> None:
        (answer,) = run_sync(ledger.handle([submission(seq, command, writer)]))
        assert isinstance(answer, Accepted), answer
        os.write(acknowledged, b"".join(b"%s\n" % str(event.id).encode() for event in answer.events))

    send(c.EnsureExperiment(experiment="exp"), 1)
    send(c.CreateRun(run_id=run_id, experiment="exp"), 1)
    seq, deadline = 1, time.monotonic() + seconds
    while time.monotonic() < deadline:
        seq += 1
        send(c.LogMetrics(run_id=run_id, batch=Raw(b'{"series":[]}')), seq)
        run_sync(store.renew_lease(writer, 60_000_000))
    run_sync(store.close())


if __name__ == "__main__":
    work(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
