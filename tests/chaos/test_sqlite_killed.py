"""T4: the process is killed at every statement of an append. What was acknowledged is there, all of it or nothing is.

Control: without transactions the same kills leave damage, and the checker says so.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from runfold_events.check import check_ledger
from runfold_events.stores.sqlite import connection
from runfold_events.stores.sqlite.store import SqliteStore
from runfold_events.sync import run_sync
from tests.chaos.sqlite_killer import ACKNOWLEDGED, LEDGER
from tests.chaos.sqlite_story import STORY, tell
from tests.support.checker import Streams, check_store
from tests.support.killing import run_killer
from tests.support.replay import check_views_equal_a_replay

PROTECTED: Final = "runfold_events.stores.sqlite.store:SqliteStore"
UNPROTECTED: Final = "tests.chaos.sqlite_unprotected:NoTransactionStore"
POINTS_MIN: Final = 100  # the story has more statements than that, with a point on each side
TIMEOUT_S: Final = 60


def kill_everywhere(folder: Path, store: str, step: int = 1) -> list[Path]:
    """One folder for each point where the process was killed; the last is of the process that came through."""
    run_killer("sqlite_killer", str(folder), store, str(step), timeout_s=TIMEOUT_S)
    places = sorted(
        (place for place in folder.iterdir() if place.is_dir()), key=lambda place: int(place.name)
    )
    assert int(places[-1].name) > POINTS_MIN
    return places


def check(place: Path) -> Streams:
    """Raise at the first thing that is not as it must be; returns the events by stream."""
    store = SqliteStore.open(place / LEDGER)
    try:
        streams = check_store(store)
        report = run_sync(check_ledger(store))
        assert report.is_sound, report
        found = {str(event.id) for events in streams.values() for event in events}
        acknowledged = set((place / ACKNOWLEDGED).read_text().split())
        assert acknowledged <= found, "something acknowledged is gone"
        return streams
    finally:
        run_sync(store.close())


def types(streams: Streams) -> dict[str, list[str]]:
    """What happened on each stream."""
    return {stream: [event.type for event in events] for stream, events in streams.items()}


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here is about power cuts."""
    monkeypatch.setattr(connection, "SYNCHRONOUS", "OFF")


def test_killed_at_every_statement_whole_batches_stand_and_the_rest_can_be_sent_again(tmp_path: Path) -> None:
    killed = kill_everywhere(tmp_path, PROTECTED)
    whole = types(check(killed[-1]))
    ends: set[int] = set()
    for place in killed:
        ends.add(sum(map(len, check(place).values())))
        tell(place / LEDGER)
        assert types(check(place)) == whole, f"killed at {place.name}"
        assert check_views_equal_a_replay(place / LEDGER) > 0
    # Nothing in between: the empty store and the end of each batch.
    assert len(ends) == 1 + len(STORY)


def test_control_without_transactions_the_damage_is_seen(tmp_path: Path) -> None:
    killed = kill_everywhere(tmp_path, UNPROTECTED, step=5)
    damaged = [place for place in killed if not is_whole(place)]
    assert len(damaged) > len(killed) // 5


def is_whole(place: Path) -> bool:
    """True when the checker finds nothing."""
    try:
        check(place)
    except Exception:  # whatever it is that the damage breaks first
        return False
    return True
