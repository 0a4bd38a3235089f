"""Folding beside a busy server: a helper process folds the same file, so that folds and requests share no interpreter.

Views are correct whoever folds them: checkpoints are compared and set in the fold's transaction. So the helper is a
matter of speed alone. Without it, or when it fails, the server folds by itself, as it does while it has little to do.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final

from runfold_events.contract.tokens import Token
from runfold_services.helper_process import HelperProcess
from runfold_services.threads import Beside, Places

TASK: Final = "folding"
DONE: Final = b"done"  # what an answer begins with; any other says what went wrong
BUSY_FOLD_S: Final = 0.02  # a fold that takes as long keeps requests waiting, and is worth a process


class FoldingBeside(Beside):
    """:class:`~runfold_services.threads.Places` whose folds are done by a helper once they are worth one."""

    def __init__(
        self,
        places: Places,
        helper: HelperProcess,
        look: Callable[[], Coroutine[Any, Any, Token]],
        *,
        busy_fold_s: float = BUSY_FOLD_S,
    ) -> None:
        """``look``: says where the views stand, without folding."""
        super().__init__(places)
        self._helper = helper
        self._look = look
        self._busy_fold_s = busy_fold_s
        self._is_busy = False

    async def fold(self, work: Callable[[], Coroutine[Any, Any, Token]]) -> Token:
        """Let the helper fold, if it is there. What is appended meanwhile is left for the next fold, not folded here:
        a busy server always has a next one, and would be busy with folds again."""

        async def one() -> Token:
            if self._is_busy and ask_to_fold(self._helper):
                return await self._look()
            began = time.monotonic()
            position = await work()
            self._is_busy = self._is_busy or time.monotonic() - began > self._busy_fold_s
            return position

        return await self._places.fold(one)

    async def stop(self) -> None:
        """See :class:`~runfold_services.threads.Places`."""
        await super().stop()
        await asyncio.to_thread(self._helper.stop)


def ask_to_fold(helper: HelperProcess) -> bool:
    """Have everything folded that was appended; False when that is left to the caller."""
    answer = helper.ask(b"")
    if answer is None:
        return False
    if not answer.startswith(DONE):
        helper.give_up(answer.decode(errors="replace"))
        return False
    return True
