"""A home inside the folder that is submitted: the ledger's files are neither read nor sent along.

Reading and closing one of them gives up the locks by which SQLite's processes know of one another. The next process
that comes and goes then takes the log away under this one, and what this one writes afterwards is seen by nobody. The
control reads them.
"""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from runfold import Experiment, Invalid, Run, Workspace, _process

ELSEWHERE = """
import sys
from runfold import Workspace
run = Workspace(workspace_name="inside", home=sys.argv[1]).get_run(sys.argv[2])
run.tag("seen", "elsewhere")
print(*sorted(run.get_tags()))
"""


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """A run whose ledger is in ``project/home``."""
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "train.py").write_text("print('hello')\n")
    workspace = Workspace(workspace_name="inside", home=tmp_path / "project" / "home")
    with Experiment(workspace, "inside").start_logging() as run:
        run.upload_file("kept.txt", tmp_path / "project" / "train.py")
        yield run
    _process.close_all()


def tags_seen_elsewhere(run: Run, project: Path) -> list[str]:
    """Let another process come, tag the run, look and go; returns the keys that it saw."""
    command = [sys.executable, "-c", ELSEWHERE, str(project / "home"), run.id]
    done = subprocess.run(
        command, env={**os.environ}, check=True, timeout=60, stdout=subprocess.PIPE, text=True
    )
    return done.stdout.split()


def test_a_snapshot_leaves_the_ledger_alone(run: Run, tmp_path: Path) -> None:
    run.take_snapshot(tmp_path / "project")

    assert tags_seen_elsewhere(run, tmp_path / "project") == ["seen"]
    run.tag("here")
    assert tags_seen_elsewhere(run, tmp_path / "project") == ["here", "seen"]
    with zipfile.ZipFile(run.restore_snapshot(path=tmp_path / "restored")) as archive:
        assert archive.namelist() == ["train.py"]


def test_the_same_where_the_project_is_the_home(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("print('hello')\n")
    with Experiment(Workspace(workspace_name="inside", home=tmp_path), "inside").start_logging() as run:
        run.take_snapshot(tmp_path)
        place = run.restore_snapshot(path=tmp_path / "restored")
    _process.close_all()

    with zipfile.ZipFile(place) as archive:
        assert archive.namelist() == ["train.py"]


@pytest.mark.skipif(sys.platform == "win32", reason="locks belong to handles there")
def test_the_control_reads_the_ledger_and_loses_what_is_written(run: Run, tmp_path: Path) -> None:
    for file in sorted((tmp_path / "project" / "home").glob("ledger.db*")):
        file.read_bytes()

    assert tags_seen_elsewhere(run, tmp_path / "project") == ["seen"]
    run.tag("here")
    assert tags_seen_elsewhere(run, tmp_path / "project") == ["seen"]


def test_a_ledgers_file_is_not_uploaded(run: Run, tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="runfold ledger export"):
        run.upload_file("ledger.db", tmp_path / "project" / "home" / "ledger.db")
    (tmp_path / "ledger.db").write_text("somebody's own")
    run.upload_file("ledger.db", tmp_path / "ledger.db")

    assert run.get_file_names() == ["kept.txt", "ledger.db"]
