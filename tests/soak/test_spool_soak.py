"""Minutes of killed workers, killed servers, full disks and outages, then the checker: ``./dev soak``.

Environment: RUNFOLD_SOAK_MINUTES (5), RUNFOLD_SOAK_SEED (by the clock; printed).
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Final

import pytest

from tests.support.spool_story import Story, tell
from tests.support.spool_trackers import KafkaTracker
from tests.support.stack import StackForTest

MINUTES: Final = float(os.environ.get("RUNFOLD_SOAK_MINUTES", "5"))
SEED: Final = int(os.environ.get("RUNFOLD_SOAK_SEED", str(int(time.time()))))
WORKERS: Final = 32


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_minutes_of_kills_lose_double_and_reorder_nothing(tmp_path: Path) -> None:
    story = Story(
        seconds=60 * MINUTES,
        workers=WORKERS,
        rate=100.0,
        kill_every_s=(1.0, 4.0),
        server_every_s=(5.0, 15.0),
        full_disks=WORKERS // 8,
        seed=SEED,
    )
    told = tell(tmp_path, story)
    print(f"\nseed {SEED}, {MINUTES:g} minutes: {told}")

    assert told.problems == []
    assert (told.missing, told.doubled, told.disordered, told.incomplete_writers) == (0, 0, 0, 0)


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_minutes_of_kills_lose_double_and_reorder_nothing_by_kafka(
    own_stack: StackForTest, tmp_path: Path
) -> None:
    """API, decider and workers are killed; values go by Kafka."""
    tracker = KafkaTracker(own_stack, tmp_path)
    story = Story(
        seconds=60 * MINUTES,
        workers=WORKERS // 2,
        rate=100.0,
        kill_every_s=(1.0, 4.0),
        server_every_s=(10.0, 20.0),
        seed=SEED,
    )
    try:
        told = tell(tmp_path, story, tracker)
    finally:
        tracker.close()
    print(f"\nby Kafka, seed {SEED}, {MINUTES:g} minutes: {told}")

    assert told.problems == []
    assert (told.missing, told.doubled, told.disordered, told.incomplete_writers) == (0, 0, 0, 0)


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_minutes_without_a_tracker_cost_the_jobs_nothing(tmp_path: Path) -> None:
    story = Story(seconds=20.0, workers=4, rate=500.0, outage_s=60 * MINUTES, wire="plain", seed=SEED)
    told = tell(tmp_path, story)
    print(f"\nan outage of {MINUTES:g} minutes: {told}")

    assert told.problems == []
    assert (told.missing, told.doubled, told.disordered, told.incomplete_writers) == (0, 0, 0, 0)
    assert told.log_us_p50 < 100
