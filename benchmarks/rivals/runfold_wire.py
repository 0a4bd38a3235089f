"""runfold's HTTP API, asked as its own SDK asks: a writer numbers its requests, so that they can be sent again."""

from __future__ import annotations

import functools
from array import array
from collections.abc import Callable
from typing import Any, Final
from uuid import UUID, uuid5

import msgspec

from benchmarks.closed_loop import Request
from benchmarks.rivals.asking import Asking
from benchmarks.rivals.side import (
    LISTED_METRICS,
    LISTED_PARAMS,
    LISTED_RUNS,
    LISTED_TAGS,
    METRIC,
    Loads,
    time_ms,
    value,
)
from runfold_events.contract.columns import pack_floats, pack_integers
from runfold_events.contract.metrics import Series, encode_batch

RUNS: Final = "/api/v1/workspaces/default/runs"
EXPERIMENT: Final = "bench"
LISTED: Final = "listed"
BULK_RUNS: Final = 1_000
_MSGPACK: Final = "application/msgpack"
_WRITERS: Final = UUID("5f2b0c0e-4a0e-4c8e-9d0a-0d8f3a1c7b11")  # a writer's id follows from its run's
_json: Final = msgspec.json.Encoder()


class RunfoldSide:
    """A server of ours."""

    def __init__(
        self, name: str, url: str, loads: Loads, cpu_s: Callable[[], float], batch_points: int
    ) -> None:
        self.name: Final = name
        self.url: Final = url
        self.loads: Final = loads
        self.cpu_s: Final = cpu_s
        self.batch_points = batch_points
        self.bulk_runs: Final = BULK_RUNS
        self._asking = Asking(url)
        for experiment in (EXPERIMENT, LISTED):
            body = _json.encode({"experiment": experiment})
            self._send(Request("POST", "/api/v1/workspaces/default/experiments", body))

    def new_run(self) -> str:
        return self.created(self._send(self.creation(0)))

    def point(self, run_id: str, number: int) -> Request:
        series = {
            "name": METRIC,
            "times": {"dtype": "i64", "values": [time_ms(number)]},
            "steps": {"dtype": "i64", "values": [number]},
            "columns": {METRIC: {"dtype": "f64", "values": [value(number)]}},
        }
        body = _json.encode({"series": [series]})
        return Request("POST", f"{RUNS}/{run_id}/metrics", body, headers=_numbered(run_id, number))

    def batch(self, run_id: str, number: int, points: int) -> Request:
        body = _packed(number * points, points)
        return Request("POST", f"{RUNS}/{run_id}/metrics", body, _MSGPACK, _numbered(run_id, number))

    def shows_points(self, run_id: str, points: int) -> bool:
        found = self._get(f"/{run_id}")["metrics"].get(METRIC)
        return found is not None and int(found["count"]) == points

    def points_kept(self, run_id: str) -> int:
        found = self._get(f"/{run_id}/metrics?name={METRIC}")
        return sum(len(series["times_ms"]) for series in found)

    def creation(self, number: int) -> Request:
        return Request("POST", RUNS, _json.encode({"experiment": EXPERIMENT, "name": f"run-{number}"}))

    def created(self, answer: bytes) -> str:
        run_id: str = msgspec.json.decode(answer)["run_id"]
        return run_id

    def shows_run(self, run_id: str) -> bool:
        return self._asking.status(Request("GET", f"{RUNS}/{run_id}")) == 200

    def bulk(self, parent: str, number: int) -> Request:
        return Request("POST", f"{RUNS}/{parent}/children", _json.encode({"count": BULK_RUNS}))

    def shows_children(self, parent: str, count: int) -> bool:
        counts: dict[str, int] = self._get(f"/{parent}/children/counts")["direct"]
        return sum(counts.values()) == count

    def fill_listing(self) -> None:
        for number in range(LISTED_RUNS):
            body = {"experiment": LISTED, "tags": {f"t{index}": f"{number}" for index in range(LISTED_TAGS)}}
            run_id = self.created(self._send(Request("POST", RUNS, _json.encode(body))))
            params = {"params": {f"p{index}": f"{number}" for index in range(LISTED_PARAMS)}}
            self._send(Request("POST", f"{RUNS}/{run_id}/params", _json.encode(params)))
            batch = encode_batch([_series(f"m{index}", number, 1) for index in range(LISTED_METRICS)])
            self._send(Request("POST", f"{RUNS}/{run_id}/metrics", batch, _MSGPACK))

    def listing(self) -> Request:
        return Request("GET", f"{RUNS}?experiment={LISTED}&limit={LISTED_RUNS}")

    def check_listing(self, answer: bytes) -> None:
        rows = msgspec.json.decode(answer)["rows"]
        found = {tuple(len(row[kind]) for kind in ("metrics", "params", "tags")) for row in rows}
        if len(rows) != LISTED_RUNS or found != {(LISTED_METRICS, LISTED_PARAMS, LISTED_TAGS)}:
            raise RuntimeError(f"{self.name} does not list what it was given: {len(rows)} runs, {found}")

    def _send(self, request: Request) -> bytes:
        return self._asking.expect(request)

    def _get(self, path: str) -> Any:
        return msgspec.json.decode(self._send(Request("GET", RUNS + path)))


def _numbered(run_id: str, number: int) -> str:
    return f"Runfold-Writer: {uuid5(_WRITERS, run_id)}\r\nRunfold-Writer-Seq: {number + 1}\r\n"


@functools.lru_cache(maxsize=256)
def _packed(first: int, points: int) -> bytes:
    """One request's worth: runs are sent the same values, each its own steps in turn."""
    return encode_batch([_series(METRIC, first, points)])


def _series(name: str, first: int, points: int) -> Series:
    steps = array("q", range(first, first + points))
    times = array("q", (time_ms(step) for step in steps))
    values = array("d", (value(step) for step in steps))
    return Series(
        name=name,
        times=pack_integers(times),
        steps=pack_integers(steps),
        columns={name: pack_floats(values)},
    )
