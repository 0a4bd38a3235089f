"""The roles between Kafka and Postgres: decider and relay. Needs the extra ``server``."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from uuid import uuid4

from runfold_events.buses.kafka import (
    Cluster,
    Group,
    KafkaCommandSource,
    KafkaEventSink,
    KafkaReplyTopics,
    KafkaTopicAdmin,
)
from runfold_events.ids_source import SystemIds
from runfold_events.ledger import Ledger
from runfold_events.log_door import LogDoor
from runfold_events.stores.postgres import PostgresStore
from runfold_services.compose.cluster import cluster_of
from runfold_services.compose.postgres import open_store
from runfold_services.decider import Decider, DeciderSettings
from runfold_services.kafka_settings import KafkaSettings
from runfold_services.postgres_settings import PostgresSettings
from runfold_services.relay import Relay, RelaySettings
from runfold_services.replies import Replies
from runfold_services.roles import DeciderRole, RelayRole
from runfold_services.topics import Topic, commands_topic, ensure_topic, events_topic


@asynccontextmanager
async def open_decider(
    postgres: PostgresSettings, kafka: KafkaSettings, settings: DeciderSettings | None = None
) -> AsyncGenerator[DeciderRole]:
    """A decider, not started; its connections are closed at the end of the block.

    Raises:
        Invalid: the database holds no store.
        TopicDisagrees: the command topic is not as it must be.
        Unavailable: Postgres or Kafka does not answer.
    """
    async with _store_and_topic(postgres, kafka, commands_topic) as (store, cluster):
        source = KafkaCommandSource(
            cluster,
            kafka.commands_topic,
            store.partitions,
            Group(name=kafka.group, instance_id=kafka.instance_id),
        )
        door = LogDoor(Ledger(store, SystemIds()), kafka.actor_of, uuid4())
        replies = Replies(KafkaReplyTopics(cluster))
        settings = settings or DeciderSettings(adopts_log=kafka.adopts_log)
        yield DeciderRole(Decider(source, store, door, replies, settings), replies.counts)


@asynccontextmanager
async def open_relay(
    postgres: PostgresSettings, kafka: KafkaSettings, settings: RelaySettings | None = None
) -> AsyncGenerator[RelayRole]:
    """A relay, not started; its connections are closed at the end of the block.

    Raises:
        Invalid: the database holds no store.
        TopicDisagrees: the event topic is not as it must be.
        Unavailable: Postgres or Kafka does not answer.
    """
    async with _store_and_topic(postgres, kafka, events_topic) as (store, cluster):
        sink = KafkaEventSink(cluster, kafka.events_topic, store.partitions)
        yield RelayRole(Relay(store, sink, settings))


@asynccontextmanager
async def _store_and_topic(
    postgres: PostgresSettings, kafka: KafkaSettings, topic_of: Callable[[KafkaSettings, int], Topic]
) -> AsyncGenerator[tuple[PostgresStore, Cluster]]:
    """The open store, and the way to the cluster, where the topic is as it must be."""
    async with open_store(postgres.dsn, connections_max=postgres.connections_max) as store:
        cluster = cluster_of(kafka)
        admin = KafkaTopicAdmin(cluster)
        try:
            await ensure_topic(admin, topic_of(kafka, store.partitions), makes=kafka.makes_topics)
        finally:
            await admin.stop()
        yield store, cluster
