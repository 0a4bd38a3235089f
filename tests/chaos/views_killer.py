"""Folds a ledger into its views again and again, each time in a new process that is killed one step later.

    python -m tests.chaos.views_killer FOLDER LEDGER

``FOLDER/1`` is killed at the first step of the fold, ``FOLDER/2`` at the second, until one comes to the end alive.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from runfold_events.stores.sqlite import connection
from tests.support.killing import die_at, kill_until_done
from tests.support.replay import live_and_replayed

LEDGER = "ledger.db"
KILLS_MAX = 2_000


def main(folder: Path, ledger: Path) -> None:
    """Fork, fold, die at step ``kill``, for ever later steps, until the fold ends before the step is reached."""
    kill_until_done(range(1, KILLS_MAX), lambda kill: fold_and_die(folder / str(kill), ledger, kill), "fold")


def fold_and_die(place: Path, ledger: Path, kill: int) -> None:
    """In the child: the fold, up to the ``kill``-th step."""
    place.mkdir()
    shutil.copy(ledger, place / LEDGER)
    die_at(kill)
    live_and_replayed(place / LEDGER)


if __name__ == "__main__":
    connection.SYNCHRONOUS = "OFF"  # a killed process loses nothing that it wrote, synced or not
    main(Path(sys.argv[1]), Path(sys.argv[2]))
