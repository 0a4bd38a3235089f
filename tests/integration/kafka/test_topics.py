"""Topics as code: made when missing, checked always, refused with topic, setting and values when they disagree."""

from __future__ import annotations

import asyncio

import pytest

from runfold_events.buses.kafka import Cluster, KafkaTopicAdmin
from runfold_events.contract import limits
from runfold_events.contract.errors import Invalid, Unavailable
from runfold_services.kafka_settings import KafkaSettings
from runfold_services.topics import TopicDisagrees, commands_topic, ensure_topic, events_topic
from tests.integration.kafka.scene import Scene, with_scene


@with_scene(partitions=2)
async def test_topics_are_what_the_code_says(scene: Scene) -> None:
    admin = KafkaTopicAdmin(scene.cluster)
    try:
        commands = await admin.describe(scene.settings.commands_topic)
        events = await admin.describe(scene.settings.events_topic)
    finally:
        await admin.stop()
    assert commands is not None
    assert events is not None
    for topic in (commands, events):
        assert (topic.partitions, topic.replicas) == (2, 1)
        assert topic.settings["cleanup.policy"] == "delete"
        assert topic.settings["min.insync.replicas"] == "1"
        assert topic.settings["retention.ms"] == str(7 * 24 * 3_600_000)
        assert topic.settings["unclean.leader.election.enable"] == "false"
    takes_commands, takes_events = (int(topic.settings["max.message.bytes"]) for topic in (commands, events))
    assert limits.COMMAND_BYTES_MAX < takes_commands < limits.EVENT_BYTES_MAX < takes_events


@with_scene(partitions=2)
async def test_a_topic_that_disagrees_is_refused_by_name(scene: Scene) -> None:
    admin, settings = KafkaTopicAdmin(scene.cluster), scene.settings
    try:
        with pytest.raises(TopicDisagrees, match=f"{settings.commands_topic}.*partitions is 2 and must be 4"):
            await ensure_topic(admin, commands_topic(settings, 4), makes=True)
        await scene.alter_topic(settings.events_topic, {"cleanup.policy": "compact"})
        with pytest.raises(TopicDisagrees) as caught:
            await ensure_topic(admin, events_topic(settings, 2), makes=True)
        assert {"cleanup.policy", "retention.ms"} >= {caught.value.facts["setting"]}
        assert "cleanup.policy is compact and must be delete" in caught.value.message
    finally:
        await admin.stop()


@with_scene(partitions=2)
async def test_a_missing_topic_is_made_once_by_many_or_asked_for(scene: Scene) -> None:
    settings = KafkaSettings(bootstrap_servers=scene.kafka, prefix=f"{scene.settings.prefix}-b")
    admins = [KafkaTopicAdmin(scene.cluster) for _ in range(4)]
    try:
        with pytest.raises(TopicDisagrees, match="does not exist; make it with 2 partitions"):
            await ensure_topic(admins[0], commands_topic(settings, 2), makes=False)
        await asyncio.gather(
            *(ensure_topic(admin, commands_topic(settings, 2), makes=True) for admin in admins)
        )
    finally:
        for admin in admins:
            await admin.stop()


@with_scene(partitions=1)
async def test_what_the_broker_refuses_is_said(scene: Scene) -> None:
    admin = KafkaTopicAdmin(scene.cluster)
    settings = KafkaSettings(bootstrap_servers=scene.kafka, prefix="x", replicas=9, insync_replicas_min=9)
    try:
        with pytest.raises(Invalid, match="refuses to make topic"):
            await ensure_topic(admin, commands_topic(settings, 1), makes=True)
    finally:
        await admin.stop()


@with_scene(partitions=1)
async def test_a_kafka_that_is_not_there_is_unavailable(scene: Scene) -> None:
    admin = KafkaTopicAdmin(Cluster(bootstrap_servers="127.0.0.1:1", request_timeout_s=1.0))
    with pytest.raises(Unavailable):
        await admin.describe("x")
    await admin.stop()
