"""Rivals with the protection off: the checker that is content everywhere else reports the damage that they do."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Final

import pytest

from tests.support.distributed import checker
from tests.support.distributed.findings import DOUBLED, DUPLICATE, Findings
from tests.support.distributed.fleet import Fleet, FleetSettings, RoleName, fleet_on
from tests.support.distributed.role import CHECKPOINT, CURSOR
from tests.support.stack import StackForTest

RATE: Final = 300.0
EVENTS: Final = 1_000
WAIT_S: Final = 90.0
SETTINGS: Final = FleetSettings(partitions=2, lease_s=3.0)


def with_rivals(stack: StackForTest, folder: Path, role: RoleName, careless: str) -> Findings:
    """What the checker says of a load that two processes of ``role`` handled, each of which believed to be alone."""

    async def run() -> Findings:
        async with fleet_on(stack, folder, SETTINGS) as fleet:
            others: list[RoleName] = [name for name in ("decider", "relay", "projector") if name != role]
            await asyncio.gather(*(fleet.start(other) for other in others))
            fleet.start_kafka_worker(RATE)
            await asyncio.gather(*(fleet.start(role, "--alone", "--careless", careless) for _ in range(2)))
            await fleet.stored(EVENTS)
            await fleet.end_load()
            await _until_still(fleet)
            return await checker.check(fleet.place())

    findings = asyncio.run(run())
    print(findings.render())
    return findings


async def _until_still(fleet: Fleet) -> None:
    """Wait until everything was handled and nothing moves any more: a view that stopped is never even."""
    end = time.monotonic() + WAIT_S
    wanted = await asyncio.to_thread(fleet.log_ends)
    before, since = None, time.monotonic()
    while time.monotonic() - since < 1.5:
        assert time.monotonic() < end, "it never stands still"
        progress = await fleet.progress()
        if progress != before or progress is None or progress.offsets != wanted or not any(progress.folded):
            before, since = progress, time.monotonic()
        await asyncio.sleep(0.1)


@pytest.mark.timeout(300)
def test_control_without_the_cursor_records_take_effect_twice(stack: StackForTest, tmp_path: Path) -> None:
    """Commands have numbers, which protect them also then; what has none is kept as often as it is read."""
    findings = with_rivals(stack, tmp_path, "decider", CURSOR)
    assert findings.counts[DUPLICATE] > 0
    assert all("command.unreadable" in what for what in findings.kept[DUPLICATE])


@pytest.mark.timeout(300)
def test_control_without_the_checkpoint_views_count_twice(stack: StackForTest, tmp_path: Path) -> None:
    findings = with_rivals(stack, tmp_path, "projector", CHECKPOINT)
    assert findings.counts[DOUBLED] > 0, findings.render()
