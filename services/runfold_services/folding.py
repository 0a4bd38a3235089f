"""Folding beside a busy server: a helper process folds the same file, so that folds and requests share no interpreter.

Views are correct whoever folds them: checkpoints are compared and set in the fold's transaction. So the helper is a
matter of speed alone. Without it, or when it fails, the server folds by itself, as it does while it has little to do.

A bulk of commands takes several transactions, and a fold's transactions would go between them, each with the file's
lock: somebody waits for the bulk's answer, and nobody for that fold. So it waits until the bulk is committed, for a
while. Whoever asks meanwhile folds before they are answered, as always.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, Final

from runfold_events.contract import limits
from runfold_events.contract.errors import Invalid, RunfoldError
from runfold_events.contract.submission import Outcome, Submission
from runfold_events.contract.tokens import Token, parse_token
from runfold_services.helper_on_loop import HelperOnLoop
from runfold_services.threads import Beside, Places

TASK: Final = "folding"
_DONE: Final = b"done "  # what an answer begins with; any other says what went wrong
BULK_COMMANDS_MIN: Final = limits.TRANSACTION_COMMANDS_MAX + 1
# How long folds wait for the end of a bulk; views are so much further behind then.
BULK_WAIT_S_MAX: Final = 2.0
BUSY_FOLD_S: Final = 0.02  # a fold that takes as long keeps requests waiting, and is worth a process


class FoldingBeside(Beside):
    """:class:`~runfold_services.threads.Places` whose folds are done by a helper once they are worth one."""

    def __init__(
        self,
        places: Places,
        helper: HelperOnLoop,
        *,
        busy_fold_s: float = BUSY_FOLD_S,
        bulk_wait_s_max: float = BULK_WAIT_S_MAX,
    ) -> None:
        """``helper``: of :data:`TASK`, over the same store."""
        super().__init__(places)
        self._helper = helper
        self._busy_fold_s = busy_fold_s
        self._is_busy = False
        self._bulk_wait_s_max = bulk_wait_s_max
        self._bulks = 0  # under way
        self._no_bulk = asyncio.Event()
        self._no_bulk.set()

    async def submit(
        self, submissions: Sequence[Submission], here: Callable[[], Coroutine[Any, Any, list[Outcome]]]
    ) -> list[Outcome]:
        """See :class:`~runfold_services.threads.Places`."""
        if len(submissions) < BULK_COMMANDS_MIN:
            return await super().submit(submissions, here)
        self._bulks += 1
        self._no_bulk.clear()
        try:
            return await super().submit(submissions, here)
        finally:
            self._bulks -= 1
            if not self._bulks:
                self._no_bulk.set()

    async def fold(self, work: Callable[[], Coroutine[Any, Any, Token]]) -> Token:
        """Let the helper fold, if it is there. What is appended meanwhile is left for the next fold, not folded here:
        a busy server always has a next one, and would be busy with folds again."""
        if self._bulks:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._bulk_wait_s_max):
                    await self._no_bulk.wait()
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
