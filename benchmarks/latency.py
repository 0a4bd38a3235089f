"""How long one command takes through either door while fifty a second come."""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final
from uuid import uuid4

from msgspec import Struct

from benchmarks.connection import Connection
from benchmarks.fleet import PARTITIONS, Fleet
from benchmarks.flood import EXPERIMENT, METRIC, WORKSPACE, Writer
from benchmarks.measure import Group, Measured, Raw, Sizes, percentile
from benchmarks.processes import begin, together
from runfold_events.buses.kafka import Cluster, CommandProducer
from runfold_projections.ports import Views

COMMANDS_PER_S: Final = 50
HTTP_P50_MS_MAX: Final = 15.0
KAFKA_P50_MS_MAX: Final = 25.0
KAFKA_P99_MS_MAX: Final = 100.0
VISIBLE_S_MAX: Final = 30.0
POLL_S: Final = 0.001
_RUNS: Final = f"/api/v1/workspaces/{WORKSPACE}/runs"


class Sent(Struct, frozen=True):
    """A command on its way: the run shows so many points once it has arrived."""

    run_id: str
    points: int
    began_ns: int


def http_client(url: str, commands: int) -> list[float]:
    """Tags and points by turns over one bare connection, each answered when it is durable; in ms."""
    connection = Connection(url)
    writer = uuid4()
    _write(connection, writer, _RUNS, 1, {"run_id": f"http-{writer}", "experiment": EXPERIMENT})
    samples: list[float] = []
    begin()
    start = time.perf_counter()
    for index in range(commands):
        time.sleep(max(0.0, start + index / COMMANDS_PER_S - time.perf_counter()))
        began = time.perf_counter_ns()
        _write(connection, writer, f"{_RUNS}/http-{writer}/metrics", index + 2, _one_point(index))
        samples.append((time.perf_counter_ns() - began) / 1e6)
    connection.close()
    return samples


def _one_point(step: int) -> dict[str, Any]:
    columns = {METRIC: {"dtype": "f64", "values": [1.0 / (1 + step)]}}
    times, steps = (
        {"dtype": "i64", "values": [time.time_ns() // 1_000_000]},
        {"dtype": "i64", "values": [step]},
    )
    return {"series": [{"name": METRIC, "times": times, "steps": steps, "columns": columns}]}


def _write(connection: Connection, writer: object, path: str, number: int, body: dict[str, Any]) -> None:
    headers = f"Runfold-Writer: {writer}\r\nRunfold-Writer-Seq: {number}\r\n"
    status, answer = connection.request("POST", path, json.dumps(body).encode(), headers=headers)
    if not 200 <= status < 300:
        raise RuntimeError(f"POST {path} gave {status}: {answer[:500]!r}")


async def kafka_client(fleet: Fleet, views: Views, writer: Writer, commands: int) -> list[float]:
    """One point a command, all of one run, until a question about it shows the point; in ms."""
    producer = CommandProducer(
        Cluster(bootstrap_servers=fleet.kafka), fleet.settings.commands_topic, PARTITIONS
    )
    try:
        first: deque[Sent] = deque([await _sent(producer, writer)])  # connects what a first command connects
        await _visible_ms(views, first, 1)
        sent: deque[Sent] = deque()
        watching = asyncio.create_task(_visible_ms(views, sent, commands))
        start = time.perf_counter()
        for index in range(commands):
            await asyncio.sleep(max(0.0, start + index / COMMANDS_PER_S - time.perf_counter()))
            sent.append(await _sent(producer, writer))
        return await watching
    finally:
        await producer.stop()


async def _sent(producer: CommandProducer, writer: Writer) -> Sent:
    began = time.perf_counter_ns()
    submission = writer.log(1)
    await producer.send([submission])
    return Sent(writer.run_id, writer.points, began)


async def _visible_ms(views: Views, sent: deque[Sent], commands: int) -> list[float]:
    """Ask again and again, one question at a time, what the run shows: that answers for all that are on their way."""
    samples: list[float] = []
    async with asyncio.timeout(commands / COMMANDS_PER_S + VISIBLE_S_MAX):
        while len(samples) < commands:
            await asyncio.sleep(POLL_S)
            shown = await _shown(views, sent[0].run_id) if sent else 0
            now_ns = time.perf_counter_ns()
            while sent and sent[0].points <= shown:
                samples.append((now_ns - sent.popleft().began_ns) / 1e6)
    return samples


async def _shown(views: Views, run_id: str) -> int:
    found = (await views.run(WORKSPACE, run_id)).metrics.get(METRIC)
    return 0 if found is None else found.count


async def measure(
    fleet: Fleet,
    views: Views,
    writer: Writer,
    sizes: Sizes,
    commit: Raw,
    advance: Callable[[], Any],
) -> Group:
    """Both doors, one after the other."""
    commands = round(sizes.paced_s * COMMANDS_PER_S)
    http: list[list[float]] = []
    kafka: list[list[float]] = []
    for _ in range(sizes.repeats):
        http += await asyncio.to_thread(together, http_client, [(fleet.urls["api"], commands)])
        advance()
        kafka.append(await kafka_client(fleet, views, writer, commands))
        advance()
    return Group(
        title=f"One command at {COMMANDS_PER_S} commands/s",
        about="HTTP: until the answer that it is durable. Kafka: from before the send until the view's own question "
        "shows the point. Ratio: to one row and a durable commit in the same Postgres.",
        rows=(
            _row("HTTP: acknowledged, p50", http, 0.5, commit, HTTP_P50_MS_MAX),
            _row("HTTP: acknowledged, p99", http, 0.99, commit, None),
            _row("Kafka: visible in the view, p50", kafka, 0.5, commit, KAFKA_P50_MS_MAX),
            _row("Kafka: visible in the view, p99", kafka, 0.99, commit, KAFKA_P99_MS_MAX),
        ),
    )


def _row(name: str, repeats: list[list[float]], share: float, commit: Raw, aim: float | None) -> Measured:
    return Measured(
        name=name,
        unit="ms",
        values=tuple(percentile(samples, share) for samples in repeats),
        raw=commit.value,
        raw_name=commit.name,
        aim=aim,
    )
