"""The parity table says what tests say, and what must be complete is."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.parity import LATER, MISSING, carriers, lacking, marks_of_outcomes, marks_of_sources, table
from tests.support.parity_rows import ROWS

IDS = [row.id for row in ROWS]


def test_each_row_is_there_once() -> None:
    assert len(IDS) == len(set(IDS)) == 123
    assert {row.tier for row in ROWS} == {1, 2, 3}
    assert set(IDS) >= LATER


def test_tests_carry_only_ids_that_there_are() -> None:
    assert set(carriers()) <= set(IDS)


def test_tiers_1_and_2_are_complete() -> None:
    assert [row.id for row in lacking(marks_of_sources(carriers()))] == []


def test_a_row_without_a_test_is_missing(tmp_path: Path) -> None:
    (tmp_path / "test_one.py").write_text(
        "import pytest\npytestmark = pytest.mark.parity('WS-01')\n"
        "@pytest.mark.parity('EX-01', 'EX-02')\ndef test_a() -> None: ...\n"
        "class TestB:\n    @pytest.mark.parametrize('x', [pytest.param(1, marks=pytest.mark.parity('RN-01'))])\n"
        "    def test_c(self, x: int) -> None: ...\n"
        "def test_no() -> None:\n    'a text: pytest.mark.parity(\"RN-02\")'\n"
    )
    marks = marks_of_sources(carriers(tmp_path))

    assert {row_id for row_id, mark in marks.items() if mark.holds} == {"WS-01", "EX-01", "EX-02", "RN-01"}
    assert marks["RN-02"] == MISSING
    assert "RN-02" in {row.id for row in lacking(marks)}
    assert "WI-01" not in {row.id for row in lacking(marks)}
    assert "✗ RN-02  tier 1" in table(marks)


@pytest.mark.parametrize(
    ("said", "holds"),
    [(["passed"], True), (["passed", "failed"], False), (["passed", "skipped"], False), ([], False)],
)
def test_one_case_that_does_not_pass_and_the_row_does_not_hold(said: list[str], holds: bool) -> None:
    assert marks_of_outcomes({"MT-01": said})["MT-01"].holds is holds
