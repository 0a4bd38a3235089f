"""The two doors of a running set-up: the same commands by HTTP and by Kafka give the same events and the same views."""

from __future__ import annotations

import time
from typing import Any, Final, cast
from uuid import UUID, uuid4

import msgspec

from runfold_events.contract import commands as c
from runfold_events.contract.commands import Command
from runfold_events.contract.metrics import encode_batch
from runfold_events.contract.submission import Actor, Submission
from runfold_projections.testing.history import floats
from tests.support.distributed_process import DistributedProcess
from tests.support.http_server import Client

PARTITIONS: Final = 16
WAIT_S_MAX: Final = 60.0
RUNS: Final = [f"r{number}" for number in range(6)]
# What is drawn by chance, read from a clock, or says by which door a command came.
DRAWN: Final = frozenset(
    {
        "id",
        "pos",
        "partition",
        "slice",
        "epoch",
        "occurred_at",
        "recorded_at",
        "actor",
        "actor_source",
        "door",
    }
) | {"writer_id", "chain", "digest", "salt", "stream"}


def story() -> list[tuple[Command, int]]:
    """Runs with children, values, files and refusals."""
    batch = msgspec.Raw(encode_batch([floats("loss", [3.0, 2.0, 1.0])]))
    child = {run: f"{run}-child" for run in RUNS}
    return [
        *((c.CreateRun(run_id=run, experiment="e", tags={"a": "b"}), 1) for run in RUNS),
        *((c.CreateRun(run_id=child[run], experiment="e", parent_run_id=run), 1) for run in RUNS),
        *((c.LogMetrics(run_id=run, batch=batch), 2) for run in RUNS),
        *((c.AddProperties(run_id=run, properties={"a": "1"}), 3) for run in RUNS),
        *((c.AddProperties(run_id=run, properties={"a": "2"}), 4) for run in RUNS),
        *((c.RecordArtifact(run_id=run, path="m", sha256="0" * 64, size_bytes=1), 5) for run in RUNS),
        *((c.CompleteRun(run_id=run), 6) for run in RUNS),
        *((c.FailRun(run_id=run), 7) for run in RUNS),
        *((c.SetTags(run_id=run, tags={"late": None}), 8) for run in RUNS),
    ]


def submissions(workspace: str, writer: UUID, commands: list[tuple[Command, int]]) -> list[Submission]:
    return [
        Submission(
            workspace=workspace,
            command=command,
            writer_id=writer,
            writer_seq=number,
            occurred_at=time.time_ns() // 1_000,
            actor=Actor("a", "kafka"),
            door="kafka",
            content_type="application/msgpack" if isinstance(command, c.LogMetrics) else "application/json",
        )
        for command, number in commands
    ]


def send_by_http(client: Client, workspace: str, writer: UUID, commands: list[tuple[Command, int]]) -> None:
    body = {
        "workspace": workspace,
        "commands": [{"command": command, "writer_seq": number} for command, number in commands],
    }
    reply = client.request(
        "POST",
        "/api/v1/commands",
        msgspec.msgpack.encode(body),
        {"Content-Type": "application/msgpack", "Runfold-Writer": str(writer)},
    )
    assert reply.status == 200, reply


def told(client: Client, workspace: str) -> dict[str, list[Any]]:
    """What the events of a workspace say, by stream, without what is drawn."""
    streams: dict[str, list[Any]] = {}
    for partition in range(PARTITIONS):
        for event in client.get(f"/api/v1/events?partition={partition}&limit=1000").json["events"]:
            space, _, stream = event["stream"].partition("/")
            if space == workspace:
                kept = {name: value for name, value in event.items() if name not in DRAWN}
                # An experiment's id is made of its workspace's name.
                name = "experiment" if stream.startswith("experiment/") else stream
                streams.setdefault(name, []).append(_without_ids(kept))
    return streams


def _without_ids(event: dict[str, Any]) -> dict[str, Any]:
    """Without what in the body is drawn too; a refusal's message names an event's id."""
    body: Any = event["body"]
    if isinstance(body, dict):
        kept: dict[str, Any] = dict(cast("dict[str, Any]", body))
        facts: dict[str, Any] = kept.pop("facts", {})
        for name in ("message", "number", "experiment_id"):
            kept.pop(name, None)
        event["body"] = (
            kept,
            {name: value for name, value in facts.items() if name not in {"first_event", "event"}},
        )
    return event


def test_both_doors_give_the_same_events_and_views(everything: DistributedProcess) -> None:
    commands, writer = story(), uuid4()
    ensure: tuple[Command, int] = (c.EnsureExperiment(experiment="e"), 1)
    with Client(everything.url) as client:
        send_by_http(client, "by-http", writer, [ensure])
        send_by_http(client, "by-http", writer, commands)
        expected = told(client, "by-http")
        assert len(expected) == 1 + 2 * len(RUNS)

        # By Kafka an experiment and a parent are awaited before they are named: no batch orders them.
        parents = commands[: len(RUNS)]
        first: list[tuple[Command, int]] = [ensure]
        all_events = sum(map(len, expected.values()))
        for part, events in (
            (first, 1),
            (parents, 1 + 2 * len(parents)),
            (commands[len(RUNS) :], all_events),
        ):
            everything.send_by_kafka(PARTITIONS, submissions("by-kafka", writer, part))
            wait_for_events(client, "by-kafka", events)
        assert told(client, "by-kafka") == expected

        for run in (*RUNS, *(f"{run}-child" for run in RUNS)):
            wait_for_view(client, run)


def wait_for_events(client: Client, workspace: str, count: int) -> None:
    end = time.monotonic() + WAIT_S_MAX
    while (found := sum(map(len, told(client, workspace).values()))) < count:
        assert time.monotonic() < end, f"{found} of {count} events by Kafka"
        time.sleep(0.1)


def wait_for_view(client: Client, run: str) -> None:
    """The views of both runs say the same, once the one by Kafka is folded."""
    end = time.monotonic() + WAIT_S_MAX
    expected = view(client, "by-http", run)
    while view(client, "by-kafka", run) != expected:
        assert time.monotonic() < end, (view(client, "by-kafka", run), expected)
        time.sleep(0.1)


def view(client: Client, workspace: str, run: str) -> dict[str, Any]:
    found: dict[str, Any] = client.get(f"/api/v1/workspaces/{workspace}/runs/{run}").json
    drawn = {"workspace", "experiment_id", "number", "created_by"}
    kept = {k: v for k, v in found.items() if k not in drawn and not k.endswith("_at")}
    for metric in kept.get("metrics", {}).values():
        metric.pop("time", None)
    return kept
