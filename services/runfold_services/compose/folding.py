"""``python -m runfold_services.compose.folding HOME``: folds a home's views whenever it is asked.

A line on standard input asks; the answer is a line that begins with ``done``, or says what went wrong. It ends when
its input does, so that it never outlives the server that it folds for.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from runfold_events.contract.errors import RunfoldError
from runfold_events.stores.sqlite import SqliteStore
from runfold_events.sync import run_sync
from runfold_projections.views import EmbeddedViews, open_sqlite_views
from runfold_services.compose.embedded import ledger_path
from runfold_services.folding import DONE, READY
from runfold_services.process import calm_collector, say
from runfold_services.settings import value_codec


def main(home: Path) -> None:
    """Answer until the input ends."""
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C goes to the whole group; the server ends this process
    store = SqliteStore.open(ledger_path(home))
    views = open_sqlite_views(store, value_codec())
    try:
        calm_collector()
        say(READY)
        for _ in sys.stdin:
            say(_catch_up(views))
    finally:
        run_sync(views.close())
        run_sync(store.close())


def _catch_up(views: EmbeddedViews) -> str:
    try:
        return f"{DONE} {run_sync(views.catch_up())}"
    except RunfoldError as error:
        return f"{error.code}: {error}".replace("\n", " ")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
