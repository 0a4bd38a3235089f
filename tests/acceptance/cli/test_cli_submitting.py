"""Submitting from a terminal, over both transports."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from runfold import RunConfiguration, Workspace
from tests.support.agents import agent_for
from tests.support.command_line import Cli

SCRIPT = """
import sys
from runfold import Run
Run.get_context().log("words", " ".join(sys.argv[1:]))
print("to the log:", *sys.argv[1:])
sys.exit(3 if "--fail" in sys.argv else 0)
"""


@pytest.fixture
def submitting(
    fresh: Workspace, fresh_cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Cli]:
    """Commands in a folder with a script, for whose workspace there is an agent. They name the place themselves."""
    (tmp_path / "train.py").write_text(SCRIPT)
    fresh.write_config(tmp_path)
    monkeypatch.chdir(tmp_path)
    with agent_for(fresh, monkeypatch):
        fresh_cli.place = ()
        with contextlib.ExitStack() as stack:
            if not fresh.location.startswith("http"):
                stack.enter_context(monkeypatch.context()).setenv("RUNFOLD_HOME", fresh.location)
            yield fresh_cli


@pytest.mark.parity("CL-02", "CL-10")
def test_a_script_is_submitted_watched_and_its_logs_fetched(submitting: Cli, tmp_path: Path) -> None:
    RunConfiguration(arguments=["--from", "the file"]).save(tmp_path, "sklearn.runconfig")
    said = submitting.apart(
        "run",
        "submit-script",
        "-c",
        "sklearn",
        "-e",
        "cli",
        "-o",
        "json",
        "train.py",
        "-o",
        "x",
        "--query",
        "y",
    )

    assert (said.json["status"], said.json["experiment"]) == ("Completed", "cli")
    assert "to the log: -o x --query y" in said.err
    by_file = submitting.apart("run", "submit-script", "-c", "sklearn", "-e", "cli", "train.py")
    assert "to the log: --from the file" in by_file.err

    run_id = said.json["run_id"]
    files = submitting.apart("az", "ml", "run", "download-logs", "-r", run_id, "-d", "fetched").json
    assert "fetched/user_logs/std_log.txt" in files
    assert (tmp_path / "fetched/user_logs/std_log.txt").read_text() == "to the log: -o x --query y\n"
    assert "to the log" in submitting.apart("az", "ml", "run", "monitor-logs", "-r", run_id).out


@pytest.mark.parity("CL-02")
def test_a_script_that_fails_is_exit_code_1_and_the_run_is_printed(submitting: Cli) -> None:
    said = submitting.apart("az", "ml", "run", "submit-script", "-e", "cli", "train.py", "--fail", expect=1)

    assert said.json["status"] == "Failed"
    assert "exit code 3" in said.json["error"]["message"]
    assert said.err.endswith(f"runfold: run {said.json['run_id']} failed; its error stands above\n")


@pytest.mark.parity("CL-02")
def test_async_does_not_wait_and_any_target_is_taken(
    submitting: Cli, fresh: Workspace, tmp_path: Path
) -> None:
    (tmp_path / "train.py").write_text("import time\ntime.sleep(60)\n")
    submitting("folder", "attach", "-e", "attached")
    said = submitting.apart("run", "submit-script", "--async", "--ct", "gpu-compute", "train.py")

    assert said.json["status"] not in {"Completed", "Failed", "Canceled"}
    assert (said.json["target"], said.json["experiment"]) == ("gpu-compute", "attached")
    assert "there is no compute target 'gpu-compute'" in said.err
    assert submitting.apart("run", "cancel", said.json["run_id"]).json["status"] == "Canceled"


def test_what_is_missing_is_said_before_anything_runs(submitting: Cli) -> None:
    assert "name the experiment: -e NAME" in submitting("run", "submit-script", "train.py", expect=2).err
    assert "script path doesn't exist" in submitting("run", "submit-script", "-e", "x", "no.py", expect=1).err
    no_such = submitting("run", "submit-script", "-c", "nothing", "-e", "x", "train.py", expect=2).err
    assert "there is no run configuration 'nothing'" in no_such
    assert "SCRIPT" in submitting("run", "submit-script", "-e", "x", expect=2).err
    assert submitting("run", "list").json == []
