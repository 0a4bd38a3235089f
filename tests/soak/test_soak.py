"""Minutes of load and random faults on what `runfold serve` starts, then the checker: ``./dev soak``.

Environment: RUNFOLD_SOAK_MINUTES (10), RUNFOLD_SOAK_RATE (5000 commands a second by Kafka), RUNFOLD_SOAK_SEED (by the
clock; printed), RUNFOLD_SOAK_REPORT (a file for the figures as JSON; default .dev/soak/SEED.json).
"""

from __future__ import annotations

import asyncio
import os
import platform
import time
from pathlib import Path
from typing import Final

import msgspec
import pytest

from tests.support.distributed.fleet import FleetSettings
from tests.support.distributed.soak import SoakSettings, soak
from tests.support.repository import ROOT
from tests.support.stack import StackForTest

MINUTES: Final = float(os.environ.get("RUNFOLD_SOAK_MINUTES", "10"))
RATE: Final = float(os.environ.get("RUNFOLD_SOAK_RATE", "5000"))
SEED: Final = int(os.environ.get("RUNFOLD_SOAK_SEED", str(int(time.time()))))
REPORT: Final = Path(os.environ.get("RUNFOLD_SOAK_REPORT", ROOT / ".dev" / "soak" / f"{SEED}.json"))

SETTINGS: Final = SoakSettings(
    fleet=FleetSettings(partitions=16, patience_s=None),
    kafka_rate=1.05 * RATE,  # some of it is no command, and workers need a moment to start
    kafka_workers=2,
    http_rate=200.0,
    seconds=60.0 * MINUTES,
    calm_s=(1.0, 6.0),
    stop_s=(0.3, 15.0),  # to both sides of leases and sessions
    settle_s=1_800.0,
    seed=SEED,
)


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_minutes_of_faults_lose_double_and_reorder_nothing(own_stack: StackForTest, tmp_path: Path) -> None:
    print(f"\n{MINUTES:g} minutes at {RATE:g} commands a second by Kafka, seed {SEED}; logs: {tmp_path}")
    soaked = asyncio.run(soak(own_stack, tmp_path, SETTINGS))
    print(soaked.report())
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    about = {"seed": SEED, "minutes": MINUTES, "rate": RATE, "python": platform.python_version()}
    found = {**about, "machine": f"{platform.system()}, {os.cpu_count()} cores", **soaked.to_builtins()}
    REPORT.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=2))
    print(f"written to {REPORT}")
    assert soaked.findings.is_clean, soaked.findings.render()
    assert soaked.findings.figures["commands sent a second"] >= RATE
