"""Files of runs from a terminal, over both transports."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from runfold import Experiment, Run, Workspace
from tests.support.command_line import Cli


@pytest.fixture
def run(fresh: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run with two files; files to upload lie in the current folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").mkdir()
    (tmp_path / "results/a.txt").write_text("A")
    (tmp_path / "one.bin").write_bytes(b"one")
    run = Experiment(fresh, "files").start_logging()
    run.upload_file("outputs/model.bin", io.BytesIO(b"weights"))
    run.take_snapshot("results")
    return run


def test_files_are_listed(fresh_cli: Cli, run: Run) -> None:
    (listed,) = fresh_cli("run", "files", run.id).json
    assert (listed["path"], listed["size_bytes"]) == ("outputs/model.bin", 7)
    assert fresh_cli("run", "files", run.id, "nothing/").json == []
    assert "outputs/model.bin" in fresh_cli("run", "files", run.id, "-o", "table").out


def test_files_and_folders_are_uploaded(fresh_cli: Cli, run: Run) -> None:
    assert fresh_cli("run", "upload", run.id, "one.bin", "results").json == [
        "one.bin",
        "outputs/model.bin",
        "results/a.txt",
    ]
    fresh_cli("run", "upload", run.id, "results", "--name", "renamed")
    assert "renamed/a.txt" in run.get_file_names()
    Path("one.bin").write_bytes(b"another")
    fresh_cli("run", "upload", run.id, "one.bin", expect=1)
    fresh_cli("run", "upload", run.id, "nowhere", expect=2)


def test_files_are_downloaded(fresh_cli: Cli, run: Run, tmp_path: Path) -> None:
    said = fresh_cli("run", "download", run.id, "-d", "got").json
    assert said == ["got/outputs/model.bin"]
    assert (tmp_path / "got/outputs/model.bin").read_bytes() == b"weights"
    fresh_cli("run", "download", run.id, "nothing/", expect=3)
