"""Counts that a process keeps of its own work, read when somebody asks for its metrics."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from typing import Final

ITEMS: Final = tuple(4**power for power in range(8))  # of a batch: 1, 4, 16, … 16,384
SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Distribution:
    """How many values were at most each of some bounds, and their sum."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)  # the last one: above all bounds
        self.sum = 0.0

    def add(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def cumulative(self) -> list[tuple[float, int]]:
        """``(bound, values up to it)``, rising; the last bound is infinite."""
        found: list[tuple[float, int]] = []
        total = 0
        for bound, count in zip((*self.bounds, float("inf")), self.counts, strict=True):
            total += count
            found.append((bound, total))
        return found


class ApiTally:
    """What an API process counts."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, int]] = Counter()  # (operation, status)
        self.seconds: dict[str, Distribution] = {}  # by operation, live streams excepted
        self.outcomes: Counter[str] = Counter()  # "accepted", "repeated", or a refusal's code
        self.commits = Distribution(ITEMS)  # commands of one commit
        self.marked_by_keeper = 0

    def keeper_marked(self, runs: int) -> None:
        """Count what a pass of the keeper changed."""
        self.marked_by_keeper += runs

    def request(self, operation: str, status: int, seconds: float | None) -> None:
        """Count a request that was answered."""
        self.requests[operation, status] += 1
        if seconds is not None:
            if operation not in self.seconds:
                self.seconds[operation] = Distribution(SECONDS)
            self.seconds[operation].add(seconds)
