"""An erased run is gone from every file of the home, byte for byte; the chain checks and a rebuild equals."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

import pytest

from runfold import Experiment, Run, Workspace
from runfold_services.compose import ledger_path
from tests.support.replay import check_views_equal_a_replay
from tests.support.repository import script

# One mark for every place where a user's words may go; none of them occurs by chance.
MARKS: Final = (
    "mark-tag-key",
    "mark-tag-value",
    "mark-property-value",
    "mark-param-value",
    "mark-metric-name",
    "mark-metric-text",
    "mark-row-column",
    "mark-display-name",
    "mark-description",
    "mark-error-message",
    "mark-refused-value",
)
KEPT: Final = "this-stays"


@pytest.fixture
def erased(own_home: Path) -> Run:
    """A run that says every mark, with a child and a neighbour that stay; then it is erased and the file rewritten."""
    experiment = Experiment(Workspace(), "erasing")
    run = experiment.start_logging(display_name="mark-display-name", description="mark-description")
    run.set_tags({"mark-tag-key": "mark-tag-value"})
    run.add_properties({"author": "mark-property-value"})
    with pytest.raises(Exception, match="mark-refused-value"):
        run.add_properties({"author": "mark-refused-value"})
    run.log_params({"p": "mark-param-value"})
    for step in range(5_000):
        run.log("mark-metric-name", step / 7, step=step)
    run.log("text", "mark-metric-text")
    run.log_row("row", "said of a row", **{"mark-row-column": 1.0})
    with run.child_run("child") as child:
        child.tag("child", KEPT)
    run.fail("mark-error-message")
    with experiment.start_logging(tags={"neighbour": KEPT}) as neighbour:
        neighbour.log("loss", 1.0)
    run.flush()
    runfold("run", "list", "--include-children")
    assert marks_in(own_home) >= set(MARKS), "the control: all of it was there"
    runfold("run", "erase", run.id, "--yes")
    runfold("ledger", "vacuum")
    return run


def runfold(*arguments: str) -> str:
    """What the command line says; it must end well."""
    done = subprocess.run([str(script("runfold")), *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def marks_in(home: Path) -> set[str]:
    """Which marks stand in any file below ``home``, in whatever encoding keeps ASCII as it is."""
    found: set[str] = set()
    for path in home.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            found |= {mark for mark in MARKS if mark.encode() in data}
    return found


def test_no_byte_is_left_the_chain_checks_and_a_rebuild_equals(erased: Run, own_home: Path) -> None:
    assert marks_in(own_home) == set()
    runfold("ledger", "check")
    assert check_views_equal_a_replay(ledger_path(own_home)) > 0
    shown = runfold("run", "show", erased.id, "-o", "json", "--query", "[status, erased, tags]")
    assert shown.split() == ["[", '"Failed",', "true,", "{}", "]"]
    assert KEPT in runfold("run", "list", "--include-children", "-o", "json")
