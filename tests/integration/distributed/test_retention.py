"""Retention takes the head of the events topic away, and sometimes all of it, while events come: what is left of the
topic is the store without a hole, whatever a relay that is started then finds.
"""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Final

import pytest
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from runfold_events.buses.kafka import Cluster
from runfold_events.buses.kafka.clients import new_admin, started
from tests.support.distributed import checker
from tests.support.distributed.findings import Findings
from tests.support.distributed.fleet import Fleet, FleetSettings, fleet_on
from tests.support.stack import StackForTest

PARTITIONS: Final = 2
RATE: Final = 1_500.0
WAIT_S: Final = 200.0
SETTINGS: Final = FleetSettings(
    partitions=PARTITIONS,
    events_retention_ms=500,
    events_settings={"segment.bytes": str(1024 * 1024)},  # only whole segments go
)


async def until_shortened(fleet: Fleet, before: list[int]) -> list[int]:
    """Wait until every partition of the events topic begins later than before; where each begins."""
    async with asyncio.timeout(WAIT_S):
        while True:
            begins = await asyncio.to_thread(_begins, fleet)
            if all(now > then for now, then in zip(begins, before, strict=True)):
                return begins
            await asyncio.sleep(0.2)


def _begins(fleet: Fleet) -> list[int]:
    topics = fleet.topics()
    try:
        return [topics.event_bounds(partition)[0] for partition in range(PARTITIONS)]
    finally:
        topics.close()


async def keep_from_now_on(fleet: Fleet) -> None:
    admin = await started(new_admin(Cluster(bootstrap_servers=fleet.stack.kafka)))
    settings = {"retention.ms": "3600000"}
    try:
        await admin.alter_configs(
            [ConfigResource(ConfigResourceType.TOPIC, fleet.kafka_settings.events_topic, settings)]
        )
    finally:
        await admin.close()


@pytest.mark.timeout(500)
def test_what_retention_leaves_of_the_events_topic_is_the_store(stack: StackForTest, tmp_path: Path) -> None:
    async def run() -> Findings:
        async with fleet_on(stack, tmp_path, SETTINGS) as fleet:
            await fleet.start_all({"decider": 1, "relay": 1, "projector": 1})
            fleet.start_kafka_worker(RATE)
            begins = await until_shortened(fleet, [0] * PARTITIONS)
            await fleet.roles["relay"].pop().end(signal.SIGKILL)
            await until_shortened(fleet, begins)
            await fleet.start("relay")
            await keep_from_now_on(fleet)
            progress = await fleet.progress()
            assert progress is not None
            await fleet.stored(sum(progress.ends) + 1_000)
            await fleet.end_load()
            await fleet.settled()
            return await checker.check(fleet.place(may_begin_late=frozenset(range(PARTITIONS))))

    findings = asyncio.run(run())
    print(findings.render())
    assert findings.is_clean, findings.render()
    retained = findings.figures["records retained in the events topic"]
    assert 1_000 <= retained < findings.figures["events stored"]
