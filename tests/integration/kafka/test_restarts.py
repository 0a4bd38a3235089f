"""A decider that dies at any point of a transaction: the next one goes on, and every record takes effect once."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import Final
from uuid import uuid4

import pytest

from runfold_events import failpoints
from runfold_services.decider import DeciderSettings
from tests.integration.kafka.effects import LogWriter, damage
from tests.integration.kafka.scene import Scene, until, with_scene

POINTS: Final = (
    "postgres.lock.before",
    "postgres.lock.after",
    "postgres.load.before",
    "postgres.load.after",
    "postgres.append.before",
    "postgres.append.after",
    "postgres.commit.before",
    "postgres.commit.after",
)
SETTINGS: Final = DeciderSettings(records_max=10, drain_s=0.0)


class Died(BaseException):
    """Stands for the end of a process: nothing of it goes on, not even to clean up."""


@pytest.fixture(autouse=True)
def nothing_armed() -> Generator[None]:
    yield
    failpoints.disarm_all()


@with_scene(partitions=1)
async def test_whatever_point_a_decider_dies_at_the_next_goes_on(scene: Scene) -> None:
    writer = LogWriter(scene, 0, uuid4())
    await writer.prepare()
    for point in POINTS:
        deaths = asyncio.Event()

        def die(deaths: asyncio.Event = deaths) -> None:
            failpoints.disarm_all()
            deaths.set()
            raise Died

        decider = scene.decider(source=scene.source(in_group=False), settings=SETTINGS)
        await decider.start()
        await writer.send(7)
        await scene.all_handled()
        failpoints.arm(point, die)
        await writer.send(25)
        async with asyncio.timeout(10):
            await deaths.wait()
        await asyncio.sleep(0.05)
        await decider.stop()  # only lets go of its connections
    async with scene.deciding(scene.decider(settings=SETTINGS)):
        await scene.all_handled()
    assert await damage(scene, 0) == []


@with_scene(partitions=4)
async def test_deciders_come_and_go_and_the_partitions_with_them(scene: Scene) -> None:
    writers = [LogWriter(scene, partition, uuid4()) for partition in range(4)]
    for writer in writers:
        await writer.prepare()
    one, two, three = [scene.decider(await scene.open_store()) for _ in range(3)]
    await one.start()
    await two.start()
    for turn in range(6):
        for writer in writers:
            await writer.send(20)
        if turn == 2:
            await three.start()
        if turn == 3:
            await one.stop()
    await scene.all_handled()
    await two.stop()
    await three.stop()
    for partition in range(4):
        assert await damage(scene, partition) == []
    assert two.status.alarms == {}
    assert sum(p.records for d in (one, two, three) for p in d.status.partitions.values()) == 4 * 6 * 20


@with_scene(partitions=1)
async def test_the_lag_is_noted_in_kafka(scene: Scene) -> None:
    writer = LogWriter(scene, 0, uuid4())
    await writer.prepare()
    await writer.send(12)
    async with scene.deciding() as decider:
        await scene.all_handled()
        source = scene.source()

        async def is_noted() -> bool:
            noted = (await source.committed()).get(0)
            return noted is not None and noted.offset == 12

        await until(is_noted, "the gauge in Kafka")
        noted = (await source.committed())[0]
        await source.stop()
    assert (noted.offset, noted.note) == (12, str(scene.store.epoch))
    assert decider.status.of(0).lag == 0
