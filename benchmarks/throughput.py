"""How fast commands go from their topic into the store, the views and the event topic, and what that costs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from msgspec import Struct

from benchmarks.fleet import Fleet, Watch
from benchmarks.flood import METRIC, WORKSPACE, Writer, new_producer, packed, records_of, send
from benchmarks.measure import Group, Measured, Raw, Sizes
from benchmarks.memory import touch_us
from runfold_projections.ports import Views

DRAIN_S_MAX: Final = 180.0
AIMS: Final = {1: 20_000.0, 100: 1_000_000.0}  # points/s, by points of a command
CORES: Final = 2  # that the aims are for
TOTAL: Final = "all"


class Drained(Struct, frozen=True):
    """One flood that went through."""

    commands: int
    points: int  # of a command
    took_s: float
    cpu_s: dict[str, float]  # by process

    @property
    def points_per_s(self) -> float:
        return self.commands * self.points / self.took_s

    def cpu_s_per_thousand(self, process: str) -> float:
        spent = sum(self.cpu_s.values()) if process == TOTAL else self.cpu_s[process]
        return spent / self.commands * 1_000


async def drain(
    fleet: Fleet, watch: Watch, writers: Sequence[Writer], commands: int, points: int, memory_bytes: int
) -> Drained:
    """Send ``commands`` at once; the clock stops when they are stored, folded into all views, and published.

    ``memory_bytes`` are touched before, which the page cache is about to take in: see :mod:`benchmarks.memory`.
    """
    producer = await new_producer(fleet.kafka)
    try:
        batches = packed(producer, records_of(writers, commands, points))
        end = (await watch.standing()).stored + commands
        touch_us(memory_bytes)
        before = fleet.cpu_s()
        began = time.perf_counter()
        await send(producer, fleet.settings.commands_topic, batches)
        await watch.reach(end, DRAIN_S_MAX)
        took_s = time.perf_counter() - began
        after = fleet.cpu_s()
    finally:
        await producer.stop()
    spent = {name: after[name] - before[name] for name in after if name != "api"}
    return Drained(commands, points, took_s, spent)


async def measure(
    fleet: Fleet,
    watch: Watch,
    writers: Sequence[Writer],
    views: Views,
    sizes: Sizes,
    limits: dict[int, Raw],
    advance: Callable[[], Any],
) -> list[Group]:
    """All sizes of commands. ``limits``: rows a second that Postgres copies, by points of a command.

    The first flood of each size is not counted: in it the broker compiles itself, and what smaller commands left
    open is packed.
    """
    found: dict[int, list[Drained]] = {}
    for points, commands in sizes.flood:
        drains: list[Drained] = []
        for _ in range(1 + sizes.repeats):
            drains.append(await drain(fleet, watch, writers, commands, points, sizes.flood_memory_bytes))
            advance()
        found[points] = drains[1:]
    await _check(views, writers)
    return [_rates(found, limits), _costs(found)]


async def _check(views: Views, writers: Sequence[Writer]) -> None:
    """What was measured did happen: the views show every point that was sent."""
    for writer in writers:
        run = await views.run(WORKSPACE, writer.run_id)
        shown = run.metrics[METRIC].count
        if shown != writer.points:
            raise RuntimeError(f"run {writer.run_id} shows {shown} points, {writer.points} were sent")


def _rates(found: dict[int, list[Drained]], limits: dict[int, Raw]) -> Group:
    rows = tuple(
        Measured(
            name=f"{points:,} point{'s' if points > 1 else ''} a command",
            unit="points/s",
            values=tuple(one.points_per_s for one in drains),
            raw=limits[points].value * points,
            raw_name=limits[points].name,
            aim=AIMS.get(points),
            at_most=False,
        )
        for points, drains in found.items()
    )
    return Group(
        title="Kafka command topic to store, views and event topic",
        about="From the moment a backlog is handed to the broker until all of it is stored, folded into every view and "
        "published. One process of each role; broker, Postgres and roles share the machine, whose page cache takes in "
        "0.4 GiB meanwhile: that memory is touched before, as it has been on a server that is up for long. Ratio: to "
        "COPY of the same rows into one table.",
        rows=rows,
    )


def _costs(found: dict[int, list[Drained]]) -> Group:
    rows: list[Measured] = []
    for points, drains in found.items():
        label = f"{points:,} point{'s' if points > 1 else ''} a command"
        for process in (*drains[0].cpu_s, TOTAL):
            rows.append(
                Measured(
                    name=f"{label}: {process}",
                    unit="CPU s/1,000",
                    values=tuple(one.cpu_s_per_thousand(process) for one in drains),
                    aim=CORES * 1_000 * points / AIMS[points]
                    if process == TOTAL and points in AIMS
                    else None,
                )
            )
    return Group(
        title="CPU seconds of each process for 1,000 commands",
        about="Of the same floods. The aim is what two cores have to spend at the rates above; other work on the "
        "machine makes floods slow, and these figures hardly.",
        rows=tuple(rows),
    )
