"""A process whose files may not grow any more, as on a full disk: what a store says then, and afterwards.

    python -m tests.chaos.sqlite_full_disk LEDGER

Prints the number of events appended before, the error, and the number after the limit was lifted.
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

from runfold_events.contract.errors import Unavailable
from runfold_events.ids_source import SystemIds
from runfold_events.ports import Write
from runfold_events.stores.sqlite.store import SqliteStore
from runfold_events.sync import run_sync
from runfold_events.testing.builders import EventBuilder

ROOM_BYTES = 600_000
BODY = bytes(50_000)
STREAM = "w/run/large"


def main(ledger: Path) -> None:
    """Append until it fails; lift the limit; append again."""
    store = SqliteStore.open(ledger)
    build = EventBuilder(store.epoch, SystemIds())

    async def append() -> None:
        async with store.transaction(0) as transaction:
            placed = build.place(transaction.row, [build.event(STREAM, body=BODY)])
            await transaction.write(Write(events=placed))

    resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM_BYTES, resource.RLIM_INFINITY))
    appended, error = 0, None
    while error is None:
        try:
            run_sync(append())
            appended += 1
        except Unavailable as unavailable:
            error = unavailable
    ends = run_sync(store.ends())
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    build.go_on(STREAM, ends[0])
    run_sync(append())
    after = run_sync(store.ends())
    run_sync(store.close())
    print(json.dumps({"appended": appended, "error": error.message, "ends": ends, "after": after}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
