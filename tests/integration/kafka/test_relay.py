"""Events on Kafka are the store's, in order; consumers that drop what they have seen see each of them once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any, Final
from uuid import UUID, uuid4

from msgspec import Struct

from runfold_events.buses.kafka import KafkaEventSink, KafkaTopicAdmin
from runfold_events.buses.kafka.clients import new_admin, started
from runfold_events.contract import commands as c
from runfold_events.contract.cloudevents import Record, event_record
from runfold_events.contract.envelope import PublicEvent
from runfold_events.ids_source import SystemIds
from runfold_events.ledger import Ledger
from runfold_events.log_door import LogRecord
from runfold_services.relay import Relay, RelaySettings
from runfold_services.topics import ensure_topic, events_topic
from tests.integration.kafka.effects import LogWriter
from tests.integration.kafka.restoring import new_epoch, set_back
from tests.integration.kafka.scene import Scene, until, with_scene

QUICK: Final = RelaySettings(events_max=7, lease_s=0.6, check_again_s=0.2)


class Seen(Struct):
    """A consumer's view of a partition, after dropping what it has seen."""

    records: list[LogRecord]
    dropped: int


def seen(records: Sequence[LogRecord]) -> Seen:
    """What the contract tells consumers to do: drop positions already seen within an epoch."""
    last: dict[bytes, int] = {}
    kept = Seen([], 0)
    for record in records:
        headers = dict(record.headers)
        pos, epoch = int(headers["ce_sequence"]), headers["ce_epoch"]
        if pos <= last.get(epoch, -1):
            kept.dropped += 1
        else:
            last[epoch] = pos
            kept.records.append(record)
    return kept


async def check_topic(scene: Scene, partition: int) -> int:
    """The topic, duplicates dropped, says what the store says, byte for byte; returns how many were dropped."""
    kept = seen(await scene.read_topic(scene.settings.events_topic, partition))
    events = await scene.events(partition)
    assert [Record(r.key or b"", r.value or b"", r.headers) for r in kept.records] == [
        event_record(event) for event in events
    ]
    return kept.dropped


async def append(scene: Scene, partition: int, count: int, writer: UUID | None = None) -> None:
    """Events of one run, by the ledger."""
    writer = writer or uuid4()
    run_id = scene.run_id_in(partition, f"x{writer.hex[:6]}-")
    await scene.create_runs(writer, run_id)
    ledger = Ledger(scene.store, SystemIds())
    await ledger.handle(
        [
            scene.submission(c.SetTags(run_id=run_id, tags={"n": str(number)}), writer, number + 2)
            for number in range(count)
        ]
    )


class DyingSink(KafkaEventSink):
    """Its process dies after some events have reached the topic, before anybody knows."""

    deaths: int = 0

    async def publish(self, partition: int, events: Sequence[PublicEvent]) -> None:
        await super().publish(partition, events[: max(1, len(events) // 2)])
        self.deaths += 1
        raise Died


class Died(BaseException):
    """The end of a process: nothing of it goes on."""


@with_scene(partitions=2)
async def test_the_topic_says_what_the_store_says(scene: Scene) -> None:
    for partition in (0, 1):
        await append(scene, partition, 30)
    async with scene.relaying(scene.relay(settings=QUICK)) as relay:
        await scene.published()
        for partition in (0, 1):
            await append(scene, partition, 30)
        await scene.published()
    assert [await check_topic(scene, partition) for partition in (0, 1)] == [0, 0]
    assert relay.status.alarms == {}
    assert relay.status.of(0).lag == 0


@with_scene(partitions=1)
async def test_a_relay_that_dies_before_it_knows_repeats_nothing_that_the_topic_has(scene: Scene) -> None:
    await append(scene, 0, 60)
    for _ in range(5):
        sink = DyingSink(scene.cluster, scene.settings.events_topic, 1)
        relay = Relay(scene.store, sink, QUICK)
        await relay.start()

        async def is_dead(sink: DyingSink = sink) -> bool:
            return sink.deaths > 0

        await until(is_dead, "the relay's end")
        await relay.stop()
    assert (await scene.store.published())[0] == 0, "nobody has noted anything"
    async with scene.relaying(scene.relay(settings=QUICK)):
        await scene.published()
    assert await check_topic(scene, 0) == 0


@with_scene(partitions=1)
async def test_late_relays_only_repeat(scene: Scene) -> None:
    """Two at a time, as after a lease that ended while its owner stood still."""
    await append(scene, 0, 40)
    async with AsyncExitStack() as zombies:
        sinks = [scene.sink() for _ in range(2)]
        for sink in sinks:
            zombies.push_async_callback(sink.stop)
        events = await scene.events(0)
        await sinks[0].publish(0, events[:20])
        await asyncio.gather(sinks[0].publish(0, events[20:30]), sinks[1].publish(0, events[10:25]))
        await sinks[1].publish(0, events[5:15])  # the last record is now an old one
    async with scene.relaying(scene.relay(settings=QUICK)):
        await scene.published()
    assert await check_topic(scene, 0) > 10


@with_scene(partitions=4)
async def test_relays_share_the_partitions_and_take_over(scene: Scene) -> None:
    one, two = scene.relay(settings=QUICK), scene.relay(await scene.open_store(), settings=QUICK)
    await one.start()
    assert one.status.served == {0, 1, 2, 3}
    await two.start()

    async def are_shared() -> bool:
        return len(one.status.served) == len(two.status.served) == 2

    await until(are_shared, "equal shares")
    for partition in range(4):
        await append(scene, partition, 20)
    await scene.published()
    await one.stop()
    for partition in range(4):
        await append(scene, partition, 20)
    await scene.published()
    assert two.status.served == {0, 1, 2, 3}
    await two.stop()
    assert [await check_topic(scene, partition) for partition in range(4)] == [0] * 4


@with_scene(partitions=2)
async def test_a_relay_that_vanished_is_replaced_when_its_lease_ends(scene: Scene) -> None:
    await scene.store.share_partitions("relay", uuid4(), 800_000)
    await append(scene, 0, 5)
    async with scene.relaying(scene.relay(settings=QUICK)):
        await scene.published()
    assert await check_topic(scene, 0) == 0


@with_scene(partitions=1)
async def test_an_empty_topic_goes_on_where_the_store_noted(scene: Scene) -> None:
    """Retention, or a topic made anew: consumers fill what is before from the API."""
    await append(scene, 0, 10)
    async with scene.relaying():
        await scene.published()
    await recreate_events(scene)
    await append(scene, 0, 10)
    async with scene.relaying():
        await scene.published()
    published = await scene.read_topic(scene.settings.events_topic, 0)
    events = await scene.events(0)
    first = int(dict(published[0].headers)["ce_sequence"])
    assert [r.value for r in published] == [event.body for event in events[first:]]
    assert first == 13


async def recreate_events(scene: Scene) -> None:
    raw, admin = await started(new_admin(scene.cluster)), KafkaTopicAdmin(scene.cluster)
    try:
        await raw.delete_topics([scene.settings.events_topic])

        async def is_gone() -> bool:
            return await admin.describe(scene.settings.events_topic) is None

        await until(is_gone, "the topic's end")
        await ensure_topic(admin, events_topic(scene.settings, scene.partitions), makes=True)
    finally:
        await raw.close()
        await admin.stop()


@with_scene(partitions=1)
async def test_records_that_the_topic_lost_are_published_again(scene: Scene) -> None:
    """Losing the end of the topic is worse than losing the note of it."""
    await append(scene, 0, 10)
    await scene.store.note_published(0, 13)
    async with scene.sink_of_its_own() as sink:
        await sink.publish(0, (await scene.events(0))[:5])
    async with scene.relaying() as relay:

        async def is_there() -> bool:
            return relay.status.of(0).events == 8

        await until(is_there, "the rest")
    assert await check_topic(scene, 0) == 0


@with_scene(partitions=1)
async def test_a_store_that_was_set_back_publishes_nothing_before_it_has_another_epoch(scene: Scene) -> None:
    await append(scene, 0, 10)
    async with scene.relaying():
        await scene.published()
    lost = (await scene.events(0))[8:]
    await set_back(scene, to_pos=8)
    assert (await scene.refused(scene.relay(), "ledger restored")).code == "store_restored"
    await append(scene, 0, 10)  # has other events at the same positions now
    assert (await scene.refused(scene.relay(), "ledger restored")).code == "store_restored"
    await set_back(scene, to_pos=8)
    before = scene.store.epoch
    await new_epoch(scene)
    await append(scene, 0, 10)
    async with scene.relaying():
        await scene.published()
    published = await scene.read_topic(scene.settings.events_topic, 0)
    events = await scene.events(0)
    void = [event_record(event) for event in lost]
    now = [Record(r.key or b"", r.value or b"", r.headers) for r in published]
    assert now == [event_record(event) for event in events[:8]] + void + [event_record(e) for e in events[8:]]
    restored = dict(now[8 + len(void)].headers)
    assert (restored["ce_type"], restored["ce_source"]) == (b"dev.runfold.store.restored.v1", b"/system")
    assert {event.epoch for event in events[:8]} == {before}
    assert before not in {event.epoch for event in events[8:]}


@with_scene(partitions=1)
async def test_another_stores_topic_is_refused(scene: Scene) -> None:
    await append(scene, 0, 3)
    async with scene.relaying():
        await scene.published()
    other = Scene(scene.stack, scene.partitions, scene.exit_stack)
    other.settings = scene.settings
    # Stores under test are copies of one, epoch and all.
    await other.sql(
        "SELECT set_config('runfold.restoring', 'yes', false)",
        f"UPDATE runfold.meta SET epoch = '{uuid4()}' RETURNING 1",
    )
    other.store = await other.open_store()
    await append(other, 0, 9)
    assert (await scene.refused(other.relay(), "another store's topic")).code == "log_replaced"


@with_scene(partitions=1)
async def test_an_erased_body_is_published_as_nothing_and_says_so(scene: Scene) -> None:
    writer = LogWriter(scene, 0, uuid4(), runs=1)
    await writer.prepare()
    admin = uuid4()
    ledger = Ledger(scene.store, SystemIds())
    erasing: Any = scene.submission(c.EraseRun(run_id=writer.run_ids[0], reason="asked"), admin, 1)
    await ledger.handle([erasing])
    async with scene.relaying():
        await scene.published()
    records = await scene.read_topic(scene.settings.events_topic, 0)
    by_type = {dict(r.headers)["ce_type"].decode(): r for r in records}
    created = by_type["dev.runfold.run.created.v1"]
    assert (created.value, dict(created.headers)["ce_erased"]) == (b"", b"true")
    assert "ce_erased" not in dict(by_type["dev.runfold.run.erased.v1"].headers)
    assert await check_topic(scene, 0) == 0


@with_scene(partitions=1)
async def test_a_producer_that_the_broker_refused_is_replaced(scene: Scene) -> None:
    """An idempotent producer is of no more use after a refusal; the position that failed is never passed."""
    await append(scene, 0, 10)
    async with scene.relaying(scene.relay(settings=QUICK)) as relay:
        await scene.published()
        await scene.alter_topic(scene.settings.events_topic, {"max.message.bytes": "300"})
        await append(scene, 0, 10)

        async def is_refused() -> bool:
            return relay.status.of(0).alarms + relay.status.of(0).retries > 1

        await until(is_refused, "a refusal")
        assert await check_prefix(scene) == 13
        await scene.alter_topic(scene.settings.events_topic, {"max.message.bytes": "9000000"})
        await scene.published()
    assert await check_topic(scene, 0) == 0


async def check_prefix(scene: Scene) -> int:
    """How many events the topic has, which must be the store's first."""
    kept = seen(await scene.read_topic(scene.settings.events_topic, 0)).records
    events = await scene.events(0)
    assert [r.value for r in kept] == [event.body for event in events[: len(kept)]]
    return len(kept)
