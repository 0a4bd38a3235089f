"""The topics as code: what they must be, and a check that they are.

A topic with another number of partitions would put commands where no store partition looks for them; one that is
compacted would lose them; one that takes larger records than events may have could never be published. So whoever
needs a topic makes it if it is missing, and refuses to start when it is not as it must be.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from runfold_events.contract import limits
from runfold_events.contract.errors import RunfoldError
from runfold_events.log_ports import TopicAdmin, TopicState
from runfold_services.kafka_settings import KafkaSettings

# The broker measures whole batches: what the record format adds, and room for senders that compress nothing.
BATCH_OVERHEAD_BYTES: Final = 64 * 1024


class TopicDisagrees(RunfoldError):
    """A topic is not as it must be; the message names topic, setting and both values."""

    default_code = "topic_disagrees"


class Topic(Struct, frozen=True, kw_only=True):
    """What a topic must be."""

    name: str
    partitions: int
    replicas: int
    settings: Mapping[str, str]


def commands_topic(settings: KafkaSettings, partitions: int) -> Topic:
    """The topic that commands come from; ``partitions`` is the store's P."""
    return _topic(
        settings,
        settings.commands_topic,
        partitions,
        limits.COMMAND_BYTES_MAX,
        settings.commands_retention_ms,
    )


def events_topic(settings: KafkaSettings, partitions: int) -> Topic:
    """The topic that events go to; ``partitions`` is the store's P."""
    return _topic(
        settings, settings.events_topic, partitions, limits.EVENT_BYTES_MAX, settings.events_retention_ms
    )


def _topic(
    settings: KafkaSettings, name: str, partitions: int, record_bytes: int, retention_ms: int
) -> Topic:
    return Topic(
        name=name,
        partitions=partitions,
        replicas=settings.replicas,
        settings={
            "cleanup.policy": "delete",
            "retention.ms": str(retention_ms),
            "max.message.bytes": str(record_bytes + BATCH_OVERHEAD_BYTES),
            "min.insync.replicas": str(settings.insync_replicas_min),
            # A replica that had fallen behind and leads would have lost what was acknowledged.
            "unclean.leader.election.enable": "false",
        },
    )


async def ensure_topic(admin: TopicAdmin, topic: Topic, *, makes: bool) -> None:
    """Make ``topic`` if it is missing and ``makes`` allows it, and check it.

    Raises:
        TopicDisagrees: it is missing or is not as it must be.
        Unavailable: Kafka does not answer.
    """
    found = await admin.describe(topic.name)
    if found is None and makes:
        await admin.create(topic.name, topic.partitions, topic.replicas, topic.settings)
        found = await admin.describe(topic.name)
    if found is None:
        raise TopicDisagrees(
            f"topic {topic.name} does not exist; make it with {topic.partitions} partitions, "
            f"{topic.replicas} replicas and {_listed(topic.settings)}",
            facts={"topic": topic.name, "setting": "exists", "wanted": "true", "found": "false"},
        )
    wrong = disagreements(topic, found)
    if wrong:
        said = "; ".join(f"{name} is {have} and must be {wanted}" for name, wanted, have in wrong)
        name, wanted, have = wrong[0]
        raise TopicDisagrees(
            f"topic {topic.name} is not as it must be: {said}",
            facts={"topic": topic.name, "setting": name, "wanted": wanted, "found": have},
        )


def disagreements(topic: Topic, found: TopicState) -> list[tuple[str, str, str]]:
    """``(setting, as it must be, as it is)`` for everything that differs."""
    wrong: list[tuple[str, str, str]] = []
    if found.partitions != topic.partitions:
        wrong.append(("partitions", str(topic.partitions), str(found.partitions)))
    if found.replicas < topic.replicas:
        wrong.append(("replicas", f"at least {topic.replicas}", str(found.replicas)))
    for name, wanted in topic.settings.items():
        have = found.settings.get(name, "absent")
        if have != wanted:
            wrong.append((name, wanted, have))
    return wrong


def _listed(settings: Mapping[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in settings.items())
