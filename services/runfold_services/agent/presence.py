"""Whether an agent of this machine looks after the embedded ledger of a home: a lock that lives as long as it does.

``submit`` commits a run as waiting and *then* looks at the lock; an agent that is about to end gives the lock up and
*then* looks for waiting runs once more. So no run waits for an agent that ends, and none is started without need.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Final

from runfold_services.agent.locks import is_locked

FOLDER: Final = "agents"


def agents_folder(home: Path, workspace: str) -> Path:
    """Where agents of a workspace keep locks, logs and working copies."""
    return home / FOLDER / workspace


class Presence:
    """The lock. An agent that was started by ``submit`` is alone; those that people start may be several."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "agent.lock"
        self._descriptor: int | None = None

    def enter(self, *, alone: bool) -> bool:
        """Say that an agent lives here; False when ``alone`` and there is one already."""
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return not alone  # beside one that is alone nothing needs to be said
        self._descriptor = descriptor
        return True

    def leave(self) -> None:
        """Say that it is about to end."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def is_somebody_there(self) -> bool:
        """Whether an agent lives here."""
        try:
            return is_locked(self._path)
        except OSError:
            return False
