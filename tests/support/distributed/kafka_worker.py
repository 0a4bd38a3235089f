"""A worker of the load that sends commands by Kafka, with another client library than the product's.

It sends so many commands a second until SIGTERM; then it waits until the broker has everything. With ``--patience-s``
it sends less while answers take longer than that, and does not catch up; without, it sends whatever happens. Some of
its records are no commands at all.
"""

from __future__ import annotations

import argparse
import random
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid4

import confluent_kafka
import msgspec

from tests.support.distributed import lives
from tests.support.distributed.journal import METRICS, JournalWriter
from tests.support.distributed.lives import Step

BURST_MAX: Final = 500  # commands between two looks at the clock
IN_FLIGHT_MAX: Final = 20_000
PAUSE_S: Final = 0.005
RUNS_AT_ONCE: Final = 24
BATCHES_PER_RUN: Final = (150, 1_500)
REPLY_EVERY: Final = 25  # commands for one that asks for an answer
GARBAGE_EVERY: Final = 150
Heard = tuple[
    str, int, str, float, list[str]
]  # stream, number, outcome, ms since it was sent, places of the events

FLUSH_S_MAX: Final = 60.0
REPLIES_S_MAX: Final = 3.0
REPLY_S_MAX: Final = 20.0  # replies are best effort


class Worker:
    """One writer, a new one for every process."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._luck = random.Random(options.seed)
        self._writer = uuid4()
        self._writer_text = str(self._writer).encode()
        self._is_told_to_stop = False
        signal.signal(signal.SIGTERM, self._stop)  # before the journal, which says that it has begun
        self._journal = JournalWriter(Path(options.journal), self._writer, "kafka")
        self._replies = _Replies(options.kafka, options.replies, self._writer)
        self._producer = confluent_kafka.Producer(
            {
                "bootstrap.servers": options.kafka,
                "acks": "all",
                "enable.idempotence": True,
                "partitioner": "murmur2_random",
                "message.timeout.ms": 0,  # the broker comes back
                "linger.ms": 5,
                "queue.buffering.max.messages": 2 * IN_FLIGHT_MAX,
                "reconnect.backoff.max.ms": 1_000,
                "log_level": 2,
            }
        )
        self._in_flight = 0
        self._sent = 0
        self._garbage = 0
        self._numbers: dict[str, int] = {}
        self._run_count = 0

    def run(self) -> None:
        """Work until told to stop."""
        experiment = f"{self._options.name}-{self._writer.hex[:6]}"
        self._send(
            lives.experiment_stream(experiment),
            Step("experiment.ensure", {"experiment": experiment}),
            asks=True,
        )
        while not self._replies.count and not self._is_told_to_stop:
            self._hear()
            time.sleep(PAUSE_S)
        steps = self._steps(experiment)
        due, then = 0.0, time.monotonic()
        while not self._is_told_to_stop:
            now = time.monotonic()
            due, then = self._due(due, now - then), now
            room = IN_FLIGHT_MAX - self._in_flight
            count = min(int(due), BURST_MAX, room)
            self._send_all(steps, count)
            due -= count
            self._hear()
            if due < BURST_MAX or room <= 0:
                time.sleep(PAUSE_S)
        self._end()

    def _due(self, due: float, passed_s: float) -> float:
        """How many commands are to be sent now."""
        rate, patience_s = self._options.rate, self._options.patience_s
        if patience_s is None:
            return float(due + passed_s * rate)
        if self._replies.oldest_s() > patience_s:
            return due
        return float(min(due + passed_s * rate, rate))

    def _stop(self, *_: object) -> None:
        self._is_told_to_stop = True

    def _end(self) -> None:
        end = time.monotonic() + FLUSH_S_MAX
        while self._in_flight and time.monotonic() < end:
            self._hear()
            time.sleep(PAUSE_S)
        end = time.monotonic() + REPLIES_S_MAX
        while time.monotonic() < end:
            self._hear()
            time.sleep(PAUSE_S)
        self._replies.close()
        self._journal.close()

    def _steps(self, experiment: str) -> Iterator[tuple[str, Step]]:
        """Commands of several runs by turns."""
        at_work = [self._next_life(experiment) for _ in range(RUNS_AT_ONCE)]
        while True:
            place = self._luck.randrange(RUNS_AT_ONCE)
            stream, steps = at_work[place]
            step = next(steps, None)
            if step is None:
                at_work[place] = self._next_life(experiment)
            else:
                yield stream, step

    def _next_life(self, experiment: str) -> tuple[str, Iterator[Step]]:
        self._run_count += 1
        run_id = f"{experiment}-{self._run_count}"
        batches = self._luck.randint(*BATCHES_PER_RUN)
        return lives.run_stream(run_id), lives.life(run_id, experiment, batches, self._luck)

    def _send_all(self, steps: Iterator[tuple[str, Step]], count: int) -> None:
        """Everything is in the journal before the first record is on its way."""
        records: list[dict[str, Any]] = []
        for _ in range(count):
            self._sent += 1
            if self._sent % GARBAGE_EVERY == 0:
                records.append(self._garbage_record())
            else:
                records.append(self._record(*next(steps), asks=self._sent % REPLY_EVERY == 0))
        self._journal.flush()
        for record in records:
            self._in_flight += 1
            self._producer.produce(self._options.topic, **record)

    def _send(self, stream: str, step: Step, *, asks: bool) -> None:
        record = self._record(stream, step, asks=asks)
        self._journal.flush()
        self._in_flight += 1
        self._producer.produce(self._options.topic, **record)

    def _record(self, stream: str, step: Step, *, asks: bool) -> dict[str, Any]:
        number = self._numbers[stream] = self._numbers.get(stream, 0) + 1
        self._journal.sends(stream, number, step.name, step.batch, step.content)
        number_text = str(number).encode()
        headers = [
            ("ce_specversion", b"1.0"),
            ("ce_type", f"dev.runfold.{step.type}.v1".encode()),
            ("ce_source", f"/workspaces/{lives.WORKSPACE}".encode()),
            ("ce_subject", stream.rsplit("/", 1)[1].encode()),
            ("ce_id", self._writer_text + b":" + number_text),
            ("ce_time", datetime.now(UTC).isoformat().encode()),
            ("ce_partitionkey", stream.encode()),
            ("ce_writerid", self._writer_text),
            ("ce_writerseq", number_text),
            ("content-type", b"application/json"),
        ]
        if asks:
            self._replies.expect(stream, number)
            headers.append(("reply_to", self._options.replies.encode()))

        def kept(error: Any, message: Any) -> None:
            self._in_flight -= 1
            if error is None:
                self._journal.kept(stream, number, message.partition(), message.offset())

        return {
            "key": stream.encode(),
            "value": step.batch if step.name == METRICS else lives.command_json(step),
            "headers": headers,
            "on_delivery": kept,
        }

    def _garbage_record(self) -> dict[str, Any]:
        self._garbage += 1
        number = self._garbage
        self._journal.sends_garbage(number)

        def kept(error: Any, message: Any) -> None:
            self._in_flight -= 1
            if error is None:
                self._journal.kept_garbage(number, message.partition(), message.offset())

        return {"key": None, "value": garbage(self._writer, number), "on_delivery": kept}

    def _hear(self) -> None:
        self._producer.poll(0)
        for answer in self._replies.heard():
            self._journal.answered(*answer)
        self._journal.flush()


def garbage(writer: UUID, number: int) -> bytes:
    """A record's value that is no command."""
    return f"garbage {writer} {number}".encode()


class _Replies:
    """Answers that the ledger sent to this worker's own topic."""

    def __init__(self, kafka: str, topic: str, writer: UUID) -> None:
        self.count = 0
        self._expected: dict[tuple[bytes, int], float] = {}  # when it was sent
        self._writer = str(writer).encode()
        self._consumer = confluent_kafka.Consumer(
            {
                "bootstrap.servers": kafka,
                "group.id": str(uuid4()),
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "reconnect.backoff.max.ms": 1_000,
                "log_level": 2,
            }
        )
        self._consumer.assign([confluent_kafka.TopicPartition(topic, 0, confluent_kafka.OFFSET_BEGINNING)])

    def expect(self, stream: str, number: int) -> None:
        self._expected[stream.encode(), number] = time.monotonic()

    def oldest_s(self) -> float:
        """How long the oldest answer that is still expected has taken; one that was lost is given up."""
        while self._expected:
            key, since = next(iter(self._expected.items()))
            age_s = time.monotonic() - since
            if age_s < REPLY_S_MAX:
                return age_s
            del self._expected[key]
        return 0.0

    def heard(self) -> Iterator[Heard]:
        """What has come."""
        messages: list[Any] = self._consumer.consume(1_000, 0)
        for message in messages:
            if message.error() is not None:
                continue
            headers = {str(name): value for name, value in message.headers() or ()}
            key, number = message.key() or b"", int(headers.get("ce_writerseq") or 0)
            since = self._expected.pop((key, number), None)
            if since is None or headers.get("ce_writerid") != self._writer:
                continue  # another writer's, or heard before
            answer = msgspec.json.decode(message.value() or b"{}")
            self.count += 1
            ms = 1_000 * (time.monotonic() - since)
            yield key.decode(), number, outcome_of(answer), ms, places_of(answer)

    def close(self) -> None:
        self._consumer.close()


def outcome_of(answer: dict[str, Any]) -> str:
    """``accepted`` or the code of a refusal."""
    return str(answer["code"]) if answer["outcome"] == "refused" else "accepted"


def places_of(answer: dict[str, Any]) -> list[str]:
    """Where the answer says that its events are."""
    event = answer.get("event")
    events = answer.get("events", ()) if event is None else [event]
    return [f"{found['partition']}:{found['pos']}:{found['id']}" for found in events]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kafka", required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--replies", required=True)
    parser.add_argument("--journal", required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--patience-s", type=float)
    parser.add_argument("--seed", type=int, default=1)
    Worker(parser.parse_args()).run()


if __name__ == "__main__":
    main()
