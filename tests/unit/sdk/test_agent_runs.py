"""How scripts find their runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from runfold import Experiment, Workspace
from runfold._agent_runs import WorkspaceRuns


@pytest.mark.parametrize("place", ["elsewhere", "s3://bucket/prefix"])
def test_scripts_of_an_embedded_ledger_find_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """Of the agent's own variables they get none, so this one comes with their run; they work in another folder."""
    workspace = Workspace(workspace_name="w", home=tmp_path / "home")
    run = Experiment(workspace, "e").start_logging()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RUNFOLD_FILES", place)
    told = WorkspaceRuns(workspace).environment(run.id)
    assert told["RUNFOLD_HOME"] == str(tmp_path / "home")
    assert told["RUNFOLD_FILES"] == (place if "://" in place else str(tmp_path / place))
    run.complete()
