"""runfold as it is deployed, and the example services as programs beside it that know no more than the contract."""

from __future__ import annotations

import os
import secrets
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from runfold_events.contract.cloudevents import Record
from runfold_services.compose.admin import prepare_ledger
from tests.support.http_server import Client
from tests.support.repository import ON_WHEEL, ROOT, SOURCE_ROOTS
from tests.support.stack import StackForTest, run_apart

EXAMPLES: Final = ROOT / "deploy" / "examples"
EVALUATE: Final = EXAMPLES / "nightly_evaluator" / "evaluate.py"
FOLLOW: Final = EXAMPLES / "completed_runs" / "follow.py"
WAIT_S: Final = 100.0
PARTITIONS: Final = 4
W: Final = "/api/v1/workspaces/default"
READY: Final = "runfold ready at "


def until(condition: Callable[[], Any], what: str, wait_s: float = WAIT_S) -> Any:
    """The first value of ``condition`` that is not false; fails naming ``what``."""
    end = time.monotonic() + wait_s
    while not (found := condition()):
        assert time.monotonic() < end, f"{what}: not within {wait_s:g} s"
        time.sleep(0.05)
    return found


class Program:
    """A process of ours whose lines are read as they come; killed at the end of its block."""

    def __init__(self, command: Sequence[object], **environment: str) -> None:
        env = {**os.environ, "PYTHONUNBUFFERED": "1", **environment}
        if not ON_WHEEL:
            env["PYTHONPATH"] = os.pathsep.join(str(ROOT / root) for root in SOURCE_ROOTS)
        self.process = subprocess.Popen(
            [str(word) for word in command],
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: list[str] = []
        self._news = threading.Condition()
        self._read_so_far = 0
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        self.end()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as output:
            for line in output:
                with self._news:
                    self.lines.append(line.rstrip("\n"))
                    self._news.notify_all()

    def wait_for(self, text: str) -> str:
        """The next line that holds ``text``."""

        def found() -> bool:
            while self._read_so_far < len(self.lines):
                self._read_so_far += 1
                if text in self.lines[self._read_so_far - 1]:
                    return True
            return not self._reader.is_alive()

        with self._news:
            self._news.wait_for(found, WAIT_S)
            line = self.lines[self._read_so_far - 1] if self.lines else ""
        assert text in line, (text, self.lines)
        return line

    def kill(self) -> None:
        """End it as a power cut does."""
        self.process.send_signal(signal.SIGKILL)
        self.end()

    def end(self) -> int:
        """Wait for the end; the exit code."""
        try:
            code = self.process.wait(WAIT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        finally:
            self._reader.join(WAIT_S)
        return code


class World:
    """One store, its topics, and how the examples are told of them."""

    def __init__(self, kafka: str, prefix: str, api: str) -> None:
        self.kafka = kafka
        self.prefix = prefix
        self.api = api
        self.events_topic = f"{prefix}.events"
        self.commands_topic = f"{prefix}.commands"
        self.reply_topic = f"runfold.replies.{prefix}"
        self.admin: Any = AdminClient({"bootstrap.servers": kafka})

    # Topics

    def make_topic(self, name: str) -> None:
        for future in self.admin.create_topics([NewTopic(name, 2, 1)]).values():
            future.result(WAIT_S)

    def records(self, topic: str) -> list[Any]:
        """Everything that a topic holds now, partition by partition."""
        consumer = Consumer({"bootstrap.servers": self.kafka, "group.id": "t", "enable.auto.commit": False})
        with closing(consumer):
            numbers = sorted(consumer.list_topics(topic, timeout=WAIT_S).topics[topic].partitions)
            bounds = {
                n: consumer.get_watermark_offsets(TopicPartition(topic, n), timeout=WAIT_S) for n in numbers
            }
            left = {number: end for number, (begin, end) in bounds.items() if begin < end}
            consumer.assign([TopicPartition(topic, number, bounds[number][0]) for number in left])
            found: list[Any] = []
            while left:
                message = consumer.poll(WAIT_S)
                assert message is not None
                assert message.error() is None
                number, offset = message.partition() or 0, message.offset() or 0
                if number in left and offset < left[number]:
                    found.append(message)
                if offset + 1 >= left.get(number, 0):
                    left.pop(number, None)
            return sorted(found, key=lambda m: (m.partition(), m.offset()))

    def delete_records(self, topic: str, partition: int, before: int) -> None:
        """As retention does: offsets up to before ``before`` are gone."""
        asked = self.admin.delete_records([TopicPartition(topic, partition, before)])
        for future in asked.values():
            future.result(WAIT_S)

    def put(self, topic: str, partition: int, *records: Record) -> None:
        """Records as they are."""
        producer = Producer({"bootstrap.servers": self.kafka})
        failed: list[Any] = []
        for record in records:
            producer.produce(
                topic,
                record.value,
                record.key,
                partition,
                headers=list(record.headers),
                on_delivery=lambda error, _: failed.append(error) if error else None,
            )
        assert producer.flush(WAIT_S) == 0
        assert failed == []

    # Examples

    def evaluate(self, predictions: Path, *more: str, model: str = "churn") -> Program:
        """The nightly evaluator."""
        told = [
            "--kafka",
            self.kafka,
            "--commands-topic",
            self.commands_topic,
            "--reply-topic",
            self.reply_topic,
        ]
        work = [predictions, "--model", model, "--night", "2026-01-31"]
        return Program([sys.executable, EVALUATE, *work, *told, *more])

    def follow(self, database: Path, *more: str) -> Program:
        """The keeper of completed runs; each folder has a group of its own."""
        group = ["--group", f"{self.prefix}.{database.parent.name}", "--set", "session.timeout.ms=3000"]
        told = ["--kafka", self.kafka, "--events-topic", self.events_topic, "--api", self.api]
        return Program([sys.executable, FOLLOW, "--database", database, *told, *group, *more])


def completed(database: Path) -> dict[str, int]:
    """The view's rows: run numbers by run id."""
    with closing(sqlite3.connect(database, timeout=30)) as db:
        if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'completed_run'").fetchone():
            return {}
        rows = db.execute("SELECT stream, number FROM completed_run ORDER BY stream").fetchall()
    return {stream.split("/", 2)[2]: number for stream, number in rows}


class Runs:
    """Runs made over HTTP, as other users of the same server do."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._client.post(f"{W}/experiments", {"experiment": "others"})

    def complete(self, *run_ids: str) -> None:
        """Make runs and complete them."""
        for run_id in run_ids:
            assert self._client.post(f"{W}/runs", {"experiment": "others", "run_id": run_id}).status == 201
            assert self._client.post(f"{W}/runs/{run_id}/complete", {}).status == 200

    def erase(self, run_id: str) -> None:
        """Erase a run."""
        assert self._client.request("DELETE", f"{W}/runs/{run_id}", None, {}).status == 200

    def events(self, partition: int) -> list[Any]:
        """All recorded events of a partition."""
        events: list[Any] = []
        while page := self._client.get(
            f"/api/v1/events?partition={partition}&from={len(events)}&limit=1000"
        ).json["events"]:
            events += page
        return events

    def completed(self) -> dict[str, int]:
        """What the store says, folded here: run numbers of completed runs by run id."""
        numbers: dict[str, int] = {}
        found: dict[str, int] = {}
        for event in (event for number in range(PARTITIONS) for event in self.events(number)):
            run_id = event["stream"].split("/")[-1]
            if event["type"] == "run.created" and event["body"] is not None:
                numbers[run_id] = event["body"]["number"]
            elif event["type"] == "run.completed" and event["body"] is not None:
                found[run_id] = numbers[run_id]
        return found


@contextmanager
def serving(stack: StackForTest) -> Generator[World]:
    """``runfold up`` over Kafka and Postgres: one process of each role, as users start them."""
    prefix = f"t{secrets.token_hex(5)}"
    dsn = stack.database()
    run_apart(lambda: prepare_ledger(dsn, partitions=PARTITIONS))
    command = [sys.executable, "-m", "runfold.cli.main", "up", "--port", "0"]
    places = ["--kafka", stack.kafka, "--postgres", dsn]
    with Program([*command, *places], RUNFOLD_KAFKA_PREFIX=prefix) as program:
        url = program.wait_for(READY).removeprefix(READY).strip()
        yield World(stack.kafka, prefix, url)
