"""What ``log()`` costs the program that calls it: whatever the server does, and beside a thread that never rests."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Final

from benchmarks.measure import Group, Measured, Raw, Sizes, percentile
from benchmarks.outages import nobody, silent, slow
from benchmarks.place import Place
from benchmarks.processes import together
from runfold import Run

CALLS_PER_S: Final = 1_000
JOB_VALUES_PER_S: Final = 100
P50_AIM_US: Final = 10.0
P99_AIM_US: Final = 200.0
HOG_P99_AIM_US: Final = 500.0
IMPORT_AIM_MS: Final = 150.0
SHARE_AIM_PERCENT: Final = 1.0
_IMPORT: Final = (
    "import time; began = time.perf_counter(); import runfold; print(time.perf_counter() - began)"
)


def log_calls_us(place: Place, calls: int, has_hog: bool = False) -> list[float]:
    """How long each call took, in µs; they are paced by sleeping. ``has_hog``: beside a thread that only computes."""
    run = place.experiment().start_logging()
    run.log("loss", 0.5, step=0)  # the first call of a metric prepares its column
    stop = threading.Event()
    if has_hog:
        threading.Thread(target=_hog, args=(stop,), daemon=True).start()
    samples: list[float] = []
    began = time.perf_counter()
    for number in range(1, calls + 1):
        ahead = began + number / CALLS_PER_S - time.perf_counter()
        if ahead > 0:
            time.sleep(ahead)
        before = time.perf_counter_ns()
        run.log("loss", 0.5, step=number)
        samples.append((time.perf_counter_ns() - before) / 1e3)
    stop.set()
    run.complete()
    return samples


def _hog(stop: threading.Event) -> None:
    while not stop.is_set():
        sum(number * number for number in range(10_000))


def share_percent(place: Place, seconds: float, settle_s: float) -> float:
    """Processor time of a job that logs 100 values a second, beyond that of one that does not, in % of its time.

    ``settle_s``: after which a process that was flushed has done all that it does of its own accord.
    """
    run = place.experiment().start_logging()
    run.log("loss", 0.5, step=0)
    _settle(run, settle_s)
    with_it = _job_cpu_s(run, seconds, settle_s, lambda number: run.log("loss", 0.5, step=number))
    without = _job_cpu_s(run, seconds, settle_s, lambda number: None)
    run.complete()
    return 100 * max(0.0, with_it - without) / seconds


def _job_cpu_s(run: Run, seconds: float, settle_s: float, work: Callable[[int], None]) -> float:
    """Until all of it is delivered and folded, so that nothing that belongs to one job is counted with the next."""
    began = time.process_time()
    for number in range(round(seconds * JOB_VALUES_PER_S)):
        work(number)
        time.sleep(1 / JOB_VALUES_PER_S)
    _settle(run, settle_s)
    return time.process_time() - began


def _settle(run: Run, settle_s: float) -> None:
    run.flush()
    time.sleep(settle_s)


def import_ms() -> float:
    """How long ``import runfold`` takes in a new process."""
    done = subprocess.run([sys.executable, "-c", _IMPORT], capture_output=True, text=True, check=True)
    return float(done.stdout) * 1e3


def measure(sizes: Sizes, places: list[Place], commit: Raw) -> Group:
    """p50 and p99 for every state of the server; then what a job pays in all."""
    embedded, http = places
    raw = Raw(commit.name, commit.value * 1_000)
    rows: list[Measured] = []
    with slow(http.url or "") as slow_url, silent() as silent_url:
        for name, place in (
            ("embedded", embedded),
            ("HTTP, server up", http),
            ("server slow", Place(url=slow_url)),
            ("server silent", Place(url=silent_url)),
            ("server down", Place(url=nobody())),
        ):
            rows += _latency(name, place, sizes, raw, has_hog=False)
    for name, place in (("embedded", embedded), ("HTTP", http)):
        rows += _latency(f"{name}, beside a busy thread", place, sizes, raw, has_hog=True)
    rows += [_import_row(sizes), *(_share_row(place, sizes) for place in places)]
    return Group(
        title="log()",
        about=f"One call of {sizes.log_calls:,} at {CALLS_PER_S:,} a second; a background thread delivers meanwhile. "
        "Slow: every answer 0.3 s late. Silent: connections are taken and nothing is answered. Down: nobody listens. "
        f"Share: processor time of a job that logs {JOB_VALUES_PER_S} values a second, log() and delivery together. "
        "Ratio: to one durable SQLite commit.",
        rows=tuple(rows),
    )


def _latency(name: str, place: Place, sizes: Sizes, raw: Raw, *, has_hog: bool) -> list[Measured]:
    repeats = [together(log_calls_us, [(place, sizes.log_calls, has_hog)])[0] for _ in range(sizes.repeats)]
    aims = (None if has_hog else P50_AIM_US, HOG_P99_AIM_US if has_hog else P99_AIM_US)
    return [
        Measured(
            name=f"log(), {name}, {label}",
            unit="µs",
            values=tuple(percentile(samples, share) for samples in repeats),
            raw=raw.value,
            raw_name=raw.name,
            aim=aim,
        )
        for (label, share), aim in zip((("p50", 0.5), ("p99", 0.99)), aims, strict=True)
    ]


def _import_row(sizes: Sizes) -> Measured:
    import_ms()  # compiles what is not compiled
    values = tuple(import_ms() for _ in range(sizes.repeats))
    return Measured(name="import runfold", unit="ms", values=values, aim=IMPORT_AIM_MS)


def _share_row(place: Place, sizes: Sizes) -> Measured:
    given = (place, sizes.job_s, sizes.job_settle_s)
    values = tuple(together(share_percent, [given])[0] for _ in range(sizes.repeats))
    return Measured(name=f"share of a job, {place.name}", unit="%", values=values, aim=SHARE_AIM_PERCENT)
