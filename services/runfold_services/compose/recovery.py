"""What a person does after something went wrong: ask Kafka whether a store was set back, send records again."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

from msgspec import Struct

from runfold_events.buses.kafka import Group, KafkaCommandSource, KafkaEventSink, KafkaTopicAdmin
from runfold_events.buses.kafka.sender import Sender
from runfold_events.contract.cloudevents import Record
from runfold_events.contract.errors import Invalid
from runfold_events.contract.ids import is_system_stream, partition_of, split_stream
from runfold_events.log_door import UNREADABLE_BYTES_MAX
from runfold_events.log_ports import CommandSource, EventSink, LogMismatch, LogStore
from runfold_events.stores.postgres import PostgresStore
from runfold_events.unreadable import EntryRecord, redrive_headers
from runfold_services.compose.cluster import cluster_of
from runfold_services.kafka_settings import KafkaSettings
from runfold_services.log_checks import RESTORED, CommandLog, check_commands, marked_offset, resume_position
from runfold_services.topics import TopicDisagrees

DEADLINE_S: Final = 30.0


# Was the store set back?


async def signs_of_restore(dsn: str, settings: KafkaSettings) -> list[str]:
    """What Kafka knows of the store that the store does not: it was set back. Empty when they agree.

    Raises:
        Invalid: there is no store.
        Unavailable: one of the two does not answer.
    """
    store = await PostgresStore.open(dsn, connections_max=1)
    try:
        cluster = cluster_of(settings)
        group = Group(name=settings.group)
        source = KafkaCommandSource(cluster, settings.commands_topic, store.partitions, group)
        sink = KafkaEventSink(cluster, settings.events_topic, store.partitions)
        try:
            return [
                sign
                for number in range(store.partitions)
                for sign in await _signs(store, source, sink, number)
            ]
        finally:
            await source.stop()
            await sink.stop()
    finally:
        await store.close()


async def _signs(store: LogStore, source: CommandSource, sink: EventSink, partition: int) -> list[str]:
    """As decider and relay ask when they start; of what they find, this is about a restore alone."""
    signs: list[str] = []
    try:
        committed = (await source.committed()).get(partition)
        row = (await store.rows())[partition]
        bounds = (await source.bounds())[partition]
        offset = marked_offset(row, bounds)
        record = None if offset is None else await source.record_at(partition, offset)
        check_commands(row, CommandLog(bounds, record, committed), store.epoch)
    except LogMismatch as error:
        signs += [error.message] if error.code == RESTORED else []
    try:
        noted = (await store.published())[partition]
        await resume_position(store, partition, await sink.last(partition), noted=noted)
    except LogMismatch as error:
        signs += [error.message] if error.code == RESTORED else []
    return [sign.partition(". Run ")[0] for sign in signs]


# Sending again


class Sent(Struct, frozen=True):
    """Where a record is now that was sent again."""

    partition: int
    offset: int


class Redriver:
    """Sends records again into the command topic, into the partition that their key belongs to."""

    def __init__(self, sender: Sender, topic: str, partitions: int) -> None:
        self._sender = sender
        self._topic = topic
        self._partitions = partitions

    async def send(self, record: EntryRecord) -> Sent:
        """Send one; returns when the broker keeps it.

        Raises:
            Invalid: there is nothing that could be sent.
            Unavailable: the broker did not answer in time. It may be there all the same, which does no harm.
        """
        check_can_be_sent(record)
        again = Record(record.key or b"", record.value or b"", redrive_headers(record))
        return Sent(*(await self._sender.send(self._topic, self._partition(record), [again]))[0])

    def _partition(self, record: EntryRecord) -> int:
        """Where the stream of its key belongs; a key that names no stream stays where it was."""
        try:
            stream = (record.key or b"").decode()
            split_stream(stream)
        except ValueError:
            return record.entry.partition
        return record.entry.partition if is_system_stream(stream) else partition_of(stream, self._partitions)


def check_can_be_sent(record: EntryRecord) -> None:
    """Raise :class:`Invalid` for an entry that keeps no whole record."""
    entry = record.entry
    if entry.kind == "lost":
        raise Invalid(
            f"{entry.name} is a loss, not a record: what is gone cannot be sent again",
            facts={"name": entry.name},
        )
    if entry.is_cut:
        raise Invalid(
            f"{entry.name} was too large to be kept whole ({entry.facts.get('record_bytes')} bytes), so it cannot be "
            "sent again: its sender has to send it in smaller commands",
            facts={"name": entry.name, "size": entry.facts.get("record_bytes")},
        )


@asynccontextmanager
async def open_redriver(settings: KafkaSettings, partitions: int | None) -> AsyncGenerator[Redriver]:
    """Something that sends records again.

    Args:
        settings: the cluster and the topic.
        partitions: P, where it is known; the topic must have as many.

    Raises:
        TopicDisagrees: there is no such topic, or it has another number of partitions.
        Unavailable: Kafka does not answer.
    """
    cluster, topic = cluster_of(settings), settings.commands_topic
    admin = KafkaTopicAdmin(cluster)
    try:
        found = await admin.describe(topic)
    finally:
        await admin.stop()
    if found is None or partitions not in (None, found.partitions):
        have = (
            "does not exist"
            if found is None
            else f"has {found.partitions} partitions, the store {partitions}"
        )
        raise TopicDisagrees(
            f"topic {topic} {have}; is it the right cluster and prefix?", facts={"topic": topic}
        )
    sender = Sender(cluster, UNREADABLE_BYTES_MAX, DEADLINE_S)
    try:
        yield Redriver(sender, topic, found.partitions)
    finally:
        await sender.stop()
