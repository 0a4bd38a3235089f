"""``python -m runfold_services.compose.committing HOME``: decides and appends to a home's ledger what it is told."""

from __future__ import annotations

import sys
from pathlib import Path

from runfold_events.ids_source import SystemIds
from runfold_events.ledger import Ledger
from runfold_events.stores.sqlite import SqliteStore
from runfold_events.sync import run_sync
from runfold_services.committing import answer_to
from runfold_services.compose.embedded import ledger_path
from runfold_services.helper_process import answer_requests
from runfold_services.process import calm_collector


def main(home: Path) -> None:
    """Answer until the input ends."""
    store = SqliteStore.open(ledger_path(home))
    ledger = Ledger(store, SystemIds())
    try:
        calm_collector()
        answer_requests(lambda request: answer_to(request, lambda batch: run_sync(ledger.handle(batch))))
    finally:
        run_sync(store.close())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
