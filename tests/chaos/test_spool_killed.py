"""Workers and their server are killed at random, over a wire that loses answers: nothing is lost, doubled or reordered.

Minutes of the same: ``./dev soak tests/soak/test_spool_soak.py``.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.spool_story import Story, tell

SHORT = Story(seconds=8.0, workers=3, seed=7)


@pytest.mark.timeout(300)
def test_what_was_logged_before_a_kill_is_stored_once_and_in_order(tmp_path: Path) -> None:
    told = tell(tmp_path, SHORT)

    assert told.problems == []
    assert (told.missing, told.doubled, told.disordered) == (0, 0, 0)
    assert told.incomplete_writers == 0
    assert told.logged > 500
    assert told.kills > 3
    assert told.proved_writers >= 3


@pytest.mark.timeout(300)
def test_without_writer_numbers_the_checker_reports_doubles(tmp_path: Path) -> None:
    """The control: sooner or later an answer is lost whose request is then sent again."""
    doubled = 0
    for seconds in (4.0, 12.0, 36.0):  # few answers come on a busy machine
        folder = tmp_path / f"{seconds:.0f}"
        folder.mkdir()
        doubled = tell(folder, Story(seconds=seconds, workers=2, seed=7, wire="unnumbered")).doubled
        if doubled:
            break

    assert doubled > 0


@pytest.mark.timeout(300)
def test_an_outage_costs_the_jobs_nothing_and_everything_arrives(tmp_path: Path) -> None:
    told = tell(tmp_path, Story(seconds=3.0, workers=2, outage_s=5.0, wire="plain"))

    assert told.problems == []
    assert (told.missing, told.doubled, told.disordered) == (0, 0, 0)
    assert told.log_us_p99 < 5_000  # on any machine; measured by the benchmarks
