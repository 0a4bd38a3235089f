"""How far apart a projector's passes are: little that comes slowly is folded at once, much of it together."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from runfold_events.contract.envelope import RecordedEvent
from runfold_projections.stores.sqlite import SqliteViewStore
from runfold_projections.testing.history import History, MemorySource
from runfold_projections.views import all_projections
from runfold_services.projector import Projector, ProjectorSettings
from tests.support.virtual_time import VirtualLoop

PARTITIONS = 4
RUNS = 8
PASS_S = 0.006  # what reading takes here, and a whole pass over Postgres
SECONDS = 2.0
AT_ONCE = ProjectorSettings(gather_s_per_event=0.0)
ALWAYS_APART = ProjectorSettings(gather_s_per_event=1.0)


class Views(SqliteViewStore):
    async def drop_retired(self) -> int:
        return 0


class SlowSource(MemorySource):
    """Reading takes time, and only folds read."""

    reads = 0

    async def read_public(self, partition: int, from_pos: int, events_max: int) -> list[RecordedEvent]:
        await self._wait()
        return await super().read_public(partition, from_pos, events_max)

    async def read_several(
        self, places: Mapping[int, int], events_max: int, bytes_max: int
    ) -> list[RecordedEvent]:
        await self._wait()
        return await super().read_several(places, events_max, bytes_max)

    async def _wait(self) -> None:
        self.reads += 1
        await asyncio.sleep(PASS_S)


async def paced(rate: float, settings: ProjectorSettings) -> tuple[float, float]:
    """Passes in a second, and how long an event waits for the view on average, while ``rate`` events a second come."""
    source = SlowSource(PARTITIONS)
    history = History(source)
    history.experiment()
    for number in range(RUNS):
        history.create(f"r{number}")
    views = Views(":memory:")
    projector = Projector(source, views, all_projections(), settings=settings)
    await projector.start()
    await asyncio.sleep(1.0)
    before = (source.reads, projector.status.events)
    loop = asyncio.get_running_loop()
    began = loop.time()
    sent = waited = 0.0
    while loop.time() < began + SECONDS:
        if loop.time() >= began + sent / rate:
            history.log(f"r{int(sent) % RUNS}", "loss", [1.0])
            sent += 1
        await asyncio.sleep(0.001)
        waited += 0.001 * (sent - projector.status.events + before[1])
    passes = source.reads - before[0]
    await projector.stop()
    await views.close()
    return passes / SECONDS, waited / sent


def measured(rate: float, settings: ProjectorSettings) -> tuple[float, float]:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(paced(rate, settings))


def test_events_that_come_slowly_are_folded_at_once() -> None:
    passes, waited_s = measured(50, ProjectorSettings())
    assert passes == pytest.approx(50, rel=0.1)
    assert waited_s < PASS_S + 0.01
    _, always_apart_s = measured(50, ALWAYS_APART)
    assert always_apart_s > 2 * waited_s


def test_events_that_come_fast_share_passes() -> None:
    settings = ProjectorSettings()
    passes, waited_s = measured(700, settings)
    assert passes <= 1 / settings.gather_s + 1
    assert waited_s < settings.gather_s
    at_once, _ = measured(700, AT_ONCE)
    assert at_once > 4 * passes


def test_a_pass_that_found_a_lot_is_followed_at_once() -> None:
    settings = ProjectorSettings()
    assert settings.gathering_s(settings.together_events_max) == settings.gather_s
    assert settings.gathering_s(settings.together_events_max + 1) == 0.0
