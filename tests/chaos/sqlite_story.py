"""A short story told to a ledger, one batch after the other; any part of it may be told again with the same numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final
from uuid import UUID

from msgspec import Raw

from runfold_events.clock import SystemClock
from runfold_events.contract import commands as c
from runfold_events.contract.commands import Command
from runfold_events.contract.envelope import JSON
from runfold_events.contract.submission import Actor, Outcome, Submission
from runfold_events.ids_source import SystemIds
from runfold_events.ledger import Ledger
from runfold_events.stores.sqlite.store import SqliteStore
from runfold_events.sync import run_sync

WRITER: Final = UUID(int=0x57021)
LEASE_US: Final = 60_000_000
ACTOR: Final = Actor("teller", "os", admin=True)

# Batches of (number on the stream, command). Every kind of statement of an append occurs.
STORY: Final[tuple[tuple[tuple[int, Command], ...], ...]] = (
    ((1, c.EnsureExperiment(experiment="exp")), (1, c.CreateRun(run_id="top", experiment="exp"))),
    (
        (1, c.CreateRun(run_id="child", experiment="exp", parent_run_id="top")),
        (2, c.LogParams(run_id="top", params={"lr": 0.1})),
        (3, c.AddProperties(run_id="top", properties={"sha": "abc"})),
        (2, c.LogMetrics(run_id="child", batch=Raw(b'{"series":[]}'))),
    ),
    ((4, c.AddProperties(run_id="top", properties={"sha": "other"})), (3, c.CompleteRun(run_id="child"))),
    ((4, c.EraseRun(run_id="child")),),
    ((5, c.SetTags(run_id="top", tags={"done": "yes"})), (6, c.CompleteRun(run_id="top"))),
)


def tell(
    path: Path,
    store_class: type[SqliteStore] = SqliteStore,
    acknowledge: Callable[[int, list[Outcome]], None] | None = None,
) -> list[list[Outcome]]:
    """Tell the whole story to the store at ``path``; ``acknowledge`` hears of each batch once it was answered."""
    store = store_class.open(path)
    try:
        ledger = Ledger(store, SystemIds())
        answers: list[list[Outcome]] = []
        run_sync(store.renew_lease(WRITER, LEASE_US))
        for number, batch in enumerate(STORY):
            answers.append(run_sync(ledger.handle([submission(*command) for command in batch])))
            if acknowledge is not None:
                acknowledge(number, answers[-1])
        return answers
    finally:
        run_sync(store.close())


def submission(number: int, command: Command, writer_id: UUID = WRITER) -> Submission:
    """A command as a process sends it that holds the runs it starts."""
    return Submission(
        command=command,
        workspace="w",
        writer_id=writer_id,
        writer_seq=number,
        occurred_at=SystemClock().now_us(),
        actor=ACTOR,
        door="embedded",
        content_type=JSON,
        hold=True,
    )
