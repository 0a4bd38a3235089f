"""Workers that log at a steady rate by the SDK, a process and a run each: what that costs whom, by either door."""

from __future__ import annotations

import asyncio
import os
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from benchmarks.fleet import Fleet, Watch
from benchmarks.measure import Group, Measured, Sizes, percentile
from benchmarks.processes import begin, together
from runfold_events.contract.errors import NotFound
from runfold_projections.ports import Views

VALUES_PER_S: Final = 100
EXPERIMENT: Final = "workers"
METRIC: Final = "logged_at"
WORKSPACE: Final = "default"
VISIBLE_S_MAX: Final = 2.0
DOORS: Final = ("http", "kafka")
_CPU: Final = "CPU ms/1,000 values"
_POLL_S: Final = 0.02
_SETTLE_S_MAX: Final = 60.0
_ABOUT: Final = (
    "{workers} processes of the SDK, each with a run of its own and {rate} values a second, all of them stored once, "
    "which is checked. Values go by HTTP, or to Kafka with `RUNFOLD_VALUES_BY=kafka`; all else by HTTP. CPU time is "
    "of the whole time, start and end of the runs included. Age: how old the newest value is that a question about a "
    "run shows, while it logs."
)


def worker(url: str, environment: dict[str, str], run_id: str, seconds: float) -> float:
    """Log, end the run, and say how much CPU time of this process that took."""
    os.environ.update(environment)
    from runfold import Experiment, Workspace

    experiment = Experiment(Workspace(workspace_name=WORKSPACE, url=url), EXPERIMENT)
    begin()
    began = _cpu_s()
    with experiment.start_logging(run_id=run_id) as run:
        start = time.monotonic()
        for step in range(round(seconds * VALUES_PER_S)):
            time.sleep(max(0.0, start + step / VALUES_PER_S - time.monotonic()))
            run.log(METRIC, time.time(), step=step)
    return _cpu_s() - began


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
    """One group: either door by turns. ``spools``: a folder for what workers keep."""
    costs: dict[str, list[_Cost]] = {door: [] for door in DOORS}
    for repeat in range(sizes.repeats):
        for door in DOORS:
            costs[door].append(await _once(fleet, watch, views, sizes, spools, door, repeat))
        advance("workers")
    rows = [row for door in DOORS for row in _rows(door, costs[door])]
    about = _ABOUT.format(workers=sizes.workers, rate=VALUES_PER_S)
    return Group(title="Workers of the SDK", about=about, rows=tuple(rows))


def _rows(door: str, costs: list[_Cost]) -> list[Measured]:
    named = (
        ("CPU of the API", _CPU, [cost.by["api"] for cost in costs], None),
        ("CPU of all servers", _CPU, [cost.all_servers for cost in costs], None),
        ("CPU of the workers", _CPU, [cost.workers for cost in costs], None),
        ("age of the newest value shown, p99", "s", [cost.age_s for cost in costs], VISIBLE_S_MAX),
    )
    return [
        Measured(name=f"values by {door}: {name}", unit=unit, values=tuple(values), aim=aim)
        for name, unit, values, aim in named
    ]


async def _once(
    fleet: Fleet, watch: Watch, views: Views, sizes: Sizes, spools: Path, door: str, repeat: int
) -> _Cost:
    runs = [f"{door}-{repeat}-{number}" for number in range(sizes.workers)]
    environment = {
        "RUNFOLD_VALUES_BY": door,
        "RUNFOLD_KAFKA": fleet.kafka,
        "RUNFOLD_KAFKA_PREFIX": fleet.settings.prefix,
        "RUNFOLD_SPOOL": str(spools),
    }
    arguments = [(fleet.urls["api"], environment, run, sizes.worked_s) for run in runs]
    before = fleet.cpu_s()
    working = asyncio.create_task(asyncio.to_thread(together, worker, arguments))
    ages_s = await _ages(views, runs[0], working)
    spent = await working
    await watch.reach((await watch.standing()).stored, _SETTLE_S_MAX)
    servers = {name: after - before[name] for name, after in fleet.cpu_s().items()}
    values = round(sizes.worked_s * VALUES_PER_S)
    for run in runs:
        stored = (await views.run(WORKSPACE, run)).metrics[METRIC].count
        if stored != values:
            raise RuntimeError(f"{run} logged {values} values, {stored} are stored")
    return _Cost(servers, sum(spent), values * len(runs), ages_s)


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
