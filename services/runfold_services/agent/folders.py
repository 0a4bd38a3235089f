"""The private folder in which a run is executed: made, locked while anything of the run lives, removed afterwards.

What is kept beyond that, on purpose or because it could not be stored, is removed by age and number.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Final, Literal

from msgspec import Struct

from runfold_events.contract.errors import Unavailable
from runfold_services.agent.locks import is_locked

Keep = Literal["never", "failed", "always"]
PREFIX: Final = "run-"
_PRIVATE: Final = 0o700
_LOCK: Final = "lock"
_KEPT: Final = "kept"


KEPT_DAYS_MAX: Final = 30.0
KEPT_FOLDERS_MAX: Final = 100
_DAY_S: Final = 24 * 3600.0


class KeptBound(Struct, frozen=True, kw_only=True):
    """How many folders stay in an agent's place after their runs, and for how long."""

    days_max: float = KEPT_DAYS_MAX
    folders_max: int = KEPT_FOLDERS_MAX


class RunFolder:
    """``work`` holds the working copy; what the agent keeps for itself lies beside it.

    The lock is inherited by the run's supervisor. So a folder whose lock is free belongs to nobody that lives.
    """

    def __init__(self, root: Path) -> None:
        """Make a folder under ``root``.

        Raises:
            Unavailable: it cannot be made.
        """
        try:
            root.mkdir(parents=True, exist_ok=True, mode=_PRIVATE)
            self.path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=root))
            self.lock = os.open(self.path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.work.mkdir()
        except OSError as error:
            raise Unavailable(f"no folder for a run can be made under {root}: {error}") from None

    @property
    def work(self) -> Path:
        """The working copy; the script's current folder."""
        return self.path / "work"

    @property
    def script_log(self) -> Path:
        """What the script prints."""
        return self.path / "std_log.txt"

    @property
    def agent_log(self) -> Path:
        """What the agent has to say about the run."""
        return self.path / "agent_log.txt"

    @property
    def error_file(self) -> Path:
        """Where the script leaves the error that it reported with ``Run.fail``."""
        return self.path / "error.json"

    def close(self, *, keep: bool) -> None:
        """Nothing of the run lives any more."""
        if keep:
            with contextlib.suppress(OSError):
                (self.path / _KEPT).touch()
        os.close(self.lock)
        if not keep:
            _remove(self.path)


def remove_left_behind(root: Path) -> int:
    """Remove folders of agents that are gone; returns how many. What was kept on purpose stays."""
    removed = 0
    for folder in sorted(root.glob(f"{PREFIX}*")):
        if (folder / _KEPT).exists() or not _is_free(folder / _LOCK):
            continue
        _remove(folder)
        removed += 1
    return removed


def remove_old_kept(root: Path, bound: KeptBound) -> list[Path]:
    """Remove kept folders that are too old, then the oldest that are too many; returns which.

    One whose lock somebody has belongs to a run that is still executed, and stays.
    """
    oldest_at = time.time() - bound.days_max * _DAY_S
    removed: list[Path] = []
    for number, (kept_at, folder) in enumerate(_kept_newest_first(root)):
        is_over = number >= bound.folders_max or kept_at < oldest_at
        is_half_removed = not (folder / _LOCK).exists()
        if is_over and (is_half_removed or _is_free(folder / _LOCK)):
            _remove(folder)
            removed.append(folder)
    return removed


def _kept_newest_first(root: Path) -> list[tuple[float, Path]]:
    found: list[tuple[float, Path]] = []
    for mark in root.glob(f"{PREFIX}*/{_KEPT}"):
        with contextlib.suppress(OSError):  # another one removes it just now
            found.append((mark.stat().st_mtime, mark.parent))
    return sorted(found, reverse=True)


def _is_free(lock: Path) -> bool:
    try:
        return not is_locked(lock)
    except OSError:
        return False  # being made, or being removed


def _remove(folder: Path) -> None:
    """Remove a folder; a script may have made parts of it unwritable."""

    def unlock(function: object, name: str, error: object) -> None:
        path = Path(name)
        with contextlib.suppress(OSError):
            path.parent.chmod(_PRIVATE)
            if path.is_dir() and not path.is_symlink():
                path.chmod(_PRIVATE)
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink()

    shutil.rmtree(folder, onerror=unlock)
