"""Tells the story again and again, each time in a new process that is killed one statement later.

    python -m tests.chaos.sqlite_killer FOLDER STORE STEP

``FOLDER/1`` is killed at the first point, ``FOLDER/2`` at the second (or STEP later), and so on until one comes to the
end alive. Each folder keeps the ledger and what was acknowledged. ``STORE`` names the class of store, protected or not.
"""

from __future__ import annotations

import os
import pkgutil
import shutil
import sys
from pathlib import Path

from runfold_events.contract.submission import Accepted, Outcome
from runfold_events.stores.sqlite import connection
from runfold_events.stores.sqlite.store import SqliteStore
from runfold_events.sync import run_sync
from tests.chaos.sqlite_story import tell
from tests.support.killing import die_at, kill_until_done

LEDGER = "ledger.db"
ACKNOWLEDGED = "acknowledged"
KILLS_MAX = 2_000


def kill_everywhere(folder: Path, store_class: type[SqliteStore], step: int) -> None:
    """Fork, tell, die at point ``kill``, for ever later points, until the story ends before the point is reached."""
    empty = folder / "empty.db"
    run_sync(store_class.open(empty).close())
    kill_until_done(range(1, KILLS_MAX, step), lambda kill: tell_and_die(folder, store_class, kill), "story")


def tell_and_die(folder: Path, store_class: type[SqliteStore], kill: int) -> None:
    """In the child: the story, up to the ``kill``-th point."""
    place = folder / str(kill)
    place.mkdir()
    shutil.copy(folder / "empty.db", place / LEDGER)
    die_at(kill)
    log = os.open(place / ACKNOWLEDGED, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def acknowledge(number: int, answers: list[Outcome]) -> None:
        ids = [str(event.id) for answer in answers if isinstance(answer, Accepted) for event in answer.events]
        os.write(log, "".join(f"{line}\n" for line in ids).encode())

    tell(place / LEDGER, store_class, acknowledge)


if __name__ == "__main__":
    # A killed process loses nothing that it wrote, synced or not, and this is the slow part.
    connection.SYNCHRONOUS = "OFF"
    kill_everywhere(Path(sys.argv[1]), pkgutil.resolve_name(sys.argv[2]), int(sys.argv[3]))
