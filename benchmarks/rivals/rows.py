"""What is compared: each row is measured on every side in turn, several times over."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from benchmarks import closed_loop
from benchmarks.closed_loop import Request
from benchmarks.rivals.environments import ROOT, environment
from benchmarks.rivals.side import Side, scripts_of

CONNECTIONS: Final = 16
VISIBLE_S_MAX: Final = 300.0
CALLS_S_MAX: Final = 600.0
POLL_S: Final = 0.002
_HERE: Final = Path(__file__).resolve().parent

# Sides, as tables call them.
OURS: Final = "runfold on Postgres"
OURS_ON_A_FILE: Final = "runfold on SQLite"
OURS_IN_PROCESS: Final = "runfold in the script's process, on SQLite"
MLFLOW: Final = "MLflow on Postgres"
MLFLOW_ASYNC: Final = "MLflow on Postgres, asynchronous logging"
FASTTRACKML: Final = "FastTrackML on Postgres"
FASTTRACKML_ON_A_FILE: Final = "FastTrackML on SQLite"
AHEAD: Final = 1.0


class Aim(Struct, frozen=True):
    """How many times as good one side shall be as another."""

    ours: str
    theirs: str
    times: float


class Row(Struct, frozen=True, kw_only=True):
    """One question, and what each side gave in each repeat.

    ``cpu_us``: CPU time of the server and the database behind it for one unit of work, where it was read.
    """

    name: str
    about: str
    unit: str
    is_rate: bool = True  # more is better
    aims: tuple[Aim, ...] = ()
    values: Mapping[str, Sequence[float]]
    cpu_us: Mapping[str, Sequence[float]] = {}

    def median(self, side: str) -> float:
        return statistics.median(self.values[side])

    def times(self, ours: str, theirs: str) -> float:
        """How many times as good ``ours`` is, by medians."""
        mine, other = self.median(ours), self.median(theirs)
        return mine / other if self.is_rate else other / mine


class Measured(Struct, frozen=True):
    """One repeat on one side."""

    value: float
    cpu_us: float


def aims(against_mlflow: float) -> tuple[Aim, ...]:
    """Like is held against like: Postgres against Postgres, a file against a file."""
    return (
        Aim(OURS, MLFLOW, against_mlflow),
        Aim(OURS, FASTTRACKML, AHEAD),
        Aim(OURS_ON_A_FILE, FASTTRACKML_ON_A_FILE, AHEAD),
    )


def in_turn(
    sides: Sequence[Side], repeats: int, measure: Callable[[Side], Measured], advance: Callable[[], None]
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Values and CPU times by side: one repeat of each, then the next of each."""
    values: dict[str, list[float]] = {side.name: [] for side in sides}
    cpu: dict[str, list[float]] = {side.name: [] for side in sides}
    for _ in range(repeats):
        for side in sides:
            found = measure(side)
            values[side.name].append(found.value)
            cpu[side.name].append(found.cpu_us)
            advance()
    return values, cpu


# One repeat on one side


def points_in_requests(side: Side, requests: int, points: int) -> Measured:
    """Values a second in requests of ``points`` each, sixteen runs at once, until every run shows all of its own."""
    run_ids = [side.new_run() for _ in range(CONNECTIONS)]
    sent = requests * points
    found = _until_visible(
        side,
        scripts_of(side, run_ids, requests, points),
        lambda answers: all(side.shows_points(run_id, sent) for run_id in run_ids),
        CONNECTIONS * sent,
    )
    kept = side.points_kept(run_ids[0])
    if kept != sent:
        raise RuntimeError(f"{side.name} keeps {kept} of the {sent} points that a run was sent")
    return found


def points_in_batches(side: Side) -> Measured:
    """The same in requests of as many values as are best for the side."""
    requests = max(1, side.loads.batched_points // side.batch_points)
    return points_in_requests(side, requests, side.batch_points)


def created_one_by_one(side: Side) -> Measured:
    """Runs a second, a request each, until the last of every connection can be read."""
    count = side.loads.creations
    scripts = [[side.creation(number) for number in range(count)] for _ in range(CONNECTIONS)]
    return _until_visible(
        side,
        scripts,
        lambda answers: all(side.shows_run(side.created(answer)) for answer in answers),
        CONNECTIONS * count,
    )


def created_in_bulk(side: Side) -> Measured:
    """Runs a second by whatever creates many; a side without such a request creates them one by one."""
    if not side.bulk_runs:
        return created_one_by_one(side)
    parents = [side.new_run() for _ in range(CONNECTIONS)]
    bulks = side.loads.bulks
    return _until_visible(
        side,
        [[side.bulk(parent, number) for number in range(bulks)] for parent in parents],
        lambda answers: all(side.shows_children(parent, bulks * side.bulk_runs) for parent in parents),
        CONNECTIONS * bulks * side.bulk_runs,
    )


def listed(side: Side, questions: int) -> Measured:
    """One request for all listed runs, in ms; the median of some."""
    samples: list[float] = []
    before = side.cpu_s()
    for _ in range(questions):
        ran = closed_loop.run(side.url, [[side.listing()]])
        samples.append((time.perf_counter() - ran.began) * 1e3)
        side.check_listing(ran.last_answers[0])
    return Measured(statistics.median(samples), (side.cpu_s() - before) * 1e6 / questions)


def _until_visible(
    side: Side,
    scripts: Sequence[Sequence[Request]],
    is_visible: Callable[[list[bytes]], bool],
    units: int,
) -> Measured:
    before = side.cpu_s()
    ran = closed_loop.run(side.url, scripts)
    while not is_visible(ran.last_answers):
        if time.perf_counter() - ran.began > VISIBLE_S_MAX:
            raise RuntimeError(f"{side.name} does not show what it was sent")
        time.sleep(POLL_S)
    took_s = time.perf_counter() - ran.began
    return Measured(units / took_s, (side.cpu_s() - before) * 1e6 / units)


# A user's script


class Script(Struct, frozen=True, kw_only=True):
    """A loop of logging calls in a process of its own."""

    name: str
    command: tuple[str, ...]

    def run(self) -> dict[str, float]:
        """What it printed."""
        environment = {key: value for key, value in os.environ.items() if not key.startswith("RUNFOLD_")}
        environment |= {"PYTHONWARNINGS": "ignore"}
        done = subprocess.run(
            self.command,
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=CALLS_S_MAX,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{self.name}: {done.stderr.strip()[-2_000:]}")
        lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
        found: dict[str, float] = json.loads(lines[-1])
        return found


def mlflow_script(name: str, url: str, calls: int, *, is_asynchronous: bool = False) -> Script:
    """MLflow's newest client; FastTrackML is used with it too."""
    mode = "asynchronous" if is_asynchronous else "synchronous"
    python = str(environment("mlflow") / "bin" / "python")
    return Script(name=name, command=(python, str(_HERE / "mlflow_calls.py"), url, str(calls), mode))


def runfold_script(name: str, calls: int, *, url: str | None = None, home: Path | None = None) -> Script:
    """Ours, over HTTP or in the script's own process."""
    where = ("url", url) if url is not None else ("home", str(home))
    words = ("-m", "benchmarks.rivals.runfold_calls", *where, str(calls))
    return Script(name=name, command=(sys.executable, *(str(word) for word in words)))


def called(
    scripts: Sequence[Script], repeats: int, advance: Callable[[], None]
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """By script: calls a second until visible, and the median time in a call, µs."""
    rates: dict[str, list[float]] = {script.name: [] for script in scripts}
    times: dict[str, list[float]] = {script.name: [] for script in scripts}
    for _ in range(repeats):
        for script in scripts:
            found: Any = script.run()
            rates[script.name].append(found["per_s"])
            times[script.name].append(found["p50_us"])
            advance()
    return rates, times
