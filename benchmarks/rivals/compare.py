"""The whole comparison: servers up, rows in turn, servers gone."""

from __future__ import annotations

import asyncio
import os
import re
import tempfile
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import asyncpg
from msgspec import Struct
from rich.console import Console

from benchmarks.cpu import cpu_s
from benchmarks.measure import Sizes
from benchmarks.progress import bar
from benchmarks.rivals import rows as r
from benchmarks.rivals import servers
from benchmarks.rivals.environments import version_of
from benchmarks.rivals.mlflow_wire import BATCH_POINTS_MAX, MlflowSide
from benchmarks.rivals.rows import Row
from benchmarks.rivals.runfold_wire import RunfoldSide
from benchmarks.rivals.side import LISTED_METRICS, LISTED_PARAMS, LISTED_RUNS, LISTED_TAGS, Loads, Side
from runfold_services.stack import Stack, borrow, settings_from_environment

WORKERS_TRIED: Final = (None, max(1, os.cpu_count() or 1))  # None: MLflow's default, which is 4
BATCHES_TRIED: Final = (1_000, 10_000, 50_000)  # ours, points; MLflow's largest is its best
WARM_REQUESTS: Final = 2  # of each connection, before anything is measured
_PID: Final = re.compile(r"(\d+)$")
_OURS_LOADS: Final = Loads(points=600, batched_points=240_000, creations=250, bulks=2, calls=200_000)
_MLFLOW_LOADS: Final = Loads(points=30, batched_points=3_000, creations=20, calls=400)
_FASTTRACKML_LOADS: Final = Loads(points=120, batched_points=10_000, creations=80, calls=800)
_QUICK_LOADS: Final = Loads(points=2, batched_points=1_000, creations=2, bulks=1, calls=20)


class Compared(Struct, frozen=True):
    """All rows, and what belongs to the machine's facts."""

    rows: tuple[Row, ...]
    facts: dict[str, Any]


class _Scene:
    """Servers under one roof, and what they are started with."""

    def __init__(self, stack: Stack, folder: Path, sizes: Sizes, exits: ExitStack) -> None:
        self.postgres: Final = stack.addresses.postgres
        self.folder: Final = folder
        self.is_quick: Final = sizes.repeats == 1
        self._database_pid = _pid_of(stack)
        self._exits = exits

    def loads(self, loads: Loads) -> Loads:
        return _QUICK_LOADS if self.is_quick else loads

    def cpu_of(self, pid: int, *, with_postgres: bool) -> Callable[[], float]:
        pids = [pid, self._database_pid] if with_postgres and self._database_pid else [pid]
        return lambda: sum(map(cpu_s, pids))

    def mlflow(self, workers: int | None) -> MlflowSide:
        folder = self.folder / f"mlflow-{workers or 'default'}"
        url, pid = self._exits.enter_context(
            servers.mlflow(folder, servers.new_database(self.postgres), workers)
        )
        cpu = self.cpu_of(pid, with_postgres=True)
        return MlflowSide(r.MLFLOW, url, self.loads(_MLFLOW_LOADS), cpu)

    def fasttrackml(self) -> list[Side]:
        loads = self.loads(_FASTTRACKML_LOADS)
        dsn = servers.new_database(self.postgres).replace("postgresql://", "postgres://")
        url, pid = self._exits.enter_context(servers.fasttrackml(self.folder / "fasttrackml", dsn))
        # Its driver does not wait for the disk in WAL mode unless told: what the clock stops at here is durable.
        file = f"sqlite://{self.folder / 'fasttrackml-file' / 'kept.db'}?_synchronous=FULL"
        file_url, file_pid = self._exits.enter_context(
            servers.fasttrackml(self.folder / "fasttrackml-file", file)
        )
        return [
            MlflowSide(r.FASTTRACKML, url, loads, self.cpu_of(pid, with_postgres=True)),
            MlflowSide(r.FASTTRACKML_ON_A_FILE, file_url, loads, self.cpu_of(file_pid, with_postgres=False)),
        ]

    def runfold(self, batch_points: int) -> list[RunfoldSide]:
        loads = self.loads(_OURS_LOADS)
        dsn = servers.new_database(self.postgres)
        url, pid = self._exits.enter_context(servers.runfold(self.folder / "runfold", "--postgres", dsn))
        file_url, file_pid = self._exits.enter_context(servers.runfold(self.folder / "runfold-file"))
        return [
            RunfoldSide(r.OURS, url, loads, self.cpu_of(pid, with_postgres=True), batch_points),
            RunfoldSide(
                r.OURS_ON_A_FILE, file_url, loads, self.cpu_of(file_pid, with_postgres=False), batch_points
            ),
        ]


def run(console: Console, sizes: Sizes, stack_folder: Path | None = None) -> Compared:
    """Everything; servers, databases and folders are temporary and gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="runfold-rivals-") as name, bar(console) as shown:
        task = shown.add_task("environments and servers", total=None)

        def tell(what: str, done: int = 0, total: int = 0) -> None:
            shown.update(task, description=what)

        folder = Path(name)
        with _stack(stack_folder or folder / "stack", tell) as stack, ExitStack() as exits:
            scene = _Scene(stack, folder, sizes, exits)
            return _compare(scene, sizes, tell, lambda: shown.advance(task))


@contextmanager
def _stack(folder: Path, tell: Callable[..., None]) -> Generator[Stack]:
    with borrow(folder, settings_from_environment(), tell) as stack:
        yield stack


def _compare(scene: _Scene, sizes: Sizes, tell: Callable[..., None], advance: Callable[[], None]) -> Compared:
    tell("MLflow's workers")
    mlflow, workers = _best_mlflow(scene)
    tell("batches")
    ours = _with_best_batch(scene.runfold(BATCHES_TRIED[0]), scene.is_quick)
    sides: list[Side] = [*ours, mlflow, *scene.fasttrackml()]
    for side in sides[len(ours) + 1 :]:
        r.points_in_requests(side, WARM_REQUESTS, 1)
    rows: list[Row] = []
    steps: list[tuple[str, Callable[[], list[Row]]]] = [
        ("calls", lambda: _calls(scene, sides, sizes, advance)),
        ("requests", lambda: [_requests(sides, sizes, advance)]),
        ("batches", lambda: [_batches(sides, sizes, advance)]),
        ("creation", lambda: _creation(sides, sizes, advance)),
        ("listing", lambda: [_listing(sides, sizes, advance)]),
    ]
    for title, make in steps:
        tell(title)
        rows += make()
    facts = {
        "mlflow": version_of("mlflow"),
        "mlflow_workers": workers,
        "fasttrackml": version_of("fasttrackml"),
        "postgres": asyncio.run(_postgres_version(scene.postgres)),
    }
    return Compared(tuple(rows), facts)


def _best_mlflow(scene: _Scene) -> tuple[MlflowSide, str]:
    """MLflow's server with its default and with one worker a core: whichever takes more requests."""
    found: dict[str, tuple[float, MlflowSide]] = {}
    for workers in WORKERS_TRIED[: 1 if scene.is_quick else None]:
        label = "default workers (4)" if workers is None else f"--workers {workers}"
        side = scene.mlflow(workers)
        r.points_in_requests(side, WARM_REQUESTS, 1)
        found[label] = (r.points_in_requests(side, side.loads.points, 1).value, side)
    best = max(found, key=lambda label: found[label][0])
    tried = ", ".join(f"{label}: {rate:.0f} requests/s" for label, (rate, _) in found.items())
    return found[best][1], f"{best} ({tried})"


def _with_best_batch(sides: list[RunfoldSide], is_quick: bool) -> list[RunfoldSide]:
    """Ours with the size of batch that gives most."""
    for side in sides:
        r.points_in_requests(side, WARM_REQUESTS, 1)
        rates: dict[int, float] = {}
        for side.batch_points in BATCHES_TRIED[: 1 if is_quick else None]:
            rates[side.batch_points] = r.points_in_batches(side).value
        side.batch_points = max(rates, key=lambda points: rates[points])
    return sides


def _calls(scene: _Scene, sides: list[Side], sizes: Sizes, advance: Callable[[], None]) -> list[Row]:
    urls = {side.name: side.url for side in sides}
    calls = {side.name: side.loads.calls for side in sides}
    scripts = [r.runfold_script(name, calls[name], url=urls[name]) for name in (r.OURS, r.OURS_ON_A_FILE)]
    scripts += [
        r.runfold_script(r.OURS_IN_PROCESS, calls[r.OURS], home=scene.folder / "in-process"),
        r.mlflow_script(r.MLFLOW, urls[r.MLFLOW], calls[r.MLFLOW]),
        r.mlflow_script(r.MLFLOW_ASYNC, urls[r.MLFLOW], calls[r.MLFLOW], is_asynchronous=True),
    ]
    scripts += [
        r.mlflow_script(name, urls[name], calls[name]) for name in (r.FASTTRACKML, r.FASTTRACKML_ON_A_FILE)
    ]
    rates, times = r.called(scripts, sizes.repeats, advance)
    about = (
        'A script of one process, one thread, one run: `run.log("loss", value, step=step)` against '
        '`mlflow.log_metric("loss", value, step=step)`, {}. FastTrackML is asked by MLflow\'s client too.'
    )
    return [
        Row(
            name="A script's loop of logging calls",
            about=about.format("until the run shows the last value"),
            unit="calls/s",
            aims=r.aims(100.0),
            values=rates,
        ),
        Row(
            name="Time in one such call",
            about=about.format("what the script waits for in the median call"),
            unit="µs",
            is_rate=False,
            aims=r.aims(100.0),
            values=times,
        ),
    ]


def _requests(sides: list[Side], sizes: Sizes, advance: Callable[[], None]) -> Row:
    values, cpu = r.in_turn(
        sides, sizes.repeats, lambda side: r.points_in_requests(side, side.loads.points, 1), advance
    )
    return Row(
        name="One HTTP request a metric",
        about=f"{r.CONNECTIONS} connections, a run each, one JSON request on its way on each, until every run shows "
        "all of its values.",
        unit="requests/s",
        aims=r.aims(20.0),
        values=values,
        cpu_us=cpu,
    )


def _batches(sides: list[Side], sizes: Sizes, advance: Callable[[], None]) -> Row:
    values, cpu = r.in_turn(sides, sizes.repeats, r.points_in_batches, advance)
    best = " and ".join(f"{side.batch_points:,} ({side.name})" for side in sides[:2])
    return Row(
        name="Batches of values",
        about=f"The same with each side's best batch: {best}, {BATCH_POINTS_MAX:,} in MLflow's protocol, which allows "
        "no more. Batches of ours are packed columns, as our SDK sends them.",
        unit="points/s",
        aims=r.aims(150.0),
        values=values,
        cpu_us=cpu,
    )


def _creation(sides: list[Side], sizes: Sizes, advance: Callable[[], None]) -> list[Row]:
    values, cpu = r.in_turn(sides, sizes.repeats, r.created_one_by_one, advance)
    bulk_values, bulk_cpu = r.in_turn(sides, sizes.repeats, r.created_in_bulk, advance)
    return [
        Row(
            name="Runs created one by one",
            about=f"{r.CONNECTIONS} connections, a request a run (ours is started too, two events), until the last of "
            "each can be read.",
            unit="runs/s",
            aims=r.aims(15.0),
            values=values,
            cpu_us=cpu,
        ),
        Row(
            name="Runs created in bulk",
            about=f"Ours: {sides[0].bulk_runs:,} children a request, created and started, until the parent counts "
            "them all. The others have no such request and create them one by one.",
            unit="runs/s",
            aims=r.aims(50.0),
            values=bulk_values,
            cpu_us=bulk_cpu,
        ),
    ]


def _listing(sides: list[Side], sizes: Sizes, advance: Callable[[], None]) -> Row:
    for side in sides:
        side.fill_listing()
    questions = max(3, sizes.questions // 2)
    values, cpu = r.in_turn(sides, sizes.repeats, lambda side: r.listed(side, questions), advance)
    return Row(
        name=f"Listing {LISTED_RUNS} runs",
        about=f"One request for all of them with {LISTED_METRICS} metrics, {LISTED_PARAMS} parameters and "
        f"{LISTED_TAGS} tags each; the median of {questions} on a connection of their own.",
        unit="ms",
        is_rate=False,
        aims=r.aims(20.0),
        values=values,
        cpu_us=cpu,
    )


async def _postgres_version(dsn: str) -> str:
    connection = await asyncpg.connect(dsn)
    try:
        return str(await connection.fetchval("SHOW server_version")).split()[0]
    finally:
        await connection.close()


def _pid_of(stack: Stack) -> int | None:
    """The server process of the database; None in a container, where nobody can look."""
    found = _PID.search(stack.postgres.status().where)
    return int(found[1]) if found else None
