"""``python -m runfold_services.compose.folding HOME``: folds a home's views whenever it is asked.

Every request asks; the answer begins with ``done``, or says what went wrong.
"""

from __future__ import annotations

import sys
from pathlib import Path

from runfold_events.contract.errors import RunfoldError
from runfold_events.stores.sqlite import SqliteStore
from runfold_events.sync import run_sync
from runfold_projections.views import EmbeddedViews, open_sqlite_views
from runfold_services.compose.embedded import ledger_path
from runfold_services.folding import DONE
from runfold_services.helper_process import answer_requests
from runfold_services.process import calm_collector
from runfold_services.settings import value_codec


def main(home: Path) -> None:
    """Answer until the input ends."""
    store = SqliteStore.open(ledger_path(home))
    views = open_sqlite_views(store, value_codec())
    try:
        calm_collector()
        answer_requests(lambda request: _catch_up(views))
    finally:
        run_sync(views.close())
        run_sync(store.close())


def _catch_up(views: EmbeddedViews) -> bytes:
    try:
        return DONE + f" {run_sync(views.catch_up())}".encode()
    except RunfoldError as error:
        return f"{error.code}: {error}".encode()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
