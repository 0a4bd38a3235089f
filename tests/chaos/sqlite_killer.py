"""Tells the story again and again, each time in a new process that is killed one statement later.

    python -m tests.chaos.sqlite_killer FOLDER STORE STEP

``FOLDER/1`` is killed at the first point, ``FOLDER/2`` at the second (or STEP later), and so on until one comes to the
end alive. Each folder keeps the ledger and what was acknowledged. ``STORE`` names the class of store, protected or not.
"""

from __future__ import annotations

import itertools
import os
import pkgutil
import shutil
import signal
import sys
from pathlib import Path

from runfold_events import failpoints
from runfold_events.contract.submission import Accepted, Outcome
from runfold_events.stores.sqlite import connection
from runfold_events.stores.sqlite.store import SqliteStore
from runfold_events.sync import run_sync
from tests.chaos.sqlite_story import tell

LEDGER = "ledger.db"
ACKNOWLEDGED = "acknowledged"
KILLS_MAX = 2_000


def kill_everywhere(folder: Path, store_class: type[SqliteStore], step: int) -> None:
    """Fork, tell, die at point ``kill``, for ever later points, until the story ends before the point is reached."""
    empty = folder / "empty.db"
    run_sync(store_class.open(empty).close())
    for kill in range(1, KILLS_MAX, step):
        place = folder / str(kill)
        place.mkdir()
        shutil.copy(empty, place / LEDGER)
        child = os.fork()
        if child == 0:
            tell_and_die(place, store_class, kill)
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status):
            sys.exit(os.WEXITSTATUS(status))
        if os.WTERMSIG(status) != signal.SIGKILL:
            sys.exit(f"the child at {kill} died of signal {os.WTERMSIG(status)}")
    sys.exit("the story never came to its end")


def tell_and_die(place: Path, store_class: type[SqliteStore], kill: int) -> None:
    """In the child: the story, up to the ``kill``-th point."""
    reached = itertools.count(1)
    failpoints.arm("*", lambda: os.kill(os.getpid(), signal.SIGKILL) if next(reached) == kill else None)
    log = os.open(place / ACKNOWLEDGED, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def acknowledge(number: int, answers: list[Outcome]) -> None:
        ids = [str(event.id) for answer in answers if isinstance(answer, Accepted) for event in answer.events]
        os.write(log, "".join(f"{line}\n" for line in ids).encode())

    try:
        tell(place / LEDGER, store_class, acknowledge)
    finally:
        os._exit(0 if sys.exc_info()[0] is None else 1)


if __name__ == "__main__":
    # A killed process loses nothing that it wrote, synced or not, and this is the slow part.
    connection.SYNCHRONOUS = "OFF"
    kill_everywhere(Path(sys.argv[1]), pkgutil.resolve_name(sys.argv[2]), int(sys.argv[3]))
