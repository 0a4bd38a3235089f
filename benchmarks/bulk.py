"""A thousand children in one call."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

from benchmarks.measure import Group, Measured, Sizes
from benchmarks.place import Place
from benchmarks.processes import together
from benchmarks.raw import rows_ms

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


def measure(sizes: Sizes, places: list[Place], folder: Path) -> Group:
    """Over both transports."""
    raw = rows_ms(folder, 2 * sizes.children)
    rows = tuple(
        Measured(
            name=f"create_children({sizes.children:,}), {place.name}",
            unit="ms",
            values=tuple(together(create_ms, [(place, sizes.children)])[0] for _ in range(sizes.repeats)),
            raw=raw.value,
            raw_name=raw.name,
            aim=AIM_MS,
        )
        for place in places
    )
    return Group(
        title="Many children at once",
        about="Each is created and started: two events; one durable answer. Ratio: to as many rows of 600 bytes.",
        rows=rows,
    )
