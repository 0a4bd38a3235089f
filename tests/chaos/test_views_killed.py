"""The process is killed at every step of a fold; the views go on from their checkpoint and equal a replay."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

import pytest

from tests.chaos.sqlite_story import tell
from tests.chaos.views_killer import LEDGER
from tests.support.killing import run_killer
from tests.support.replay import check_views_equal_a_replay

STEPS_MIN: Final = 10
TIMEOUT_S: Final = 90


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """A ledger whose events nobody has folded yet."""
    path = tmp_path / "told" / LEDGER
    path.parent.mkdir()
    tell(path)
    return path


def test_killed_at_every_step_of_a_fold_the_views_equal_a_replay(ledger: Path, tmp_path: Path) -> None:
    folder = tmp_path / "killed"
    folder.mkdir()
    run_killer("views_killer", str(folder), str(ledger), timeout_s=TIMEOUT_S)
    places = list(folder.iterdir())
    assert len(places) > STEPS_MIN
    for place in places:
        assert check_views_equal_a_replay(place / LEDGER) > 0, f"killed at {place.name}"


def test_control_a_row_that_was_changed_is_seen(ledger: Path) -> None:
    check_views_equal_a_replay(ledger)
    with sqlite3.connect(ledger) as intruder:
        tables = [
            row[0] for row in intruder.execute("SELECT name FROM sqlite_schema WHERE name LIKE 'view_runs_%'")
        ]
        table = next(name for name in tables if name.endswith("_run"))
        assert intruder.execute(f"DELETE FROM {table}").rowcount > 0  # a name of ours
    intruder.close()
    with pytest.raises(AssertionError, match="is not what a replay gives"):
        check_views_equal_a_replay(ledger)
