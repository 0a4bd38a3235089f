"""Numbers of a benchmark: how samples become a row of the report."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Final

from msgspec import Struct


class Sizes(Struct, frozen=True, kw_only=True):
    """How much of everything. ``QUICK`` shows that all of it works; its figures mean nothing."""

    repeats: int = 3
    log_calls: int = 3_000
    job_s: float = 10.0  # how long a job logs whose share is taken …
    job_settle_s: float = 3.0  # … and how long its process has to come to rest
    sdk_points: int = 200_000
    posts: tuple[
        tuple[int, str, int], ...
    ] = (  # points of a request, its form, and requests of each connection
        (1, "json", 300),
        (100, "json", 250),
        (100, "msgpack", 250),
        (1_000, "json", 80),
        (1_000, "msgpack", 160),
    )
    connections: int = 16  # that send them at once
    clients: int = 8  # that send lifecycle commands at once
    runs: int = 60  # per client; three commands each
    children: int = 1_000
    family: int = 200  # children whose metrics are read together
    listed_runs: int = 10_000
    questions: int = 20
    # Views
    stored_points: int = 2_048_000
    curve_points: int = 10_000_000
    many_runs: int = 100_000
    many_children: int = 10_000
    children_settle_s: float = 3.0  # for what servers do about children whose process has ended
    growth_runs: tuple[int, ...] = (1_000, 10_000, 100_000, 1_000_000)
    growth_points: tuple[int, ...] = (10_000, 100_000, 1_000_000, 10_000_000, 100_000_000)
    # Studio
    studio_runs: int = 100_000
    scroll_frames: int = 300
    drawn_points: int = 1_000_000
    # Distributed
    flood_runs: int = 320  # each of a writer of its own
    flood: tuple[tuple[int, int], ...] = (  # points of a command, and commands: some seconds' worth
        (1, 100_000),
        (100, 40_000),
        (1_000, 6_000),
    )
    flood_memory_bytes: int = 1024**3  # twice what the page cache takes in during one flood
    paced_s: float = 10.0
    workers: int = 64  # of the SDK, a process each
    worked_s: float = 10.0
    raw_rows: int = 20_000  # that COPY writes and the decoder reads
    raw_commits: int = 200


FULL: Final = Sizes()
QUICK: Final = Sizes(
    repeats=1,
    log_calls=200,
    job_s=0.2,
    job_settle_s=0.0,
    sdk_points=5_000,
    posts=((1, "json", 5), (100, "json", 5), (100, "msgpack", 5), (1_000, "json", 3), (1_000, "msgpack", 3)),
    connections=2,
    clients=2,
    runs=5,
    children=50,
    family=10,
    listed_runs=1_000,
    questions=3,
    stored_points=100_000,
    curve_points=20_000,
    many_runs=2_000,
    many_children=100,
    children_settle_s=0.0,
    growth_runs=(100, 1_000),
    growth_points=(1_000, 10_000),
    studio_runs=2_000,
    scroll_frames=60,
    drawn_points=20_000,
    flood_runs=32,
    flood=((1, 640), (100, 320), (1_000, 64)),
    flood_memory_bytes=16 * 1024**2,
    paced_s=0.4,
    workers=3,
    worked_s=3.0,
    raw_rows=500,
    raw_commits=20,
)


class Measured(Struct, frozen=True, kw_only=True):
    """One row: the same figure from several repeats, the machine's own limit beside it, and the aim where there is one.

    ``raw`` is in the row's unit: what SQLite, or the disk, does alone in the same minute. ``aim`` is a bound for the
    median; ``at_most`` says in which direction.
    """

    name: str
    unit: str
    values: tuple[float, ...]
    raw: float | None = None
    raw_name: str = ""
    aim: float | None = None
    at_most: bool = True

    @property
    def low(self) -> float:
        return min(self.values)

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def high(self) -> float:
        return max(self.values)

    @property
    def ratio(self) -> float | None:
        """The median against the raw limit: times as long, or the share of the rate."""
        return self.median / self.raw if self.raw else None

    @property
    def holds(self) -> bool | None:
        """Whether the median meets the aim."""
        if self.aim is None:
            return None
        return self.median <= self.aim if self.at_most else self.median >= self.aim


class Group(Struct, frozen=True, kw_only=True):
    """Rows about one question, with what one must know to read them."""

    title: str
    about: str
    rows: tuple[Measured, ...]


def percentile(samples: Sequence[float], share: float) -> float:
    """The value below which ``share`` of the samples lie (nearest rank)."""
    ordered = sorted(samples)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def timed_ms(work: Callable[[], object]) -> float:
    """How long ``work`` takes, in ms."""
    began = time.perf_counter_ns()
    work()
    return (time.perf_counter_ns() - began) / 1e6


def p50_ms(ask: Callable[[], object], questions: int) -> float:
    """How long an answer takes, in ms; the first one is not counted, so caches are as a second visitor finds them."""
    ask()
    return percentile([timed_ms(ask) for _ in range(questions)], 0.5)


def percentile_rows(
    name: str, repeats: Sequence[Sequence[float]], unit: str, raw: Raw | None = None
) -> list[Measured]:
    """p50 and p99 of each repeat as two rows."""
    return [
        Measured(
            name=f"{name} {label}",
            unit=unit,
            values=tuple(percentile(samples, share) for samples in repeats),
            raw=None if raw is None else raw.value,
            raw_name="" if raw is None else raw.name,
        )
        for label, share in (("p50", 0.5), ("p99", 0.99))
    ]


class Raw(Struct, frozen=True):
    """A limit of the machine in the unit of the rows beside it."""

    name: str
    value: float
