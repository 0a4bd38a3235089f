"""What Postgres, the broker and the decoder do alone: the limits that a distributed set-up's figures stand beside."""

from __future__ import annotations

import os
import time
from typing import Any, Final
from uuid import uuid4

import asyncpg
import msgspec

from benchmarks.fleet import PARTITIONS
from benchmarks.flood import Partitioned, batch_body, new_producer, packed, send
from benchmarks.measure import Raw, percentile
from runfold_events.buses.kafka import Cluster, KafkaTopicAdmin
from runfold_events.contract.metrics import MetricBatch

COPIED_BYTES_MAX: Final = 24 * 1024 * 1024
ROWS_PER_COPY: Final = 1_000
_TABLE: Final = "bench_copied"


async def commits_ms(connection: asyncpg.Connection[Any], commits: int) -> list[float]:
    """One row and one durable commit, each of them; in ms."""
    await connection.execute("CREATE TABLE IF NOT EXISTS bench_commits (n int)")
    samples: list[float] = []
    for number in range(commits):
        began = time.perf_counter_ns()
        await connection.execute("INSERT INTO bench_commits VALUES ($1)", number)
        samples.append((time.perf_counter_ns() - began) / 1e6)
    await connection.execute("DROP TABLE bench_commits")
    return samples


async def copied_per_s(connection: asyncpg.Connection[Any], points: int, rows_max: int) -> Raw:
    """Rows a second of ``COPY`` in binary form: as wide as events are, by a key, committed each thousand."""
    body = batch_body(0, points)
    count = min(rows_max, COPIED_BYTES_MAX // (len(body) + 400))
    await connection.execute(f"DROP TABLE IF EXISTS {_TABLE}")
    await connection.execute(
        f"CREATE TABLE {_TABLE} (LIKE runfold.events INCLUDING STORAGE, PRIMARY KEY (partition, pos))"
    )
    found = await connection.fetch(
        "SELECT attname FROM pg_attribute WHERE attrelid = $1::text::regclass AND attnum > 0 ORDER BY attnum",
        _TABLE,
    )
    columns = [row[0] for row in found]
    rows = [_event_row(columns, pos, body) for pos in range(count)]
    began = time.perf_counter()
    for start in range(0, count, ROWS_PER_COPY):
        await connection.copy_records_to_table(_TABLE, records=rows[start : start + ROWS_PER_COPY])
    rate = count / (time.perf_counter() - began)
    await connection.execute(f"DROP TABLE {_TABLE}")
    return Raw(f"COPY of rows with {len(body):,} bytes of body", rate)


def _event_row(columns: list[str], pos: int, body: bytes) -> tuple[Any, ...]:
    known: dict[str, Any] = {
        **dict.fromkeys(("occurred_at", "recorded_at"), time.time_ns() // 1_000),
        **dict.fromkeys(("stream_seq", "writer_seq", "pos"), pos),
        **dict.fromkeys(("partition", "slice", "data_version"), 1),
        **{name: uuid4() for name in ("id", "epoch", "writer_id")},
        **{name: os.urandom(32) for name in ("digest", "chain")},
        **dict.fromkeys(("actor", "actor_source", "door"), "kafka"),
        "type": "run.metrics_logged",
        "stream": f"bench/run/{uuid4()}",
        "content_type": "application/msgpack",
        "salt": os.urandom(16),
        "body": body,
    }
    return tuple(known.get(column) for column in columns)


async def produced_per_s(kafka: str, parts: Partitioned) -> float:
    """Records a second that aiokafka packs and the broker acknowledges, into a topic that nobody reads."""
    topic = f"bench-raw-{uuid4()}"
    admin = KafkaTopicAdmin(Cluster(bootstrap_servers=kafka))
    try:
        await admin.create(topic, PARTITIONS, 1, {})
    finally:
        await admin.stop()
    producer = await new_producer(kafka)
    try:
        firsts = {partition: records[:1] for partition, records in parts.items()}
        await send(
            producer, topic, packed(producer, firsts)
        )  # every partition has a leader now, and knows us
        began = time.perf_counter()
        await send(producer, topic, packed(producer, parts))
        return sum(map(len, parts.values())) / (time.perf_counter() - began)
    finally:
        await producer.stop()


def decoded_per_s(points: int, batches: int) -> float:
    """Batches a second through msgspec, nothing unpacked."""
    decoder = msgspec.msgpack.Decoder(MetricBatch)
    body = batch_body(0, points)
    began = time.perf_counter()
    for _ in range(batches):
        decoder.decode(body)
    return batches / (time.perf_counter() - began)


def commit_of(samples: list[float]) -> Raw:
    """The raw limit of a latency."""
    return Raw("Postgres: 1 row + durable commit, p50", percentile(samples, 0.5))
