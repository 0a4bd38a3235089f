"""Folding beside a busy server: a helper process folds the same file, so that folds and requests share no interpreter.

Views are correct whoever folds them: checkpoints are compared and set in the fold's transaction. So the helper is a
matter of speed alone. Without it, or when it fails, the server folds by itself, as it does while it has little to do.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Final

from runfold_events.contract.errors import Invalid, RunfoldError
from runfold_events.contract.tokens import Token, parse_token
from runfold_services.helper_on_loop import HelperOnLoop
from runfold_services.threads import Beside, Places

TASK: Final = "folding"
_DONE: Final = b"done "  # what an answer begins with; any other says what went wrong
BUSY_FOLD_S: Final = 0.02  # a fold that takes as long keeps requests waiting, and is worth a process


class FoldingBeside(Beside):
    """:class:`~runfold_services.threads.Places` whose folds are done by a helper once they are worth one."""

    def __init__(self, places: Places, helper: HelperOnLoop, *, busy_fold_s: float = BUSY_FOLD_S) -> None:
        """``helper``: of :data:`TASK`, over the same store."""
        super().__init__(places)
        self._helper = helper
        self._busy_fold_s = busy_fold_s
        self._is_busy = False

    async def fold(self, work: Callable[[], Coroutine[Any, Any, Token]]) -> Token:
        """Let the helper fold, if it is there. What is appended meanwhile is left for the next fold, not folded here:
        a busy server always has a next one, and would be busy with folds again."""
        if self._is_busy:
            self._helper.start()
            position = await ask_to_fold(self._helper)
            if position is not None:
                return position
        return await self._places.fold(lambda: self._timed(work))

    async def stop(self) -> None:
        """See :class:`~runfold_services.threads.Places`."""
        await self._helper.stop()
        await super().stop()

    async def _timed(self, work: Callable[[], Coroutine[Any, Any, Token]]) -> Token:
        began = time.monotonic()
        position = await work()
        self._is_busy = self._is_busy or time.monotonic() - began > self._busy_fold_s
        return position


async def ask_to_fold(helper: HelperOnLoop) -> Token | None:
    """Have everything folded that was appended: where the views stand then. None when that is left to the caller."""
    answer = await helper.ask(b"")
    if answer is None:
        return None
    if answer.startswith(_DONE):
        with suppress(Invalid, UnicodeDecodeError):
            return parse_token(answer[len(_DONE) :].decode())
    helper.give_up(answer.decode(errors="replace"))
    return None


def answer_to(fold: Callable[[], Token]) -> bytes:
    """The helper's answer; ``fold`` folds, and says where the views stand then."""
    try:
        return _DONE + str(fold()).encode()
    except RunfoldError as error:
        return f"{error.code}: {error}".encode()
