"""Processes of every role come and go under load: partitions move among them, and the checker is content."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Final

import asyncpg
import pytest
from confluent_kafka.admin import AdminClient

from tests.support.distributed import checker
from tests.support.distributed.findings import Findings
from tests.support.distributed.fleet import Fleet, FleetSettings, RoleName, fleet_on
from tests.support.stack import StackForTest

PARTITIONS: Final = 16
COUNTS: Final[dict[RoleName, int]] = {"api": 1, "decider": 3, "relay": 2, "projector": 3}
MOVING: Final[tuple[RoleName, ...]] = ("decider", "relay", "projector")
KAFKA_RATE: Final = 500.0
HTTP_RATE: Final = 60.0
WAIT_S: Final = 90.0
CALM_S: Final = 1.0


async def members(fleet: Fleet) -> dict[str, int]:
    """How many processes of each role have a share of the partitions, as Kafka and Postgres say."""
    connection: Any = await asyncpg.connect(fleet.dsn)
    try:
        rows = await connection.fetch(
            "SELECT role, count(DISTINCT member), count(DISTINCT partition) FROM runfold.role_partitions GROUP BY role"
        )
    finally:
        await connection.close()
    found = {row[0]: row[1] for row in rows if row[2] == PARTITIONS}
    group = await asyncio.to_thread(_group, fleet)
    partitions = [p.partition for member in group for p in member.assignment.topic_partitions]
    if sorted(partitions) == list(range(PARTITIONS)):
        found["decider"] = sum(bool(member.assignment.topic_partitions) for member in group)
    return found


def _group(fleet: Fleet) -> list[Any]:
    admin: Any = AdminClient({"bootstrap.servers": fleet.stack.kafka, "log_level": 2})
    name = fleet.kafka_settings.group
    return list(admin.describe_consumer_groups([name])[name].result(30).members)


async def until_shared(fleet: Fleet, change: int) -> None:
    """Wait until all partitions are divided among all processes of each role."""
    wanted = {role: COUNTS[role] + change for role in MOVING}
    async with asyncio.timeout(WAIT_S):
        while await members(fleet) != wanted:  # noqa: ASYNC110 - neither server tells
            await asyncio.sleep(0.2)


@pytest.mark.timeout(400)
def test_processes_of_every_role_are_added_and_removed_under_load(
    stack: StackForTest, tmp_path: Path
) -> None:
    async def run() -> Findings:
        async with fleet_on(stack, tmp_path, FleetSettings(partitions=PARTITIONS)) as fleet:
            await fleet.start_all(COUNTS)
            fleet.start_kafka_worker(KAFKA_RATE)
            fleet.start_http_worker(HTTP_RATE)
            await until_shared(fleet, 0)
            await asyncio.sleep(CALM_S)
            for role in MOVING:
                await fleet.start(role)
            await until_shared(fleet, 1)
            await asyncio.sleep(CALM_S)
            codes = [await fleet.remove(role) for role in MOVING]
            await until_shared(fleet, 0)
            await asyncio.sleep(CALM_S)
            assert codes == [0, 0, 0]
            await fleet.end_load()
            await fleet.settled()
            return await checker.check(fleet.place())

    findings = asyncio.run(run())
    print(findings.render())
    assert findings.is_clean, findings.render()
    assert all(count > 0 for count in findings.figures["events by partition"])
