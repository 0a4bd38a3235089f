"""Metric points a second, counted until they can be read from the views."""

from __future__ import annotations

import json
import time
from array import array
from pathlib import Path
from typing import Final
from uuid import UUID, uuid4

import msgspec

from benchmarks import closed_loop
from benchmarks.closed_loop import Request
from benchmarks.connection import Connection
from benchmarks.measure import Group, Measured, Sizes
from benchmarks.place import EXPERIMENT, Place
from benchmarks.processes import begin, together
from benchmarks.raw import batches_per_s
from runfold_events.contract.columns import pack_floats, pack_integers
from runfold_events.contract.metrics import Series, encode_batch

AIMS: Final = {1: 3_000.0, 100: 250_000.0, 1_000: 1_200_000.0}  # points a second, by the size of a request
SDK_AIM: Final = 100_000.0
_JSON: Final = "application/json"
_MSGPACK: Final = "application/msgpack"
_RAW: Final = "SQLite: a row of {:,} bytes a commit"
_RUNS: Final = "/api/v1/workspaces/default/runs"


def sdk_rate(place: Place, points: int) -> float:
    """Points a second through ``log()`` in a loop, until the summary of the run shows them all."""
    with place.experiment().start_logging() as run:
        began = time.perf_counter()
        for step in range(points):
            run.log("loss", step * 0.5, step=step)
        run.flush()
        while run.summary().metrics["loss"].count < points:
            time.sleep(0.005)
        took = time.perf_counter() - began
    return points / took


def batch_body(points: int, content_type: str) -> bytes:
    """One request's worth, as a client would send it."""
    steps = array("q", range(points))
    times = array("q", (1_700_000_000_000 + step for step in steps))
    values = array("d", (step * 0.5 for step in steps))
    if content_type == _MSGPACK:
        columns = {"loss": pack_floats(values)}
        return encode_batch(
            [Series(name="loss", times=pack_integers(times), steps=pack_integers(steps), columns=columns)]
        )
    series = {
        "name": "loss",
        "times": {"dtype": "i64", "values": times.tolist()},
        "steps": {"dtype": "i64", "values": steps.tolist()},
        "columns": {"loss": {"dtype": "f64", "values": values.tolist()}},
    }
    return json.dumps({"series": [series]}, separators=(",", ":")).encode()


def http_client(
    url: str, connections: int, points: int, form: str, requests: int
) -> tuple[float, float, int]:
    """Post batches on many connections, to a run on each; returns begin, moment of visibility, and points."""
    asking = Connection(url)
    writers = [uuid4() for _ in range(connections)]
    for writer in writers:
        creation = json.dumps({"run_id": _run_id(writer), "experiment": EXPERIMENT}).encode()
        _write(asking, writer, _RUNS, 1, creation, _JSON)
    content_type = f"application/{form}"
    body = batch_body(points, content_type)
    scripts = [
        [
            Request(
                "POST", f"{_RUNS}/{_run_id(writer)}/metrics", body, content_type, _numbered(writer, number)
            )
            for number in range(2, 2 + requests)
        ]
        for writer in writers
    ]
    begin()
    began = closed_loop.run(url, scripts).began
    for writer in writers:
        while _count(asking, _run_id(writer)) < requests * points:
            time.sleep(0.002)
    visible = time.perf_counter()
    asking.close()
    return began, visible, connections * requests * points


def _write(
    connection: Connection, writer: UUID, path: str, number: int, body: bytes, content_type: str
) -> None:
    status, answer = connection.request("POST", path, body, content_type, _numbered(writer, number))
    if not 200 <= status < 300:
        raise RuntimeError(f"POST {path} gave {status}: {answer[:500]!r}")


def _run_id(writer: UUID) -> str:
    return f"http-{writer}"


def _numbered(writer: UUID, number: int) -> str:
    return f"Runfold-Writer: {writer}\r\nRunfold-Writer-Seq: {number}\r\n"


def _count(connection: Connection, run_id: str) -> int:
    run = msgspec.json.decode(connection.expect("GET", f"{_RUNS}/{run_id}"))
    return int(run["metrics"].get("loss", {}).get("count", 0))


def http_rate(url: str, connections: int, points: int, form: str, requests: int) -> float:
    """Points a second over all connections."""
    ((began, visible, sent),) = together(http_client, [(url, connections, points, form, requests)])
    return sent / (visible - began)


def measure(sizes: Sizes, places: list[Place], url: str, folder: Path) -> Group:
    """SDK and HTTP, several sizes of batches."""
    thousand = batch_body(1_000, _MSGPACK)
    rows = [
        Measured(
            name=f"SDK, {place.name}, one process",
            unit="points/s",
            values=tuple(together(sdk_rate, [(place, sizes.sdk_points)])[0] for _ in range(sizes.repeats)),
            raw=batches_per_s(folder, len(thousand)) * 1_000,
            raw_name=_RAW.format(len(thousand)),
            aim=SDK_AIM,
            at_most=False,
        )
        for place in places
    ]
    for points, form, requests in sizes.posts:
        body = batch_body(points, f"application/{form}")
        rates = [http_rate(url, sizes.connections, points, form, requests) for _ in range(sizes.repeats)]
        rows.append(
            Measured(
                name=f"HTTP, {points:,} a request, {form}, {sizes.connections} connections",
                unit="points/s",
                values=tuple(rates),
                raw=batches_per_s(folder, len(body)) * points,
                raw_name=_RAW.format(len(body)),
                aim=AIMS.get(points),
                at_most=False,
            )
        )
    return Group(
        title="Points a second, until visible in the views",
        about="The client is a process of its own on the same machine, which keeps one request on its way on every "
        "connection, each to a run of its own. Ratio: to one process that puts the same bytes "
        "into a SQLite table, one durable commit a batch, and makes nothing readable.",
        rows=tuple(rows),
    )
