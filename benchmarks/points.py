"""Metric points a second, counted until they can be read from the views."""

from __future__ import annotations

import json
import time
from array import array
from pathlib import Path
from typing import Final
from uuid import uuid4

import msgspec

from benchmarks.connection import Connection
from benchmarks.measure import Group, Measured, Sizes
from benchmarks.place import EXPERIMENT, Place
from benchmarks.processes import begin, together
from benchmarks.raw import batches_per_s
from runfold_events.contract.columns import pack_floats, pack_integers
from runfold_events.contract.metrics import Series, encode_batch

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


def http_client(url: str, points: int, content_type: str, seconds: float) -> tuple[float, float, int]:
    """Post batches to a run of its own for a while; returns begin, moment of visibility, and points."""
    connection = Connection(url)
    writer, body = uuid4(), batch_body(points, content_type)
    run_id = f"http-{writer}"
    _write(
        connection, writer, _RUNS, 1, json.dumps({"run_id": run_id, "experiment": EXPERIMENT}).encode(), _JSON
    )
    begin()
    began, number = time.monotonic(), 1
    while time.monotonic() - began < seconds:
        number += 1
        _write(connection, writer, f"{_RUNS}/{run_id}/metrics", number, body, content_type)
    sent = (number - 1) * points
    while _count(connection, run_id) < sent:
        time.sleep(0.002)
    visible = time.monotonic()
    connection.close()
    return began, visible, sent


def _write(
    connection: Connection, writer: object, path: str, number: int, body: bytes, content_type: str
) -> None:
    headers = f"Runfold-Writer: {writer}\r\nRunfold-Writer-Seq: {number}\r\n"
    status, answer = connection.request("POST", path, body, content_type, headers)
    if not 200 <= status < 300:
        raise RuntimeError(f"POST {path} gave {status}: {answer[:500]!r}")


def _count(connection: Connection, run_id: str) -> int:
    run = msgspec.json.decode(connection.expect("GET", f"{_RUNS}/{run_id}"))
    return int(run["metrics"].get("loss", {}).get("count", 0))


def http_rate(sizes: Sizes, url: str, points: int, content_type: str) -> float:
    """Points a second of all clients together."""
    answers = together(http_client, [(url, points, content_type, sizes.http_s)] * sizes.clients)
    began = min(answer[0] for answer in answers)
    visible = max(answer[1] for answer in answers)
    return sum(answer[2] for answer in answers) / (visible - began)


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
        )
        for place in places
    ]
    for points, content_type in ((1, _JSON), (100, _JSON), (1_000, _JSON), (1_000, _MSGPACK)):
        body = batch_body(points, content_type)
        rows.append(
            Measured(
                name=f"HTTP, {points:,} a request, {content_type.partition('/')[2]}, {sizes.clients} connections",
                unit="points/s",
                values=tuple(http_rate(sizes, url, points, content_type) for _ in range(sizes.repeats)),
                raw=batches_per_s(folder, len(body)) * points,
                raw_name=_RAW.format(len(body)),
            )
        )
    return Group(
        title="Points a second, until visible in the views",
        about="Clients are processes of their own on the same machine. Ratio: to one process that puts the same bytes "
        "into a SQLite table, one durable commit a batch, and makes nothing readable.",
        rows=tuple(rows),
    )
