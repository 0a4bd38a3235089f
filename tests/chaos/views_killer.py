"""Folds a ledger into its views again and again, each time in a new process that is killed one step later.

    python -m tests.chaos.views_killer FOLDER LEDGER

``FOLDER/1`` is killed at the first step of the fold, ``FOLDER/2`` at the second, until one comes to the end alive.
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import sys
from pathlib import Path

from runfold_events import failpoints
from runfold_events.stores.sqlite import connection
from tests.support.replay import live_and_replayed

LEDGER = "ledger.db"
KILLS_MAX = 2_000


def main(folder: Path, ledger: Path) -> None:
    """Fork, fold, die at step ``kill``, for ever later steps, until the fold ends before the step is reached."""
    for kill in range(1, KILLS_MAX):
        place = folder / str(kill)
        place.mkdir()
        shutil.copy(ledger, place / LEDGER)
        child = os.fork()
        if child == 0:
            fold_and_die(place / LEDGER, kill)
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status):
            sys.exit(os.WEXITSTATUS(status))
        if os.WTERMSIG(status) != signal.SIGKILL:
            sys.exit(f"the child at {kill} died of signal {os.WTERMSIG(status)}")
    sys.exit("the fold never came to its end")


def fold_and_die(ledger: Path, kill: int) -> None:
    """In the child: the fold, up to the ``kill``-th step."""
    reached = itertools.count(1)
    failpoints.arm("*", lambda: os.kill(os.getpid(), signal.SIGKILL) if next(reached) == kill else None)
    try:
        live_and_replayed(ledger)
    finally:
        os._exit(0 if sys.exc_info()[0] is None else 1)


if __name__ == "__main__":
    connection.SYNCHRONOUS = "OFF"  # a killed process loses nothing that it wrote, synced or not
    main(Path(sys.argv[1]), Path(sys.argv[2]))
