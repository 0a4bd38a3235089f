"""What the environment says of Kafka."""

from __future__ import annotations

import pytest

from runfold_events.contract.errors import Invalid
from runfold_events.log_door import LogRecord
from runfold_services.kafka_settings import KafkaSettings, kafka_settings_from_environment
from runfold_services.topics import commands_topic, events_topic


def test_without_kafka_there_are_no_settings() -> None:
    assert kafka_settings_from_environment({}) is None
    assert kafka_settings_from_environment({"RUNFOLD_KAFKA_PREFIX": "x"}) is None


def test_three_replicas_keep_every_record_twice_before_it_counts() -> None:
    settings = kafka_settings_from_environment({"RUNFOLD_KAFKA": "k:9092", "RUNFOLD_KAFKA_REPLICAS": "3"})
    assert settings is not None
    topic = commands_topic(settings, 16)
    assert (topic.replicas, topic.settings["min.insync.replicas"]) == (3, "2")


def test_names_follow_the_prefix() -> None:
    settings = KafkaSettings(bootstrap_servers="k:9092")
    assert (settings.commands_topic, settings.events_topic) == ("runfold.commands", "runfold.events")
    mine = KafkaSettings(bootstrap_servers="k:9092", prefix="mine")
    assert (mine.commands_topic, events_topic(mine, 1).name, mine.group) == (
        "mine.commands",
        "mine.events",
        "mine.deciders",
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RUNFOLD_KAFKA_PREFIX", "a b"),
        ("RUNFOLD_KAFKA_REPLICAS", "many"),
        ("RUNFOLD_KAFKA_INSYNC_REPLICAS_MIN", "2"),
        ("RUNFOLD_KAFKA_MAKES_TOPICS", "perhaps"),
        ("RUNFOLD_KAFKA_ACTOR", "x" * 300),
        ("RUNFOLD_KAFKA_SECURITY", "none"),
        ("RUNFOLD_KAFKA_EVENTS_RETENTION_MS", "-1"),
    ],
)
def test_a_value_that_cannot_be_is_named(name: str, value: str) -> None:
    with pytest.raises(Invalid) as caught:
        kafka_settings_from_environment({"RUNFOLD_KAFKA": "k:9092", name: value})
    assert caught.value.field == name


def test_the_actor_is_the_settings_whatever_a_record_says() -> None:
    settings = KafkaSettings(bootstrap_servers="k:9092", actor="fleet")
    record = LogRecord(0, 0, 0, b"k", b"v", (("ce_actor", b"root"),))
    actor = settings.actor_of(record)
    assert (actor.name, actor.source, actor.admin) == ("fleet", "kafka", False)
