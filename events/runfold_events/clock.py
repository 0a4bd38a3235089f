"""Time is passed in: the system's clock in service, a manual one in tests."""

from __future__ import annotations

import time
from typing import Final, Protocol

# Linux has a clock for this; on macOS the monotonic one of the system, unlike Python's, goes on; Windows has neither.
_CLOCK: Final[int | None] = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC", None))


def elapsed_s() -> float:
    """Seconds since some moment, those that the machine slept through included.

    Leases are judged by the wall clock, which goes on while a laptop sleeps; ``time.monotonic`` stands still then. A
    keeper that trusts it would find everybody's lease ended, and itself on time; a holder, its own lease fresh.
    """
    return time.monotonic() if _CLOCK is None else time.clock_gettime(_CLOCK)


class Clock(Protocol):
    """A source of UTC time."""

    def now_us(self) -> int:
        """UTC µs since the epoch."""
        ...


class SystemClock:
    """The machine's clock."""

    def now_us(self) -> int:
        return time.time_ns() // 1_000


class ManualClock:
    """A clock that stands still until it is told to move. For tests."""

    def __init__(self, now_us: int = 1_700_000_000_000_000) -> None:
        self._now_us = now_us

    def now_us(self) -> int:
        return self._now_us

    def advance(self, seconds: float) -> None:
        """Move by ``seconds``, also backwards."""
        self._now_us += round(seconds * 1_000_000)
