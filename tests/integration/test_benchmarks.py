"""The benchmark works, and says what its report claims; its figures are not judged here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.measure import Group, Measured, percentile
from benchmarks.report import as_data, figure, markdown
from tests.support.repository import ROOT

QUESTIONS = ("Disk", "log()", "Points a second", "One synchronous command", "Many children", "Lists")
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
    assert as_data(facts, groups)["groups"][0]["rows"][0]["values"] == [3.0, 1.0, 2.0]


@pytest.mark.timeout(180)
def test_every_question_is_measured(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    command = [sys.executable, "-m", "benchmarks", "embedded", "--quick", "--output", str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    result = json.loads(path.read_text("utf-8"))
    titles = [group["title"] for group in result["groups"]]
    assert [any(title.startswith(question) for title in titles) for question in QUESTIONS] == [True] * len(
        QUESTIONS
    )
    rows = [row for group in result["groups"] for row in group["rows"]]
    assert all(row["min"] > 0 for row in rows)
    assert {row["unit"] for row in rows} == {"ms", "µs", "points/s"}
    assert result["machine"]["commit"] is None or result["machine"]["commit"]
    assert str(ROOT) not in path.read_text("utf-8")
    assert all(title in done.stdout for title in titles)
