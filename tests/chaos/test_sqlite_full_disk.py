"""A full disk takes nothing back that was acknowledged, is told in plain words, and passes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from runfold_events.check import check_ledger
from runfold_events.stores.sqlite.store import SqliteStore
from runfold_events.sync import run_sync


def test_a_full_disk_is_unavailable_and_harmless(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.db"
    done = subprocess.run(
        [sys.executable, "-m", "tests.chaos.sqlite_full_disk", str(ledger)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)

    assert told["appended"] >= 5
    assert told["ends"] == [told["appended"]]
    assert told["after"] == [told["appended"] + 1]
    assert "disk" in told["error"]
    store = SqliteStore.open(ledger)
    report = run_sync(check_ledger(store))
    run_sync(store.close())
    assert report.is_sound
    assert list(report.ends) == told["after"]
