"""An erased run is gone from every file of the home, byte for byte; the chain checks and a rebuild equals."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import io
import subprocess
from pathlib import Path
from typing import Final

import pytest

from runfold import Conflict, Experiment, Run, Workspace
from runfold_services.compose import ledger_path
from tests.support.found_in_files import found_in_files
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
    "mark-file-path",
    "mark-file-content",
    "mark-log-line",
    "mark-finished-line",
    "mark-snapshot-name",
    "mark-chart-content",
)
SHARED: Final = b"mark of bytes that two runs have"
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
    upload_marks(run, own_home)
    with run.child_run("child") as child:
        child.tag("child", KEPT)
    run.fail("mark-error-message")
    with experiment.start_logging(tags={"neighbour": KEPT}) as neighbour:
        neighbour.log("loss", 1.0)
        neighbour.upload_file("same", io.BytesIO(SHARED))
    run.flush()
    runfold("run", "list", "--include-children")
    assert marks_in(own_home) >= set(MARKS), "the control: all of it was there"
    runfold("run", "erase", run.id, "--yes")
    runfold("ledger", "vacuum")
    return run


def upload_marks(run: Run, home: Path) -> None:
    """Files, logs, a snapshot and a chart that say marks; one content that a neighbour has, too."""
    run.upload_file("mark-file-path", io.BytesIO(b"mark-file-content" * 10_000))
    run.upload_file("shared", io.BytesIO(SHARED))
    run.log_residuals("chart", {"data": "mark-chart-content"})
    transport, workspace = run._connection.transport(), run._workspace.name
    transport.append_log(workspace, run.id, "logs/live", 0, b"mark-log-line")
    transport.append_log(workspace, run.id, "logs/done", 0, b"mark-finished-line")
    transport.finish_log(workspace, run.id, "logs/done", "text/plain")
    source = home.parent / "source"
    source.mkdir()
    (source / "mark-snapshot-name").write_text("code")
    run.take_snapshot(source)


def runfold(*arguments: str) -> str:
    """What the command line says; it must end well."""
    done = subprocess.run([str(script("runfold")), *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def marks_in(home: Path) -> set[str]:
    """Which marks stand in any file below ``home``."""
    return found_in_files(home, MARKS)


def test_no_byte_is_left_the_chain_checks_and_a_rebuild_equals(erased: Run, own_home: Path) -> None:
    assert marks_in(own_home) == set()
    runfold("ledger", "check")
    assert check_views_equal_a_replay(ledger_path(own_home)) > 0
    shown = runfold("run", "show", erased.id, "-o", "json", "--query", "[status, erased, tags]")
    assert shown.split() == ["[", '"Failed",', "true,", "{}", "]"]
    assert KEPT in runfold("run", "list", "--include-children", "-o", "json")


def test_what_another_run_has_too_stays(erased: Run, own_home: Path) -> None:
    contents = [path.read_bytes() for path in own_home.joinpath("files").rglob("*") if path.is_file()]
    assert contents == [SHARED]
    neighbour = next(run for run in erased.experiment.get_runs() if run.id != erased.id)
    place = own_home.parent / "got"
    neighbour.download_file("same", place)
    assert place.read_bytes() == SHARED
    with pytest.raises(Conflict, match="erased"):
        erased.download_file("shared", place)
    with pytest.raises(Conflict, match="erased"):
        erased.upload_file("new", io.BytesIO(b"new"))
