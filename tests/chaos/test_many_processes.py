"""Eight processes share one embedded file; some are killed after ``flush()``: every point and status is there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from runfold import Experiment, Run, Workspace, _process
from runfold_events.contract.statuses import Status
from tests.chaos.many_processes_worker import (
    COMMON,
    COMMON_POINTS,
    OWN,
    OWN_POINTS,
    SHORT_RUNS,
    common_step,
    own_value,
)
from tests.support.raw_ledger import RawLedger

PROCESSES: Final = 8
KILLED: Final = (2, 5, 7)
TIMEOUT_S: Final = 90
LIFECYCLE_MS_MAX: Final = 10_000.0  # no command may wait so long, whatever the machine

RecordProperty = Callable[[str, Any], None]
Outcome = tuple[int, str, str]  # exit code, stdout, stderr


def start(home: Path, parent: str, number: int, end: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.chaos.many_processes_worker", str(home), parent, str(number), end]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def run_all(home: Path, ends: dict[int, str]) -> tuple[Run, dict[int, Outcome]]:
    """A common run, and one process per entry of ``ends``; all are over when this returns."""
    parent = Experiment(Workspace(workspace_name="default", home=home), "many").start_logging(run_id="common")
    workers = {number: start(home, parent.id, number, end) for number, end in ends.items()}
    outcomes: dict[int, Outcome] = {}
    for number, worker in workers.items():
        out, err = worker.communicate(timeout=TIMEOUT_S)
        outcomes[number] = (worker.returncode, out, err)
    parent.complete()
    return parent, outcomes


def missing_points(ledger: RawLedger, numbers: range) -> list[str]:
    """What the processes logged and the file does not hold exactly once."""
    found: list[str] = []
    common = sorted(ledger.points("common")[COMMON])
    for number in numbers:
        own = sorted(ledger.points(f"child-{number}")[OWN])
        if own != [(step, own_value(number, step)) for step in range(OWN_POINTS)]:
            found.append(f"process {number}: {len(own)} points of its own, not the {OWN_POINTS} it logged")
        shared = [point for point in common if point[1] == number]
        if shared != [(common_step(number, step), float(number)) for step in range(COMMON_POINTS)]:
            found.append(
                f"process {number}: {len(shared)} points in common, not the {COMMON_POINTS} it logged"
            )
    return found


def percentile(samples: list[float], share: float) -> float:
    ordered = sorted(samples)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


@pytest.mark.timeout(180)
def test_every_point_and_status_of_many_processes_is_there(
    tmp_path: Path, record_property: RecordProperty, capsys: pytest.CaptureFixture[str]
) -> None:
    numbers = range(1, PROCESSES + 1)
    ends = {number: "killed-after-flush" if number in KILLED else "complete" for number in numbers}

    parent, outcomes = run_all(tmp_path, ends)

    assert {number: err for number, (_, _, err) in outcomes.items() if err} == {}
    codes = {number: code for number, (code, _, _) in outcomes.items()}
    assert codes == {number: -signal.SIGKILL if number in KILLED else 0 for number in numbers}
    (path,) = tmp_path.glob("*.db")
    ledger = RawLedger(path)
    assert ledger.holes() == []
    assert ledger.gaps_in_streams() == []
    assert missing_points(ledger, numbers) == []
    _check_statuses(ledger, parent)
    _check_views(parent)
    _report(
        [sample for _, out, _ in outcomes.values() for sample in json.loads(out)], record_property, capsys
    )
    _process.close_all()


def _check_statuses(ledger: RawLedger, parent: Run) -> None:
    """The killed ones' children run on until a lease ends; everything else has ended as it was told to."""
    statuses = ledger.statuses()
    children = {f"child-{number}": number for number in range(1, PROCESSES + 1)}
    assert statuses[parent.id] == "Completed"
    for child, number in children.items():
        expected = {"Running", "NotResponding"} if number in KILLED else {"Completed"}
        assert statuses[child] in expected, child
    short = [status for run_id, status in statuses.items() if run_id not in children and run_id != parent.id]
    assert short == ["Completed"] * (PROCESSES * SHORT_RUNS)


def _check_views(parent: Run) -> None:
    """The views say the same as the file."""
    counts = parent.child_counts()
    assert counts.direct[Status.COMPLETED] == PROCESSES - len(KILLED)
    assert sum(counts.descendants.values()) == PROCESSES * (1 + SHORT_RUNS)
    assert parent.summary().metrics[COMMON].count == PROCESSES * COMMON_POINTS
    for child in parent.get_children():
        assert child.summary().metrics[OWN].count == OWN_POINTS


def _report(
    took_ms: list[float], record_property: RecordProperty, capsys: pytest.CaptureFixture[str]
) -> None:
    p50, p99 = percentile(took_ms, 0.5), percentile(took_ms, 0.99)
    record_property("lifecycle_ms", {"p50": p50, "p99": p99, "max": max(took_ms), "commands": len(took_ms)})
    points = PROCESSES * (OWN_POINTS + COMMON_POINTS)
    with capsys.disabled():
        print(
            f"\n{PROCESSES} processes on one file, {len(took_ms)} lifecycle commands beside {points:,} points:"
        )
        print(f"p50 {p50:.1f} ms, p99 {p99:.1f} ms, max {max(took_ms):.1f} ms")
    assert max(took_ms) < LIFECYCLE_MS_MAX


@pytest.mark.timeout(120)
def test_points_of_a_process_that_was_killed_before_its_flush_are_missed(tmp_path: Path) -> None:
    """The control: without the acknowledgement the same check reports what is gone."""
    _, outcomes = run_all(tmp_path, {1: "killed-before-flush"})

    (path,) = tmp_path.glob("*.db")
    assert outcomes[1][0] == -signal.SIGKILL
    assert missing_points(RawLedger(path), range(1, 2)) != []
    _process.close_all()
