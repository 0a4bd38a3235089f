"""A record that nobody can read, in a ledger, as a decider keeps it."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

from runfold_events.contract.submission import Actor
from runfold_events.ids_source import SystemIds
from runfold_events.ledger import Ledger
from runfold_events.log_door import LogDoor, LogRecord
from runfold_events.stores.sqlite import SqliteStore
from runfold_events.sync import run_sync
from runfold_services.compose import ledger_path


def keep_garbage(home: Path) -> None:
    """As a decider does that finds it in the command topic."""
    store = SqliteStore.open(ledger_path(home))
    door = LogDoor(Ledger(store, SystemIds()), lambda _: Actor("kafka", "kafka"), uuid4())
    run_sync(door.handle([LogRecord(0, 0, 1, b"garbage", b"\xff", (("a", b"b"),))], 0))
    run_sync(store.close())
