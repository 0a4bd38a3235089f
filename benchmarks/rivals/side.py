"""How a side of the comparison is asked for what all of them can do."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Final, Protocol

from msgspec import Struct

from benchmarks.closed_loop import Request

LISTED_RUNS: Final = 200
LISTED_METRICS: Final = 50
LISTED_PARAMS: Final = 50
LISTED_TAGS: Final = 10
METRIC: Final = "loss"


class Loads(Struct, frozen=True, kw_only=True):
    """Work of one connection in one repeat, in requests: enough for a few seconds, and no more than that."""

    points: int
    batched_points: int  # not requests: points in as few requests as its best batch allows
    creations: int
    bulks: int = 0
    calls: int  # of log_metric or log() in a script


class Side(Protocol):
    """A server of some kind, and its wire."""

    @property
    def name(self) -> str:
        """What tables call it."""
        ...

    @property
    def url(self) -> str: ...

    @property
    def loads(self) -> Loads: ...

    @property
    def batch_points(self) -> int:
        """Points of its best batch."""
        ...

    @property
    def bulk_runs(self) -> int:
        """Runs that one request can create; 0: it has no such request."""
        ...

    def cpu_s(self) -> float:
        """CPU seconds that its server and the database behind it have used."""
        ...

    def new_run(self) -> str:
        """Create a run; its id."""
        ...

    def point(self, run_id: str, number: int) -> Request:
        """One value in one request. ``number`` counts the run's requests from 0."""
        ...

    def batch(self, run_id: str, number: int, points: int) -> Request:
        """``points`` values of one metric in one request; each request has others."""
        ...

    def shows_points(self, run_id: str, points: int) -> bool:
        """Whether the run's own page shows so many points, the last of them as the latest."""
        ...

    def points_kept(self, run_id: str) -> int:
        """How many points can be read back, counted one by one."""
        ...

    def creation(self, number: int) -> Request:
        """Create one run."""
        ...

    def created(self, answer: bytes) -> str:
        """The id in the answer to :meth:`creation`."""
        ...

    def shows_run(self, run_id: str) -> bool:
        """Whether the run can be read."""
        ...

    def bulk(self, parent: str, number: int) -> Request:
        """Create :attr:`bulk_runs` children of ``parent``."""
        ...

    def shows_children(self, parent: str, count: int) -> bool:
        """Whether ``parent`` has so many children."""
        ...

    def fill_listing(self) -> None:
        """The runs that :meth:`listing` asks for."""
        ...

    def listing(self) -> Request:
        """All of them, with metrics, parameters and tags, in one request."""
        ...

    def check_listing(self, answer: bytes) -> None:
        """Raise unless the answer has all of it."""
        ...


def scripts_of(side: Side, run_ids: Sequence[str], requests: int, points: int) -> list[list[Request]]:
    """For each run so many requests of ``points`` values each."""
    return [
        [
            side.point(run_id, number) if points == 1 else side.batch(run_id, number, points)
            for number in range(requests)
        ]
        for run_id in run_ids
    ]


def time_ms(step: int) -> int:
    """Ten values a second, with jitter."""
    return 1_700_000_000_000 + 100 * step + random.randrange(20)


def value(step: int) -> float:
    """A loss: it falls, and its noise cannot be compressed."""
    return 1.0 / (1 + step) + random.random() / 100
