"""Whether the views of a ledger equal a replay of its events, row for row."""

from __future__ import annotations

from pathlib import Path

from runfold_events.stores.sqlite import SqliteStore
from runfold_events.sync import run_sync
from runfold_projections.dump import dump
from runfold_projections.projection import Row, ViewStore
from runfold_projections.stores.sqlite import SqliteViewStore
from runfold_projections.views import EmbeddedViews, all_projections

Tables = dict[str, list[Row]]


def live_and_replayed(ledger: Path) -> tuple[Tables, Tables]:
    """All rows of all views: as they are kept in the file, and folded anew from the first event into memory."""
    store = SqliteStore.open(ledger)
    try:
        return _folded(store, SqliteViewStore(ledger)), _folded(store, SqliteViewStore(":memory:"))
    finally:
        run_sync(store.close())


def _folded(store: SqliteStore, rows: ViewStore) -> Tables:
    projections = all_projections()
    views = EmbeddedViews(store, rows, projections)
    try:
        run_sync(views.catch_up())
        return run_sync(dump(rows, projections))
    finally:
        run_sync(views.close())


def check_views_equal_a_replay(ledger: Path) -> int:
    """Raise unless they are equal; returns how many rows were compared."""
    live, replayed = live_and_replayed(ledger)
    assert live.keys() == replayed.keys()
    for table, rows in live.items():
        assert rows == replayed[table], f"{table} is not what a replay gives"
    return sum(map(len, live.values()))
