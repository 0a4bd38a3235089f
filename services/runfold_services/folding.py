"""Folding beside a busy server: a helper process folds the same file, so that folds and requests share no interpreter.

Views are correct whoever folds them: checkpoints are compared and set in the fold's transaction. So the helper is a
matter of speed alone. Without it, or when it fails, the server folds by itself, as it does while it has little to do.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final, TypeVar

from runfold_services.helper_process import HelperProcess
from runfold_services.threads import Places

T = TypeVar("T")

DONE: Final = b"done"  # what an answer begins with; any other says what went wrong
BUSY_FOLD_S: Final = 0.02  # a fold that takes as long keeps requests waiting, and is worth a process


def helper_command(home: Path) -> list[str]:
    """What starts a helper over the embedded ledger of ``home``."""
    return [sys.executable, "-m", "runfold_services.compose.folding", str(home)]


class FoldingBeside:
    """:class:`~runfold_services.threads.Places` whose folds are done by a helper once they are worth one."""

    def __init__(self, places: Places, helper: HelperProcess, *, busy_fold_s: float = BUSY_FOLD_S) -> None:
        self._places = places
        self._helper = helper
        self._busy_fold_s = busy_fold_s
        self._is_busy = False

    async def commit(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """See :class:`~runfold_services.threads.Places`."""
        return await self._places.commit(work)

    async def fold(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Let the helper fold first, if it is there; ``work`` folds what is left, which then is next to nothing."""

        async def both() -> T:
            if self._is_busy:
                ask_to_fold(self._helper)
            began = time.monotonic()
            found = await work()
            self._is_busy = self._is_busy or time.monotonic() - began > self._busy_fold_s
            return found

        return await self._places.fold(both)

    async def query(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """See :class:`~runfold_services.threads.Places`."""
        return await self._places.query(work)

    def stop(self) -> None:
        """See :class:`~runfold_services.threads.Places`."""
        self._places.stop()
        self._helper.stop()


def ask_to_fold(helper: HelperProcess) -> bool:
    """Have everything folded that was appended; False when that is left to the caller."""
    answer = helper.ask(b"")
    if answer is None:
        return False
    if not answer.startswith(DONE):
        helper.give_up(answer.decode(errors="replace"))
        return False
    return True
