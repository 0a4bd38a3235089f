"""A log that was deleted, overtaken or is another; a store that was set back: an alarm and a record, never silence."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import RecordsToDelete

from runfold_events.buses.kafka import KafkaTopicAdmin
from runfold_events.buses.kafka.clients import new_admin, started
from runfold_events.contract.codec import decode_event
from runfold_events.contract.events import LogLost
from runfold_services.decider import DeciderSettings
from runfold_services.topics import commands_topic, ensure_topic
from tests.integration.kafka.effects import LogWriter, damage, expected, found
from tests.integration.kafka.scene import Scene, until, with_scene

ADOPTING = DeciderSettings(adopts_log=True, note_interval_s=0.2)


async def losses(scene: Scene) -> list[LogLost]:
    bodies = [decode_event(event) for event in await scene.all_events() if event.type == "commands.lost"]
    return [body for body in bodies if isinstance(body, LogLost)]


async def handle_all(scene: Scene, settings: DeciderSettings | None = None) -> None:
    async with scene.deciding(scene.decider(settings=settings)) as decider:
        await scene.all_handled()
        offset = (await scene.topic_ends())[0]
        source = scene.source()

        async def noted() -> bool:
            committed = (await source.committed()).get(0)
            return committed is not None and committed.offset == offset

        await until(noted, "the gauge in Kafka")
        await source.stop()
        assert decider.status.alarms == {}


async def delete_before(scene: Scene, offset: int) -> None:
    """What retention does, at once."""
    admin = await started(new_admin(scene.cluster))
    try:
        place = TopicPartition(scene.settings.commands_topic, 0)
        await admin.delete_records({place: RecordsToDelete(before_offset=offset)})
    finally:
        await admin.close()


async def recreate(scene: Scene) -> None:
    """Delete the command topic and make it again."""
    name = scene.settings.commands_topic
    raw, admin = await started(new_admin(scene.cluster)), KafkaTopicAdmin(scene.cluster)
    try:
        await raw.delete_topics([name])

        async def is_gone() -> bool:
            return await admin.describe(name) is None

        await until(is_gone, "the topic's end")
        await ensure_topic(admin, commands_topic(scene.settings, scene.partitions), makes=True)
    finally:
        await raw.close()
        await admin.stop()


@with_scene(partitions=1)
async def test_what_retention_took_before_it_was_handled_is_recorded(scene: Scene) -> None:
    writer = LogWriter(scene, 0, uuid4())
    await writer.prepare()
    await writer.send(10)
    await handle_all(scene)
    await writer.send(20)
    await delete_before(scene, 25)
    decider = scene.decider()
    async with scene.deciding(decider):
        await scene.all_handled()
    (lost,) = await losses(scene)
    assert (lost.first, lost.last) == (10, 24)
    assert decider.status.of(0).alarms == 1
    assert (await found(scene, 0))[10:] == await expected(scene, 0)
    await handle_all(scene)
    assert len(await losses(scene)) == 1, "recorded once, not at every start"


@pytest.mark.parametrize("records", [0, 5, 40])
@with_scene(partitions=1)
async def test_a_recreated_topic_is_refused_until_somebody_adopts_it(scene: Scene, records: int) -> None:
    """With fewer records than the cursor, and with more: then only the last handled record tells."""
    writer = LogWriter(scene, 0, uuid4())
    await writer.prepare()
    await writer.send(30)
    await handle_all(scene)
    before = await found(scene, 0)
    await recreate(scene)
    await writer.send(records)
    assert (await scene.refused(scene.decider(), "RUNFOLD_KAFKA_ADOPTS_LOG")).code == "log_replaced"
    assert await found(scene, 0) == before, "nothing was handled"
    await handle_all(scene, ADOPTING)
    assert (await found(scene, 0)) == before + await expected(scene, 0)
    (lost,) = await losses(scene)
    assert (lost.first, lost.last) == (30, 29)
    assert "from offset 30 on is lost" in lost.reason
    await writer.send(3)
    await handle_all(scene)
    assert len(await losses(scene)) == 1


@with_scene(partitions=1)
async def test_a_store_that_was_set_back_is_refused_until_it_has_another_epoch(scene: Scene) -> None:
    writer = LogWriter(scene, 0, uuid4())
    await writer.prepare()
    await writer.send(30)
    backup = await scene.sql(
        "CREATE TABLE public.backup AS SELECT * FROM runfold.partitions", "SELECT count(*) FROM public.backup"
    )
    assert backup == 1
    await handle_all(scene)
    # As far as the logs can see, this is a restore: the cursor is where it was, Kafka knows better.
    await scene.sql(
        "UPDATE runfold.partitions AS p SET next_offset = b.next_offset, last_offset = b.last_offset, "
        "last_key = b.last_key, last_timestamp_ms = b.last_timestamp_ms, last_writer_seq = b.last_writer_seq "
        "FROM public.backup AS b",
        "SELECT 1",
    )
    assert (await scene.refused(scene.decider(), "ledger restored")).code == "store_restored"
    await scene.sql(
        "SELECT set_config('runfold.restoring', 'yes', false)",
        f"UPDATE runfold.meta SET epoch = '{UUID(int=7)}' RETURNING 1",
    )
    await scene.store.close()
    scene.store = await scene.open_store()
    async with scene.deciding():
        await scene.all_handled()
    # The commands were known to the writers' marks: only what has no number was recorded again.
    assert set(await damage(scene, 0)) == {
        f"('garbage', 'garbage{number}') took effect 2 times" for number in (7, 14, 21, 28)
    }
