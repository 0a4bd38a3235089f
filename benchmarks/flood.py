"""Commands from many writers, packed before the clock starts and handed to the command topic all at once."""

from __future__ import annotations

import asyncio
import random
import time
from array import array
from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID, uuid4

import msgspec
from aiokafka import AIOKafkaProducer
from msgspec import Struct

from benchmarks.fleet import PARTITIONS, Fleet, Watch
from runfold_events.buses.kafka import Cluster, CommandProducer
from runfold_events.contract import commands as c
from runfold_events.contract.cloudevents import Record, command_record
from runfold_events.contract.columns import pack_floats, pack_integers
from runfold_events.contract.envelope import MSGPACK
from runfold_events.contract.ids import partition_of
from runfold_events.contract.metrics import Series, encode_batch
from runfold_events.contract.submission import Actor, Submission

WORKSPACE: Final = "bench"
EXPERIMENT: Final = "flood"
METRIC: Final = "loss"
BATCH_BYTES: Final = 256 * 1024
PREPARE_S_MAX: Final = 120.0
_NOBODY: Final = Actor("kafka", "kafka")

Partitioned = dict[int, list[Record]]


class Writer(Struct):
    """A worker that logs to a run of its own."""

    run_id: str
    writer_id: UUID
    number: int = 0  # of its last command
    points: int = 0

    def next(self, command: c.Command, content_type: str = MSGPACK) -> Submission:
        self.number += 1
        return Submission(
            workspace=WORKSPACE,
            command=command,
            writer_id=self.writer_id,
            writer_seq=self.number,
            occurred_at=time.time_ns() // 1_000,
            actor=_NOBODY,
            door="kafka",
            content_type=content_type,
        )

    def log(self, points: int) -> Submission:
        """A batch as the SDK packs what was logged: steps that count up, times that jitter, values that fall."""
        body = batch_body(self.points, points)
        self.points += points
        return self.next(c.LogMetrics(run_id=self.run_id, batch=msgspec.Raw(body)))


def strangers(count: int) -> list[Writer]:
    """Writers whose runs no store knows."""
    return [Writer(str(writer_id := uuid4()), writer_id) for _ in range(count)]


def batch_body(first: int, points: int) -> bytes:
    """One scalar series in columns."""
    steps = array("q", range(first, first + points))
    times = array("q", (1_700_000_000_000 + 100 * step + random.randrange(20) for step in steps))
    values = array("d", (1.0 / (1 + step) + random.random() / 100 for step in steps))
    series = Series(
        name=METRIC,
        times=pack_integers(times),
        steps=pack_integers(steps),
        columns={METRIC: pack_floats(values)},
    )
    return encode_batch([series])


async def begin_runs(fleet: Fleet, watch: Watch, count: int) -> list[Writer]:
    """Create and start runs through the command topic; returns when the views know them."""
    producer = CommandProducer(
        Cluster(bootstrap_servers=fleet.kafka), fleet.settings.commands_topic, PARTITIONS
    )
    end = (await watch.standing()).stored
    try:
        first = Writer("", uuid4())
        await producer.send([first.next(c.EnsureExperiment(experiment=EXPERIMENT))])
        await watch.reach(end + 1, PREPARE_S_MAX)
        writers = strangers(count)
        await producer.send(
            [w.next(c.CreateRun(run_id=w.run_id, experiment=EXPERIMENT, start=True)) for w in writers]
        )
        await watch.reach(end + 1 + 2 * count, PREPARE_S_MAX)
    finally:
        await producer.stop()
    return writers


def records_of(writers: Sequence[Writer], commands: int, points: int) -> Partitioned:
    """``commands`` batches of ``points`` points, from all writers in turn, by partition."""
    parts: Partitioned = {}
    for index in range(commands):
        submission = writers[index % len(writers)].log(points)
        partition = partition_of(submission.stream, PARTITIONS)
        parts.setdefault(partition, []).append(command_record(submission))
    return parts


async def new_producer(kafka: str) -> Any:
    """A bare producer of aiokafka, as our own are set."""
    producer: Any = AIOKafkaProducer(
        bootstrap_servers=kafka, acks="all", enable_idempotence=True, max_batch_size=BATCH_BYTES
    )
    await producer.start()
    return producer


def packed(producer: Any, parts: Partitioned) -> dict[int, list[Any]]:
    """Records in the batches that go over the wire."""
    return {partition: list(_batches(producer, records)) for partition, records in parts.items()}


def _batches(producer: Any, records: Sequence[Record]) -> list[Any]:
    batches = [producer.create_batch()]
    for record in records:
        given: Any = {"key": record.key, "value": record.value, "headers": list(record.headers)}
        if batches[-1].append(timestamp=None, **given) is None:
            batches.append(producer.create_batch())
            batches[-1].append(timestamp=None, **given)
    for batch in batches:
        batch.close()
    return batches


async def send(producer: Any, topic: str, batches: dict[int, list[Any]]) -> None:
    """Hand over everything; returns when the broker keeps it."""

    async def send_part(partition: int, part: list[Any]) -> None:
        for batch in part:
            await (await producer.send_batch(batch, topic, partition=partition))

    await asyncio.gather(*(send_part(partition, part) for partition, part in batches.items()))
