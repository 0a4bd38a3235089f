"""The soak in its short form: every fault once, under load, and the checker is content."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

import pytest

from tests.support.distributed.fleet import FleetSettings
from tests.support.distributed.soak import SoakSettings, soak
from tests.support.stack import StackForTest

SETTINGS: Final = SoakSettings(
    fleet=FleetSettings(partitions=4, lease_s=5.0),
    kafka_rate=500.0,
    http_rate=60.0,
    stop_s=(5.3, 6.0),  # longer than a lease: somebody else takes over meanwhile
    calm_s=(0.2, 0.5),
    leaves_out=frozenset({"broker kill -9"}),  # in the long form
)


@pytest.mark.timeout(1_200)
def test_whatever_fails_under_load_nothing_is_lost_doubled_or_out_of_order(
    own_stack: StackForTest, tmp_path: Path
) -> None:
    soaked = asyncio.run(soak(own_stack, tmp_path, SETTINGS))
    print(soaked.report())
    assert soaked.findings.is_clean, soaked.findings.render()
    assert len(soaked.suffered) == 13
