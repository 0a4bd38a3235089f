"""How long one synchronous command takes, alone and beside seven other clients."""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable
from typing import Final, TypeVar
from uuid import uuid4

from benchmarks.connection import Connection
from benchmarks.measure import Group, Measured, Raw, Sizes, percentile
from benchmarks.place import EXPERIMENT, Place
from benchmarks.processes import begin, together

T = TypeVar("T")

AIM_P50_MS: Final = 15.0
_RUNS: Final = "/api/v1/workspaces/default/runs"


def sdk_client(place: Place, runs: int) -> list[float]:
    """Commands through the SDK's handles, in ms."""
    experiment = place.experiment()
    experiment.start_logging().complete()  # opens everything that is opened lazily
    begin()
    samples: list[float] = []
    for _ in range(runs):
        run = _timed(samples, experiment.start_logging)
        _timed(samples, functools.partial(run.tag, "key", "value"))
        _timed(samples, run.complete)
    return samples


def http_client(url: str, runs: int) -> list[float]:
    """The same commands over one bare connection."""
    connection = Connection(url)
    begin()
    samples: list[float] = []
    for _ in range(runs):
        run_id = str(uuid4())
        created = json.dumps({"run_id": run_id, "experiment": EXPERIMENT}).encode()
        tags = b'{"set": {"key": "value"}}'
        for method, path, body in (
            ("POST", _RUNS, created),
            ("PATCH", f"{_RUNS}/{run_id}/tags", tags),
            ("POST", f"{_RUNS}/{run_id}/complete", b"{}"),
        ):
            _timed(samples, functools.partial(connection.expect, method, path, body))
    return samples


def _timed(samples: list[float], call: Callable[[], T]) -> T:
    began = time.perf_counter_ns()
    answer = call()
    samples.append((time.perf_counter_ns() - began) / 1e6)
    return answer


def measure(sizes: Sizes, places: list[Place], url: str, commit: Raw) -> Group:
    """p50 and p99, alone and with eight clients; embedded clients share the file, HTTP clients the server."""
    rows: list[Measured] = []
    for clients in (1, sizes.clients):
        for place in places:
            label = f"SDK, {place.name}, {_clients(clients)}"
            rows += _rows(
                label,
                [_gathered(sdk_client, place, clients, sizes.runs) for _ in range(sizes.repeats)],
                commit,
                clients,
            )
        label = f"HTTP, bare connection, {_clients(clients)}"
        rows += _rows(
            label,
            [_gathered(http_client, url, clients, sizes.runs) for _ in range(sizes.repeats)],
            commit,
            clients,
        )
    return Group(
        title="One synchronous command",
        about=f"Create and start a run, set a tag, complete it: durable answers. {sizes.runs} runs a client. "
        "Ratio: to one durable SQLite commit of one row.",
        rows=tuple(rows),
    )


def _clients(count: int) -> str:
    return "alone" if count == 1 else f"{count} clients"


def _gathered(client: Callable[..., list[float]], where: Place | str, clients: int, runs: int) -> list[float]:
    answers = together(client, [(where, runs)] * clients)
    return [sample for answer in answers for sample in answer]


def _rows(name: str, repeats: list[list[float]], commit: Raw, clients: int) -> list[Measured]:
    return [
        Measured(
            name=f"{name}, {label}",
            unit="ms",
            values=tuple(percentile(samples, share) for samples in repeats),
            raw=commit.value,
            raw_name=commit.name,
            aim=AIM_P50_MS if share == 0.5 and clients == 1 else None,
        )
        for label, share in (("p50", 0.5), ("p99", 0.99))
    ]
