"""Scripts that are submitted, over each transport, with a real agent: EX-05, LC-05, LC-06, CH-05, ST-06 … SC-05."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from uuid import uuid4

import pytest

from runfold import Environment, Experiment, RunConfiguration, ScriptRunConfig, Workspace, _process
from runfold._agent_runs import WorkspaceRuns
from runfold._script_run import ScriptRun
from runfold.errors import RunFailed, RunfoldError, SubmissionFailed
from runfold.exceptions import ActivityFailedException, AzureMLException, ExperimentExecutionException
from runfold.runconfig import LOCAL
from runfold_events.contract.commands import ErrorInfo
from runfold_events.contract.statuses import Status
from runfold_services.agent.definition import FAILING
from tests.support.agent_process import AgentProcess
from tests.support.agent_runs import wait_for

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="agents run where there are process groups")

HELLO = "from runfold import Run\nRun.get_context().log('message', 'Hello from run!')\nprint('hello')\n"
SLEEP = "import time\nprint('up', flush=True)\ntime.sleep(60)\n"
Submit = Callable[..., ScriptRunConfig]


@pytest.fixture(scope="module", params=["embedded", "http", "distributed"])
def workspace(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Workspace]:
    """A workspace with an agent: an embedded one's is started by ``submit``."""
    name = f"w{uuid4().hex}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RUNFOLD_AGENT_IDLE_S", "5")
        if request.param == "embedded":
            yield Workspace(workspace_name=name, home=tmp_path_factory.mktemp("embedded"))
        else:
            url = request.getfixturevalue("server_url" if request.param == "http" else "distributed_url")
            folder = tmp_path_factory.mktemp("agent")
            with AgentProcess("--url", url, "--folder", str(folder), "--runs-at-once", "8", workspace=name):
                yield Workspace(workspace_name=name, url=url)
        _process.close_all()


@pytest.fixture
def experiment(workspace: Workspace) -> Experiment:
    return Experiment(workspace, "explore-runs")


@pytest.fixture
def script(tmp_path: Path) -> Submit:
    """Writes a script and says how to run it."""

    def write(text: str, **settings: object) -> ScriptRunConfig:
        folder = tmp_path / uuid4().hex
        folder.mkdir()
        (folder / "script.py").write_text(text)
        return ScriptRunConfig(source_directory=folder, script="script.py", **settings)  # type: ignore[arg-type]

    return write


@pytest.mark.parity("EX-05", "ST-06", "ST-07", "ST-08", "SC-03", "SC-04", "CX-01")
def test_a_script_is_submitted_watched_and_asked_about(
    experiment: Experiment, script: Submit, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    began = time.monotonic()
    run = experiment.submit(script(HELLO), tags={"quality": "fine", "n": 1})
    assert time.monotonic() - began < 10.0, "it returns at once"
    assert re.fullmatch(r"explore-runs_\d{10}_[0-9a-f]{8}", run.id)
    assert run.status == "Starting"
    assert run.type == "azureml.scriptrun"

    details = run.wait_for_completion(show_output=True, wait_post_processing=True)

    assert details["status"] == run.get_status() == "Completed"
    assert details["target"] == "local"
    assert details["runDefinition"]["script"] == "script.py"
    assert sorted(details["logFiles"]) == ["system_logs/agent_log.txt", "user_logs/std_log.txt"]
    assert run.get_tags() == {"quality": "fine", "n": "1"}
    assert run.get_metrics() == {"message": "Hello from run!"}
    assert "ContentSnapshotId" in run.get_properties()
    stations = {"run.started", "run.advanced", "run.completed"}
    assert [entry.type for entry in run.history() if entry.type in stations] == [
        "run.advanced",  # Starting
        "run.advanced",  # Preparing
        "run.advanced",  # Queued
        "run.started",
        "run.advanced",  # Finalizing
        "run.completed",
    ]
    shown = capsys.readouterr().out
    header = f"RunId: {run.id}\nWeb View: {run.get_portal_url()}\n"
    assert shown.startswith(header)
    assert "\nStreaming user_logs/std_log.txt\n===============================\n\nhello\n" in shown
    assert f"\nExecution Summary\n=================\n{header}" in shown
    assert run.get_details_with_logs()["logFiles"]["user_logs/std_log.txt"] == "hello\n"
    written = run.get_all_logs(tmp_path / "logs")
    assert Path(written[1]).read_text() == "hello\n"
    assert isinstance(run.get_environment(), Environment)
    again = experiment.workspace.get_run(run.id)
    assert type(again) is type(run), "lists and questions give the typed handle too"


@pytest.mark.parity("SC-03", "ST-07", "ST-09")
def test_a_script_that_fails_fails_its_run(
    experiment: Experiment, script: Submit, capsys: pytest.CaptureFixture[str]
) -> None:
    leaves = "for n in range(9): open(f'outputs/{n}', 'wb').write(bytes(n))\n"
    run = experiment.submit(script(f"{leaves}print('so far')\nraise SystemExit(3)"))
    with pytest.raises(ActivityFailedException, match="Activity Failed:\n") as caught:
        run.wait_for_completion(show_output=True)
    assert len(run.get_file_names()) == 11, "its files are there when it is heard to have failed"
    shown = capsys.readouterr().out
    assert "\nso far\n" in shown
    assert isinstance(caught.value, RunFailed)
    details = run.wait_for_completion(wait_post_processing=True, raise_on_error=False)
    assert details["error"]["error"]["code"] == "UserError"
    assert details["error"]["error"]["message"] == (
        "User program ended with exit code 3.\nThe end of user_logs/std_log.txt:\nso far"
    )
    assert "\nError:\n" in shown


@pytest.mark.parity("ST-07", "ST-09")
def test_waiting_does_not_look_away_while_the_outputs_of_a_failed_script_are_stored(
    workspace: Workspace,
) -> None:
    """What an agent says of two scripts, of which one failed; it has stored nothing yet."""
    agent = WorkspaceRuns(workspace)
    good, bad = (Experiment(workspace, "nobody").start_logging() for _ in range(2))
    agent.advance(good.id, Status.FINALIZING)
    agent.advance(bad.id, Status.FINALIZING, FAILING)
    assert good.wait_for_completion()["status"] == "Finalizing"
    soon = threading.Timer(0.5, agent.fail, (bad.id, ErrorInfo(message="exit code 3")))
    soon.start()
    with pytest.raises(RunFailed, match="exit code 3"):
        bad.wait_for_completion()
    soon.join()
    good.complete()


def is_up(run: ScriptRun) -> bool:
    return "up" in run.get_details_with_logs()["logFiles"].get("user_logs/std_log.txt", "")


@pytest.mark.parity("LC-05", "LC-06", "ST-07")
def test_canceling_or_failing_a_submitted_run_stops_its_process(
    experiment: Experiment, script: Submit, tmp_path: Path
) -> None:
    """The script's process notes that it was told to end."""
    runs: list[ScriptRun] = []
    for name in ("canceled", "failed"):
        note = tmp_path / name
        noting = f"lambda *_: sys.exit(open({str(note)!r}, 'w').close())"
        text = f"import signal, sys\nsignal.signal(signal.SIGTERM, {noting})\n{SLEEP}"
        runs.append(experiment.submit(script(text)))
    for run in runs:
        wait_for(partial(is_up, run))
    canceled, failed = runs
    canceled.cancel()
    assert canceled.get_status() == "Canceled"
    assert canceled.wait_for_completion(show_output=False)["status"] == "Canceled", "which is no error"
    failed.fail("enough")
    assert failed.get_status() == "Failed"
    for name in ("canceled", "failed"):
        wait_for((tmp_path / name).exists, 5.0)
    assert failed.get_details()["error"]["error"]["message"] == "enough"


@pytest.mark.parity("CH-05", "SC-01", "SC-02")
def test_a_script_submits_children_to_a_target_that_there_is_not(
    experiment: Experiment, script: Submit
) -> None:
    parent = """
from runfold import Run, RunConfiguration, ScriptRunConfig
config = RunConfiguration()
config.target = "gpu-compute"
config.environment.docker.enabled = True
run = Run.get_context()
for arg in ["Apple", "Banana"]:
    run.submit_child(ScriptRunConfig(".", script="child.py", arguments=["--fruit", arg], run_config=config))
for child in run.get_children():
    child.wait_for_completion(wait_post_processing=True)
"""
    child = """
import sys
from runfold import Run
run = Run.get_context()
run.log("fruit", sys.argv[2])
print(run.parent.id)
"""
    config = script(parent)
    (Path(config.source_directory) / "child.py").write_text(child)
    run = experiment.submit(config)
    run.wait_for_completion(wait_post_processing=True)
    children = list(run.get_children())
    assert sorted(one.get_metrics()["fruit"] for one in children) == ["Apple", "Banana"]
    for one in children:
        details = one.get_details_with_logs()
        assert (one.parent.id if one.parent else None) == run.id
        assert details["target"] == "gpu-compute"
        assert details["logFiles"]["user_logs/std_log.txt"] == f"{run.id}\n"
        said = " ".join(warning["message"] for warning in details["warnings"])
        assert "there is no compute target 'gpu-compute'" in said
        assert "Docker settings are ignored" in said
        assert "Docker settings are ignored" in details["logFiles"]["system_logs/agent_log.txt"]


@pytest.mark.parity("CX-01", "CX-04")
def test_a_script_does_not_end_its_own_run_its_exit_code_does(experiment: Experiment, script: Submit) -> None:
    text = """
from runfold import Run
run = Run.get_context()
assert Run.get_context() is run and Run.get_submitted_run() is run
run.cancel()
run.fail("said so")
run.complete()
try:
    with run:
        run.log("inside", 1)
        raise ValueError("not the run's end")
except ValueError:
    pass
print(run.get_status(), run.experiment.name, run.parent)
run.log("after", 2)
"""
    run = experiment.submit(script(text))
    details = run.wait_for_completion(wait_post_processing=True)
    assert details["status"] == "Completed"
    assert run.get_metrics() == {"inside": 1, "after": 2}
    assert run.get_details_with_logs()["logFiles"]["user_logs/std_log.txt"].endswith(
        "Running explore-runs None\n"
    )

    text = (
        "from runfold import Run\nRun.get_context().fail('no data', error_code='Mine')\nraise SystemExit(1)"
    )
    failed = experiment.submit(script(text))
    details = failed.wait_for_completion(wait_post_processing=True, raise_on_error=False)
    assert details["error"]["error"]["code"] == "Mine"
    assert details["error"]["error"]["message"].startswith("no data\nUser program ended with exit code 1.")


@pytest.mark.parity("SC-01")
def test_what_the_script_run_config_says_wins_over_its_run_configuration(
    experiment: Experiment, script: Submit
) -> None:
    config = RunConfiguration(script="other.py", arguments=["of the configuration"])
    config.environment_variables = {"NUMBER": 7}
    text = "import os, sys\nprint(sys.argv[1:], os.environ['NUMBER'])"
    run = experiment.submit(script(text, arguments=["own", 1], run_config=config))
    run.wait_for_completion(wait_post_processing=True)
    assert run.get_details_with_logs()["logFiles"]["user_logs/std_log.txt"] == "['own', '1'] 7\n"
    assert (config.script, config.arguments) == ("other.py", ["of the configuration"]), (
        "which stays as it was"
    )


@pytest.mark.parity("SC-05")
def test_what_cannot_be_submitted_says_why(experiment: Experiment, tmp_path: Path) -> None:
    with pytest.raises(
        SubmissionFailed, match=r"doesn't exist\. The script should be inside the project folder"
    ):
        experiment.submit(ScriptRunConfig(source_directory=tmp_path, script="missing.py"))
    (tmp_path / "outside.py").write_text("")
    (tmp_path / "in").mkdir()
    with pytest.raises(ExperimentExecutionException, match="script path doesn't exist"):
        experiment.submit(ScriptRunConfig(source_directory=tmp_path / "in", script="../outside.py"))
    with pytest.raises(AzureMLException, match=r"Method to be submitted has not been registered\."):
        experiment.submit("script.py")
    with pytest.raises(RunfoldError, match="exclude each other"):
        ScriptRunConfig(source_directory=tmp_path, script="a.py", command="b")
    assert LOCAL == "local"
    assert [run for run in experiment.get_runs() if run.get_status() == "NotStarted"] == []


@pytest.mark.parity("PR-06")
def test_a_secret_in_the_git_remote_is_nowhere(experiment: Experiment, script: Submit) -> None:
    config = script("print('hello')")
    for words in (("init", "-q"), ("remote", "add", "origin", "https://user:s3cr3t@host.example/r.git")):
        subprocess.run(["git", "-C", config.source_directory, *words], check=True)
    run = experiment.submit(config)
    run.wait_for_completion(wait_post_processing=True)
    properties = run.get_properties()
    assert properties["azureml.git.repository_uri"] == "https://host.example/r.git"
    assert properties["mlflow.source.git.repoURL"] == "https://host.example/r.git"
    assert properties["ContentSnapshotId"] == run.get_snapshot_id()
    assert "s3cr3t" not in repr((run.summary(), run.history(), run.get_details_with_logs()))
    with zipfile.ZipFile(run.restore_snapshot(path=Path(config.source_directory) / "again")) as packed:
        assert packed.namelist() == ["script.py"], "and .git is no part of the snapshot"
