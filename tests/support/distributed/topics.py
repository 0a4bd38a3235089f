"""The two topics, read by a plain consumer of another library, against the store."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any, Final
from uuid import UUID, uuid4

import confluent_kafka
import msgspec

from tests.support.distributed.effects import UNREADABLE, EffectsCheck
from tests.support.distributed.findings import LOG, TOPIC, Findings
from tests.support.distributed.stored import Stored

READ_S_MAX: Final = 60.0
COMPARED: Final = ("key", "id", "type", "number", "epoch", "digest", "value")
BATCH: Final = 5_000
READ_AT_ONCE_S: Final = 0.1
PASSING: Final = frozenset(
    {
        confluent_kafka.KafkaError.NOT_LEADER_FOR_PARTITION,
        confluent_kafka.KafkaError.LEADER_NOT_AVAILABLE,
        confluent_kafka.KafkaError._TRANSPORT,
    }
)

Effect = tuple[str, str, int]  # stream, writer, number; of a record that is no command: "", "", offset


class Topics:
    """Reads whole partitions."""

    def __init__(self, kafka: str, *, commands: str, events: str) -> None:
        self._events = events
        self._commands = commands
        self._consumer = confluent_kafka.Consumer(
            {
                "bootstrap.servers": kafka,
                "group.id": str(uuid4()),
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "enable.partition.eof": True,
                "log_level": 2,
            }
        )

    def close(self) -> None:
        self._consumer.close()

    def command_bounds(self, partition: int) -> tuple[int, int]:
        """The first offset that the command log keeps, and its end."""
        return self._bounds(self._commands, partition)

    def event_bounds(self, partition: int) -> tuple[int, int]:
        """The same of the events topic."""
        return self._bounds(self._events, partition)

    def _bounds(self, topic: str, partition: int) -> tuple[int, int]:
        """A broker that has just come back may have no leaders for a moment."""
        place = confluent_kafka.TopicPartition(topic, partition)
        deadline = time.monotonic() + READ_S_MAX
        while True:
            try:
                found: tuple[int, int] = self._consumer.get_watermark_offsets(place, timeout=READ_S_MAX)
            except confluent_kafka.KafkaException as error:
                if error.args[0].code() not in PASSING or time.monotonic() > deadline:
                    raise
                time.sleep(READ_AT_ONCE_S)
            else:
                return found

    def read_events(self, partition: int) -> tuple[int, Iterator[Any]]:
        """Where the events topic begins, and its records."""
        return self.event_bounds(partition)[0], self._read(self._events, partition)

    def read_commands(self, partition: int) -> tuple[int, int, Iterator[Any]]:
        """Where the command log begins and ends, and its records."""
        return *self.command_bounds(partition), self._read(self._commands, partition)

    def _read(self, topic: str, partition: int) -> Iterator[Any]:
        begin, end = self._bounds(topic, partition)
        if begin == end:
            return
        self._consumer.assign([confluent_kafka.TopicPartition(topic, partition, begin)])
        deadline = time.monotonic() + READ_S_MAX
        try:
            while True:
                messages = self._consumer.consume(BATCH, READ_AT_ONCE_S)
                if messages:
                    deadline = time.monotonic() + READ_S_MAX
                for message in messages:
                    error = message.error()
                    if error is None:
                        yield message
                    elif error.code() == confluent_kafka.KafkaError._PARTITION_EOF:
                        return
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{topic} {partition}: nothing more within {READ_S_MAX:g} s")
        finally:
            self._consumer.unassign()


def check_events(
    topics: Topics, partition: int, events: Sequence[Stored], findings: Findings, *, may_begin_late: bool
) -> tuple[int, int]:
    """What the topic retains must be the store's events without a hole once repeats are dropped, up to the last.

    Returns how many records there are, and how many of them were repeats.
    """
    begin, records = topics.read_events(partition)
    highest: int | None = None
    count = repeats = 0
    for record in records:
        count += 1
        headers: dict[str, bytes] = dict(record.headers())
        pos = int(headers["ce_sequence"])
        where = f"events {partition}, offset {record.offset()}"
        if pos >= len(events):
            findings.add(TOPIC, f"{where}: position {pos}, the store ends at {len(events)}")
            continue
        _check_record(record, headers, events[pos], where, findings)
        if highest is None:
            if begin == 0 and pos != 0:
                findings.add(TOPIC, f"{where}: the topic begins at position {pos}")
        elif pos <= highest:
            repeats += 1
            continue
        elif pos != highest + 1:
            findings.add(TOPIC, f"{where}: position {pos} after {highest}")
        highest = pos
    if highest is None and (begin == 0 and events):
        findings.add(TOPIC, f"events {partition}: empty, the store has {len(events)} events")
    elif highest is not None and highest != len(events) - 1:
        findings.add(TOPIC, f"events {partition}: ends at position {highest} of {len(events) - 1}")
    if begin and not may_begin_late:
        findings.add(TOPIC, f"events {partition}: begins at offset {begin}, nobody removed anything")
    return count, repeats


def _check_record(
    record: Any, headers: dict[str, bytes], event: Stored, where: str, findings: Findings
) -> None:
    said = (
        record.key().decode(),
        UUID(headers["ce_id"].decode()),
        headers["ce_type"].decode(),
        int(headers["ce_streamseq"]),
        headers["ce_epoch"].decode(),
        headers["ce_digest"].decode(),
        record.value(),
    )
    stored = (
        event.stream,
        event.id,
        f"dev.runfold.{event.type}.v1",
        event.stream_seq,
        str(event.epoch),
        event.digest.hex(),
        event.body,
    )
    for name, there, here in zip(COMPARED, said, stored, strict=True):
        if there != here:
            findings.add(TOPIC, f"{where}: its {name} is {str(there)[:60]}, the store has {str(here)[:60]}")


def check_commands(
    topics: Topics,
    partition: int,
    next_offset: int,
    events: Sequence[Stored],
    effects: EffectsCheck,
    findings: Findings,
) -> int:
    """The events of the Kafka door must be what the log says, each record once, in its order; returns its length."""
    begin, end, records = topics.read_commands(partition)
    if next_offset != end:
        findings.add(LOG, f"partition {partition}: the cursor is {next_offset}, the log ends at {end}")
    wanted = [effect for record in records if (effect := _effect_of_record(record, effects)) is not None]
    found = list(_effects_of_store(events))
    if begin and wanted and wanted[0] in found:  # what came before was removed from the log
        found = found[found.index(wanted[0]) :]
    if wanted != found:
        place = next(
            (i for i, (a, b) in enumerate(zip(wanted, found, strict=False)) if a != b),
            min(len(wanted), len(found)),
        )
        there = wanted[place] if place < len(wanted) else "nothing more"
        here = found[place] if place < len(found) else "nothing more"
        findings.add(
            LOG, f"partition {partition}: record {place} of the log is {there}, the store did {here}"
        )
    return end - begin


def _effect_of_record(record: Any, effects: EffectsCheck) -> Effect | None:
    if record.key() is None:
        return "", "", record.offset()
    headers: dict[str, bytes] = dict(record.headers())
    stream, writer = record.key().decode(), headers["ce_writerid"].decode()
    number = int(headers["ce_writerseq"])
    return None if effects.is_silent(stream, UUID(writer), number) else (stream, writer, number)


def _effects_of_store(events: Sequence[Stored]) -> Iterator[Effect]:
    last: dict[str, Effect] = {}
    for event in events:
        if event.type == UNREADABLE:
            yield "", "", msgspec.json.decode(event.body)["offset"]
        elif event.door == "kafka":
            effect = (event.stream, str(event.writer_id), event.writer_seq)
            if last.get(event.stream) != effect:
                yield effect
            last[event.stream] = effect
