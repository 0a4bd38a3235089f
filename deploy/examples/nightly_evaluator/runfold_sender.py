"""Commands to runfold by Kafka, and what became of them.

Knows the published contract (docs/integration.md, docs/contract/) and confluent-kafka, and nothing else of runfold.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID, uuid4, uuid5

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

RUNFOLD: Final = UUID("5c1f3a52-7f0e-5b61-9a38-2d1f6f0c6e11")  # the namespace of ids that runfold derives
COMMAND_BYTES_MAX: Final = 5 * 1024 * 1024
KAFKA_S_MAX: Final = 10.0

Body = dict[str, Any]


class NotAnswered(Exception):
    """No reply came. The commands may have taken effect all the same: send them again under the same numbers."""


class NotRecorded(Exception):
    """The command is malformed, or names what does not exist. It has used no number."""


@dataclass(frozen=True)
class Command:
    """A command on its way: everything that makes a repetition the same command."""

    stream: str
    number: int
    type: str
    body: Body

    @property
    def key(self) -> tuple[str, int]:
        """What a reply is told from others by, beside the writer."""
        return self.stream, self.number


@dataclass(frozen=True)
class Reply:
    """What became of a command."""

    outcome: str  # accepted | refused
    repeated: bool = False
    code: str = ""
    message: str = ""
    facts: Body = field(default_factory=dict)
    events: tuple[str, ...] = ()  # types; none: accepted and nothing to change

    @property
    def is_accepted(self) -> bool:
        return self.outcome == "accepted"


class Sender:
    """One writer. Its commands are numbered from 1 on each stream, in the order in which they are made."""

    def __init__(
        self,
        kafka: str,
        *,
        workspace: str,
        writer_id: UUID,
        reply_topic: str,
        commands_topic: str = "runfold.commands",
        settings: Mapping[str, str] | None = None,
        answer_s: float = 5.0,
        tries: int = 6,
    ) -> None:
        """
        Args:
            kafka: bootstrap servers.
            workspace: where the runs are.
            writer_id: a new one for each process, unless the process sends the same commands whenever it is started.
            reply_topic: a topic of ours, which exists; its name begins with ``runfold.replies.``.
            commands_topic: runfold's.
            settings: more of librdkafka's settings, such as credentials.
            answer_s: how long to wait for replies before the same commands are sent again.
            tries: how often to send.
        """
        client = {"bootstrap.servers": kafka, **(settings or {})}
        self.workspace = workspace
        self.writer_id = writer_id
        self._topic = commands_topic
        self._reply_topic = reply_topic
        self._answer_s = answer_s
        self._tries = tries
        self._numbers: Counter[str] = Counter()
        self._producer = Producer(
            {
                **client,
                "partitioner": "murmur2_random",  # where runfold looks for a stream's commands
                "enable.idempotence": True,  # commands of a stream stay in order, whatever the network does
                "message.max.bytes": COMMAND_BYTES_MAX + 64 * 1024,
                "message.timeout.ms": round(KAFKA_S_MAX * 1_000),
            }
        )
        self._consumer = Consumer(
            {**client, "group.id": f"{reply_topic}.{writer_id}", "enable.auto.commit": False}
        )
        self._listen()

    def _listen(self) -> None:
        """Read replies that come from now on. No group: every sender reads all, and knows its own."""
        topic = self._consumer.list_topics(self._reply_topic, timeout=KAFKA_S_MAX).topics[self._reply_topic]
        if topic.error is not None:
            raise KafkaException(topic.error)
        places = [TopicPartition(self._reply_topic, number) for number in topic.partitions]
        for place in places:
            place.offset = self._consumer.get_watermark_offsets(place, timeout=KAFKA_S_MAX)[1]
        self._consumer.assign(places)

    def close(self) -> None:
        """Stop listening."""
        self._consumer.close()

    # Commands

    def on_experiment(self, name: str, command_type: str, **fields: Any) -> Command:
        """A command whose stream is an experiment."""
        experiment_id = uuid5(RUNFOLD, f"experiment\0{self.workspace}\0{name}")
        body = {"type": command_type, "experiment": name, **fields}
        return self._numbered(f"{self.workspace}/experiment/{experiment_id}", command_type, body)

    def on_run(self, run_id: str, command_type: str, **fields: Any) -> Command:
        """A command whose stream is a run."""
        body = {"type": command_type, "run_id": run_id, **fields}
        return self._numbered(f"{self.workspace}/run/{run_id}", command_type, body)

    def metrics(self, run_id: str, series: Sequence[Body]) -> Command:
        """A batch of points. Its value is the batch alone: headers say the rest."""
        return self._numbered(f"{self.workspace}/run/{run_id}", "run.log_metrics", {"series": list(series)})

    def _numbered(self, stream: str, command_type: str, body: Body) -> Command:
        self._numbers[stream] += 1
        return Command(stream, self._numbers[stream], command_type, body)

    # Sending

    def send(self, *commands: Command) -> list[Reply]:
        """Send commands and wait for what became of each; replies in the same order.

        What is not answered in time is sent again as it is. A command takes effect once however often it comes, and a
        repetition gets the first answer.

        Raises:
            NotAnswered: no reply, after all tries.
            NotRecorded: a command was refused without an event.
        """
        replies: dict[tuple[str, int], Reply] = {}
        for _ in range(self._tries):
            missing = [command for command in commands if command.key not in replies]
            if missing:
                self._produce(missing)
                self._read_replies(commands, replies)
        missing = [command for command in commands if command.key not in replies]
        if missing:
            raise NotAnswered(
                f"no reply to command {missing[0].number} on {missing[0].stream} of writer {self.writer_id}; ask "
                "GET /api/v1/outcomes, or start again"
            )
        return [replies[command.key] for command in commands]

    def _produce(self, commands: Sequence[Command]) -> None:
        failures: list[KafkaError] = []

        def told(error: KafkaError | None, message: Message) -> None:
            if error is not None:
                failures.append(error)

        for command in commands:
            self._producer.produce(
                self._topic,
                key=command.stream,
                value=json.dumps(command.body, allow_nan=False).encode(),
                headers=self._headers(command),
                on_delivery=told,
            )
        self._producer.flush(2 * KAFKA_S_MAX)
        # What did not arrive in time is not answered either, and sent again. Anything else will not get better.
        for error in failures:
            if error.code() != KafkaError._MSG_TIMED_OUT:
                raise KafkaException(error)

    def _headers(self, command: Command) -> list[tuple[str, str | bytes | None]]:
        return [
            ("ce_specversion", "1.0"),
            ("ce_type", f"dev.runfold.{command.type}.v1"),
            ("ce_source", f"/workspaces/{self.workspace}"),
            ("ce_subject", command.stream.split("/", 2)[2]),
            ("ce_id", str(uuid4())),
            ("ce_time", datetime.now(UTC).isoformat()),
            ("ce_partitionkey", command.stream),
            ("ce_writerid", str(self.writer_id)),
            ("ce_writerseq", str(command.number)),
            ("reply_to", self._reply_topic),
            ("content-type", "application/json"),
        ]

    def _read_replies(self, commands: Sequence[Command], replies: dict[tuple[str, int], Reply]) -> None:
        """Add to ``replies`` what is said of ``commands`` until all are answered or time is up."""
        wanted = {command.key: command for command in commands}
        end = time.monotonic() + self._answer_s
        while len(replies) < len(wanted) and time.monotonic() < end:
            message = self._consumer.poll(0.1)
            if message is None or message.error() is not None:
                continue
            headers = dict(message.headers() or ())
            key = (message.key() or b"").decode(), int(headers.get("ce_writerseq") or 0)
            if headers.get("ce_writerid") == str(self.writer_id).encode() and key in wanted:
                replies[key] = _reply(wanted[key], json.loads(message.value() or b"{}"))


def _reply(command: Command, said: Body) -> Reply:
    if said["outcome"] == "refused" and "event" not in said:
        raise NotRecorded(f"{command.type}: {said['message']} ({said['code']})")
    return Reply(
        outcome=said["outcome"],
        repeated=said.get("repeated", False),
        code=said.get("code", ""),
        message=said.get("message", ""),
        facts=said.get("facts", {}),
        events=tuple(event["type"] for event in said.get("events", ())),
    )
