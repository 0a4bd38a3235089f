"""Workers that log at a steady rate by the SDK, a process each: what that costs whom, by either door.

Each has a run of its own, or all of them log to one run, as the processes of one distributed training do.
"""

from __future__ import annotations

import asyncio
import os
import resource
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from msgspec import Struct

from benchmarks.fleet import Fleet, Watch
from benchmarks.measure import Group, Measured, Sizes, percentile
from benchmarks.processes import begin, together
from runfold_events.contract.errors import NotFound
from runfold_projections.ports import Views

if TYPE_CHECKING:  # a worker imports it in its own time
    from runfold import Run, Workspace

Door = Literal["http", "kafka"]
Runs = Literal["a run each", "one run"]

VALUES_PER_S: Final = (
    50  # of each; 64 of them are about half of what two cores bear, the workers' own work included
)
EXPERIMENT: Final = "workers"
METRIC: Final = "logged_at"
WORKSPACE: Final = "default"
VISIBLE_S_MAX: Final = 2.0
_CPU: Final = "CPU ms/1,000 values"
_POLL_S: Final = 0.02
_SETTLE_S_MAX: Final = 60.0
_ABOUT: Final = (
    "{workers} processes of the SDK that log {rate} values a second each, to a run of its own or all to one run. In "
    "the end every value is compared: none is missing, none is there twice. Values go by HTTP, or to Kafka with "
    "`RUNFOLD_VALUES_BY=kafka`; all else by HTTP. CPU time is of the whole time, start and end of the runs included. "
    "Age: how old the newest value is that a question about a run shows, while it logs."
)


class Shape(Struct, frozen=True):
    """How workers log."""

    door: Door
    runs: Runs

    def __str__(self) -> str:
        return f"{self.runs}, values by {self.door}"


SHAPES: Final = (
    Shape("http", "a run each"),
    Shape("kafka", "a run each"),
    Shape("http", "one run"),
    Shape("kafka", "one run"),
)


class Worked(Struct, frozen=True):
    """What a worker tells: its CPU time, and what it logged."""

    cpu_s: float
    values: list[float]


def worker(url: str, environment: dict[str, str], run_id: str, is_owner: bool, seconds: float) -> Worked:
    """Log to a run; one worker of a run owns it: starts and ends it."""
    os.environ.update(environment)
    from runfold import Workspace

    workspace = Workspace(workspace_name=WORKSPACE, url=url)
    began = _cpu_s()
    run = _started(workspace, run_id) if is_owner else None
    begin()  # every run is there
    run = run or workspace.get_run(run_id)
    values: list[float] = []
    start = time.monotonic()
    for step in range(round(seconds * VALUES_PER_S)):
        time.sleep(max(0.0, start + step / VALUES_PER_S - time.monotonic()))
        values.append(time.time())
        run.log(METRIC, values[-1], step=step)
    run.flush()
    begin()  # all have logged
    if is_owner:
        run.complete()
    return Worked(_cpu_s() - began, values)


def _started(workspace: Workspace, run_id: str) -> Run:
    from runfold import Experiment

    run = Experiment(workspace, EXPERIMENT).start_logging(run_id=run_id)
    run.flush()
    return run


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


class _Cost:
    """What one repeat by one door took: CPU in ms for 1,000 values, by who; and ages in s."""

    def __init__(self, servers: dict[str, float], workers_s: float, values: int, ages_s: list[float]) -> None:
        per_thousand = 1_000.0 * 1_000 / values
        self.by = {name: spent * per_thousand for name, spent in servers.items()}
        self.all_servers = sum(self.by.values())
        self.workers = workers_s * per_thousand
        self.age_s = percentile(ages_s, 0.99)


async def measure(
    fleet: Fleet, watch: Watch, views: Views, sizes: Sizes, spools: Path, advance: Callable[..., Any]
) -> Group:
    """One group: all shapes by turns. ``spools``: a folder for what workers keep."""
    costs: dict[Shape, list[_Cost]] = {shape: [] for shape in SHAPES}
    for repeat in range(sizes.repeats):
        for shape in SHAPES:
            costs[shape].append(await _once(fleet, watch, views, sizes, spools, shape, repeat))
        advance("workers")
    rows = [row for shape in SHAPES for row in _rows(shape, costs[shape])]
    about = _ABOUT.format(workers=sizes.workers, rate=VALUES_PER_S)
    return Group(title="Workers of the SDK", about=about, rows=tuple(rows))


def _rows(shape: Shape, costs: list[_Cost]) -> list[Measured]:
    named = (
        ("CPU of the API", _CPU, [cost.by["api"] for cost in costs], None),
        ("CPU of all servers", _CPU, [cost.all_servers for cost in costs], None),
        ("CPU of the workers", _CPU, [cost.workers for cost in costs], None),
        ("age of the newest value shown, p99", "s", [cost.age_s for cost in costs], VISIBLE_S_MAX),
    )
    return [
        Measured(name=f"{shape}: {name}", unit=unit, values=tuple(values), aim=aim)
        for name, unit, values, aim in named
    ]


async def _once(
    fleet: Fleet, watch: Watch, views: Views, sizes: Sizes, spools: Path, shape: Shape, repeat: int
) -> _Cost:
    run_of = [_run_id(shape, repeat, number) for number in range(sizes.workers)]
    environment = {
        "RUNFOLD_VALUES_BY": shape.door,
        "RUNFOLD_KAFKA": fleet.kafka,
        "RUNFOLD_KAFKA_PREFIX": fleet.settings.prefix,
        "RUNFOLD_SPOOL": str(spools),
    }
    arguments = [
        (fleet.urls["api"], environment, run, run not in run_of[:number], sizes.worked_s)
        for number, run in enumerate(run_of)
    ]
    before = fleet.cpu_s()
    working = asyncio.create_task(asyncio.to_thread(together, worker, arguments))
    ages_s = await _ages(views, run_of[0], working)
    worked = await working
    await watch.reach((await watch.standing()).stored, _SETTLE_S_MAX)
    servers = {name: after - before[name] for name, after in fleet.cpu_s().items()}
    await _check(views, run_of, worked)
    values = sum(len(one.values) for one in worked)
    return _Cost(servers, sum(one.cpu_s for one in worked), values, ages_s)


def _run_id(shape: Shape, repeat: int, number: int) -> str:
    own = number if shape.runs == "a run each" else "all"
    return f"{shape.door}-{repeat}-{own}"


async def _check(views: Views, run_of: Sequence[str], worked: Sequence[Worked]) -> None:
    """Everything that was logged is stored, and once."""
    for run in dict.fromkeys(run_of):
        logged = Counter(
            value
            for owner, one in zip(run_of, worked, strict=True)
            for value in (one.values if owner == run else ())
        )
        (series,) = await views.metrics(WORKSPACE, run, names=(METRIC,))
        stored = Counter(series.columns[METRIC])
        if stored != logged:
            missing, more = (logged - stored).total(), (stored - logged).total()
            raise RuntimeError(f"{run}: {missing} values are missing, {more} are there that nobody logged")


async def _ages(views: Views, run_id: str, working: asyncio.Task[Any]) -> list[float]:
    """How old the newest visible value is, again and again, from the first one until the run has ended."""
    ages: list[float] = []
    while not working.done():
        await asyncio.sleep(_POLL_S)
        found = await _latest(views, run_id)
        if found is not None:
            ages.append(time.time() - found)
        elif ages:
            break
    return ages


async def _latest(views: Views, run_id: str) -> float | None:
    """None before there is a value, and after the run has ended."""
    try:
        run = await views.run(WORKSPACE, run_id)
    except NotFound:
        return None
    metric = run.metrics.get(METRIC)
    if metric is None or run.ended_at is not None:
        return None
    latest: Any = metric.latest
    return float(latest)
