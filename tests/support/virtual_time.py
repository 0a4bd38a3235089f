"""An event loop whose clock stands while anything runs, and jumps when all wait: seconds pass at once."""

from __future__ import annotations

import asyncio
import selectors
from typing import Any


class VirtualLoop(asyncio.SelectorEventLoop):
    """For code that sleeps by the loop's clock and asks nobody outside the process."""

    def __init__(self) -> None:
        self._now_s = 0.0
        super().__init__(_Jumping(self))

    def time(self) -> float:
        """Seconds that the loop has waited."""
        return self._now_s

    def pass_s(self, seconds: float) -> None:
        """Let time pass."""
        self._now_s += seconds


class _Jumping(selectors.SelectSelector):
    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, Any]]:
        """What is ready now; when nothing is, the time until the loop's next timer has passed."""
        ready = super().select(0 if timeout is not None else None)
        if not ready and timeout:
            self._loop.pass_s(timeout)
        return ready
