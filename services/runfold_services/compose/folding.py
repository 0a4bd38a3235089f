"""``python -m runfold_services.compose.folding HOME``: folds a home's views whenever it is asked.

Every request asks; the answer says where the views stand then, or what went wrong.
"""

from __future__ import annotations

import sys
from pathlib import Path

from runfold_events.stores.sqlite import SqliteStore
from runfold_events.sync import run_sync
from runfold_projections.views import open_sqlite_views
from runfold_services.compose.embedded import ledger_path
from runfold_services.folding import answer_to
from runfold_services.helper_process import answer_requests
from runfold_services.process import calm_collector
from runfold_services.settings import value_codec


def main(home: Path) -> None:
    """Answer until the input ends."""
    store = SqliteStore.open(ledger_path(home))
    views = open_sqlite_views(store, value_codec())
    try:
        calm_collector()
        answer_requests(lambda request: answer_to(lambda: run_sync(views.reach(None))))
    finally:
        run_sync(views.close())
        run_sync(store.close())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
