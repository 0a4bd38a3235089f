"""A store survives a fork on both sides: a job that forks workers neither loses nor doubles nor blocks anything."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from runfold_events.check import check_ledger
from runfold_events.stores.sqlite import SqliteStore
from runfold_events.sync import run_sync

CASES = (
    "both_go_on",
    "a_child_outlives_its_parents_store",
    "control_an_inherited_connection_loses_events",
    "children_that_end_at_once",
    "forked_inside_a_transaction",
    "forked_while_another_thread_writes",
    "memory_stays_with_the_parent",
    "ids_differ",
    "a_lock_is_not_inherited",
)


@pytest.mark.parametrize("case", CASES)
def test_after_a_fork(tmp_path: Path, case: str) -> None:
    ledger = tmp_path / "ledger.db"
    done = subprocess.run(
        # Python 3.12 warns of a fork beside threads, which is what happens here on purpose.
        [sys.executable, "-W", "ignore:This process", "-m", "tests.chaos.sqlite_forks", case, str(ledger)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    if ledger.exists():
        store = SqliteStore.open(ledger)
        assert run_sync(check_ledger(store)).is_sound
        run_sync(store.close())
