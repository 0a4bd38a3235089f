"""Eight processes on one file, some of them killed: one dense chain, nothing acknowledged lost, no word about locks."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from runfold_events.check import check_ledger
from runfold_events.stores.sqlite.store import SqliteStore
from runfold_events.sync import run_sync
from tests.support.checker import check_store

PROCESSES: Final = 8
KILLED: Final = (1, 3, 5)
SECONDS: Final = 2.0
POLL_S: Final = 0.01
TIMEOUT_S: Final = 60


def start(ledger: Path, number: int) -> subprocess.Popen[bytes]:
    """One worker process."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.chaos.sqlite_worker", str(ledger), str(number), str(SECONDS)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_processes_share_one_file_and_some_are_killed(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.db"
    workers = [start(ledger, number) for number in range(1, PROCESSES + 1)]
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.read(1) == b"."
    for number in KILLED:
        wait_for_progress(ledger, number)
        workers[number - 1].kill()
    errors = {number: worker.communicate(timeout=TIMEOUT_S)[1] for number, worker in enumerate(workers, 1)}

    survivors = [worker for number, worker in enumerate(workers, 1) if number not in KILLED]
    assert [worker.returncode for worker in survivors] == [0] * len(survivors), errors
    assert {number: text for number, text in errors.items() if text} == {}
    store = SqliteStore.open(ledger)
    streams = check_store(store)
    assert run_sync(check_ledger(store)).is_sound
    found = {str(event.id) for events in streams.values() for event in events}
    for number in range(1, PROCESSES + 1):
        acknowledged = set(Path(f"{ledger}.{number}").read_text().split())
        assert len(acknowledged) > 1
        assert acknowledged <= found
    run_sync(store.close())


def wait_for_progress(ledger: Path, number: int) -> None:
    """Until the worker has had something acknowledged."""
    noted = Path(f"{ledger}.{number}")
    while noted.stat().st_size == 0:
        time.sleep(POLL_S)
