"""Runs that somebody recorded, for tests of what becomes of a store."""

from __future__ import annotations

import time
from uuid import uuid4

from runfold_events.contract import commands as c
from runfold_events.contract.commands import Command
from runfold_events.contract.submission import Accepted, Actor, Submission
from runfold_events.ids_source import SystemIds
from runfold_events.ledger import Ledger
from runfold_events.ports import EventStore


async def record(store: EventStore, *run_ids: str) -> None:
    """Runs, by way of the ledger."""
    ledger = Ledger(store, SystemIds())
    writer = uuid4()
    commands: list[Command] = [
        c.EnsureExperiment(experiment="exp"),
        *(c.CreateRun(run_id=run_id, experiment="exp") for run_id in run_ids),
    ]
    for command in commands:
        sent = Submission(
            workspace="w",
            command=command,
            writer_id=writer,
            writer_seq=1,
            occurred_at=time.time_ns() // 1_000,
            actor=Actor("ann", "os"),
            door="http",
        )
        (outcome,) = await ledger.handle([sent])
        assert isinstance(outcome, Accepted)
