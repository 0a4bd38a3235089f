"""The benchmark works, and says what its report claims; its figures are not judged here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmarks.cpu import cpu_s
from benchmarks.measure import Group, Measured, percentile
from benchmarks.report import as_data, figure, markdown
from runfold_services.stack import Stack
from tests.support.repository import ROOT
from tests.support.stack import folder_of_the_run

QUESTIONS = (
    "Disk",
    "log()",
    "Points a second",
    "One synchronous command",
    "Many children",
    "Lists",
    "Metrics of a family",
)
DISTRIBUTED_QUESTIONS = (
    "Limits",
    "One command at 50 commands/s",
    "Kafka command topic",
    "CPU seconds",
    "Workers of the SDK",
    "Metrics of",
)
DISTRIBUTED_UNITS = {
    "µs",
    "CPU ms/1,000 values",
    "s",
    "ms",
    "rows/s",
    "records/s",
    "batches/s",
    "points/s",
    "CPU s/1,000",
}
DISTRIBUTED_AIMS = [
    "HTTP: acknowledged, p50",
    "Kafka: visible in the view, p50",
    "Kafka: visible in the view, p99",
    "1 point a command",
    "100 points a command",
    "1 point a command: all",
    "100 points a command: all",
    *(
        f"{runs}, values by {door}: age of the newest value shown, p99"
        for runs in ("a run each", "one run")
        for door in ("http", "kafka")
    ),
    "get_metrics(recursive=True), HTTP",
]
PROCESSES = {"decider", "relay", "projector", "broker", "postgres", "all"}
ROW = Measured(name="command p50", unit="ms", values=(3.0, 1.0, 2.0), raw=0.5, raw_name="commit", aim=15.0)


def test_a_row_has_least_median_and_greatest_and_is_held_against_its_aim() -> None:
    assert (ROW.low, ROW.median, ROW.high, ROW.ratio, ROW.holds) == (1.0, 2.0, 3.0, 4.0, True)
    assert Measured(name="rate", unit="1/s", values=(5.0,), aim=10.0, at_most=False).holds is False
    assert Measured(name="any", unit="ms", values=(5.0,)).holds is None


def test_percentiles_are_of_the_samples() -> None:
    samples = [float(number) for number in range(100, 0, -1)]

    assert (percentile(samples, 0.5), percentile(samples, 0.99), percentile([7.0], 0.99)) == (
        51.0,
        100.0,
        7.0,
    )


def test_figures_are_short() -> None:
    assert [figure(value) for value in (0.001234, 12.3456, 1_234_567.8, None)] == [
        "0.00123",
        "12.3",
        "1,234,568",
        "",
    ]


def test_tables_hold_what_the_data_hold() -> None:
    facts = {"processor": "P", "cores": 2, "memory_gib": 4.0, "system": "S", "python": "3", "sqlite": "3"}
    facts |= {"commit": "abc", "measured_at": "now", "load_before": 0.1}
    groups = [Group(title="T", about="A", rows=(ROW,))]

    assert "| command p50 | ms | 1 | 2 | 3 | 0.5 (commit) | 4 x | ≤ 15 ✓ |" in markdown(facts, groups)
    assert as_data("embedded", facts, groups)["groups"][0]["rows"][0]["values"] == [3.0, 1.0, 2.0]


def test_cpu_seconds_are_of_a_process_and_its_children() -> None:
    before = cpu_s(os.getpid())
    burn = "import time\nwhile time.process_time() < 0.5: pass"
    with subprocess.Popen([sys.executable, "-c", burn + "\ninput()"], stdin=subprocess.PIPE) as child:
        while cpu_s(child.pid) < 0.3:
            time.sleep(0.01)
        child.communicate(b"\n")

    assert cpu_s(os.getpid()) - before >= 0.3  # also when the child is gone


def measured(path: Path, *words: str) -> dict[str, Any]:
    """What the quick form of a benchmark writes; it says all of it, and nothing about this machine's folders."""
    command = [sys.executable, "-m", "benchmarks", *words, "--quick", "--output", str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(path.read_text("utf-8"))
    assert result["benchmark"] == words[0]
    assert result["machine"]["commit"] is None or result["machine"]["commit"]
    assert str(ROOT) not in path.read_text("utf-8")
    assert all(group["title"] in done.stdout for group in result["groups"])
    return result


def rows_of(result: dict[str, Any]) -> list[dict[str, Any]]:
    return [row for group in result["groups"] for row in group["rows"]]


def unanswered(questions: Sequence[str], result: dict[str, Any]) -> list[str]:
    titles = [group["title"] for group in result["groups"]]
    return [question for question in questions if not any(title.startswith(question) for title in titles)]


@pytest.mark.timeout(180)
def test_every_question_is_measured(tmp_path: Path) -> None:
    result = measured(tmp_path / "result.json", "embedded")

    assert unanswered(QUESTIONS, result) == []
    # A share of CPU seconds may be less than a tick of their clock.
    assert all(row["min"] > 0 for row in rows_of(result) if row["unit"] != "%")
    assert {row["unit"] for row in rows_of(result)} == {"ms", "µs", "points/s", "%"}


@pytest.mark.timeout(300)
def test_every_role_of_a_distributed_set_up_is_measured(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, run_stack: Stack
) -> None:
    folder = folder_of_the_run(tmp_path_factory.getbasetemp())
    result = measured(tmp_path / "result.json", "distributed", "--stack", str(folder))

    assert unanswered(DISTRIBUTED_QUESTIONS, result) == []
    rows = {row["name"]: row for row in rows_of(result)}
    # A process that has nearly nothing to do may do it within a tick of the clock of CPU seconds.
    assert all(row["min"] > 0 for row in rows.values() if not row["unit"].startswith("CPU"))
    assert {row["unit"] for row in rows.values()} == DISTRIBUTED_UNITS
    assert [name for name, row in rows.items() if row["aim"]] == DISTRIBUTED_AIMS
    assert {name.partition(": ")[2] for name in rows if name.startswith("1 point a command: ")} == PROCESSES
