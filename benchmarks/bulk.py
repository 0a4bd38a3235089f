"""A thousand children in one call."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

from benchmarks.measure import REPEATS, Group, Measured
from benchmarks.place import Place
from benchmarks.processes import together
from benchmarks.raw import rows_ms

CHILDREN: Final = 1_000
AIM_MS: Final = 500.0


def create_ms(place: Place, children: int) -> float:
    """``create_children``: created and started, two events each, answered durable; in ms."""
    with place.experiment().start_logging() as parent:
        parent.create_children(1)
        began = time.perf_counter()
        made = parent.create_children(children)
        took = time.perf_counter() - began
        if len(made) != children or sum(parent.child_counts().direct.values()) != children + 1:
            raise RuntimeError("not all children are there")
    return took * 1_000


def measure(places: list[Place], folder: Path) -> Group:
    """Over both transports."""
    raw = rows_ms(folder, 2 * CHILDREN)
    rows = tuple(
        Measured(
            name=f"create_children({CHILDREN:,}), {place.name}",
            unit="ms",
            values=tuple(together(create_ms, [(place, CHILDREN)])[0] for _ in range(REPEATS)),
            raw=raw.value,
            raw_name=raw.name,
            aim=AIM_MS,
        )
        for place in places
    )
    return Group(
        title="Many children at once",
        about="Each is created and started: 2,000 events in one durable answer. Ratio: to 2,000 rows of 600 bytes.",
        rows=rows,
    )
