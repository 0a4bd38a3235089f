"""``runfold az ml …``: what people from Azure type, and what they get, over both transports."""

from __future__ import annotations

import json
import re
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
import yaml

from runfold import Experiment, RunConfiguration, Workspace
from tests.support.command_line import EXPERIMENT, Cli, Story

ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z\Z")
KEYS = {
    "run_number", "root_run_id", "experiment_id", "created_utc", "user_id", "run_id", "status", "start_time_utc",
    "end_time_utc", "heartbeat_enabled", "name", "data_container_id", "hidden", "run_type_v2", "properties", "target",
    "tags", "created_by", "_experiment_name",
}  # fmt: skip


def test_login_says_that_nothing_needs_logging_in(cli: Cli) -> None:
    said = cli("az", "login")

    assert "nothing needs logging in" in said.err
    assert said.json["workspace"] == "story"


@pytest.mark.parity("CL-03")
def test_run_list_has_azures_keys(cli: Cli, story: Story) -> None:
    runs = cli("az", "ml", "run", "list", "--experiment-name", EXPERIMENT).json

    assert [run["run_id"] for run in runs] == [story.parent, story.other]
    newest = runs[0]
    assert set(newest) - {"display_name"} == KEYS
    assert newest["status"] == "Completed"
    assert newest["root_run_id"] == story.parent
    assert newest["_experiment_name"] == EXPERIMENT
    assert newest["data_container_id"] == f"dcid.{story.parent}"
    assert newest["tags"] == {"worth another look": None, "quality": "fantastic run"}
    assert newest["created_by"] == {"user_name": newest["user_id"]}
    assert all(ISO.match(newest[key]) for key in ("created_utc", "start_time_utc", "end_time_utc"))
    (child,) = cli("az", "ml", "run", "list", "--parent-run-id", story.completed).json
    assert (child["parent_run_id"], child["tags"]) == (story.completed, {})


@pytest.mark.parity("CL-08")
@pytest.mark.parametrize(
    "query",
    [
        "[?properties.author=='azureml-user']",
        "[?tags.keys(@)[?starts_with(@, 'worth another look')]]",
        "[?properties.author=='azureml-user' && tags.quality=='fantastic run']",
    ],
)
def test_the_documents_queries_find_the_run(cli: Cli, story: Story, query: str) -> None:
    found = cli("az", "ml", "run", "list", "--experiment-name", EXPERIMENT, "--query", query).json

    assert [run["run_id"] for run in found] == [story.parent]


@pytest.mark.parity("CL-08")
def test_a_query_without_its_option_is_told_how(cli: Cli) -> None:
    said = cli(
        "az",
        "ml",
        "run",
        "list",
        "--experiment-name",
        EXPERIMENT,
        "[?properties.author=='azureml-user']",
        expect=2,
    )

    assert "--query" in said.err


@pytest.mark.parity("CL-04")
def test_minimal_has_azures_seven_keys(cli: Cli, story: Story) -> None:
    (run,) = cli("az", "ml", "run", "list", "--minimal", "--last", "1").json

    assert list(run) == ["RunId", "RunType", "Status", "StartTime", "EndTime", "Target", "Tags"]
    assert run["RunId"] == story.parent


@pytest.mark.parity("CL-04")
def test_lists_are_cut_by_target_and_status(cli: Cli) -> None:
    assert len(cli("az", "ml", "run", "list", "--compute-target-name", "local").json) == 2
    assert cli("az", "ml", "run", "list", "--compute-target-name", "gpu's").json == []
    assert (
        cli("az", "ml", "run", "list", "--compute-target-name", "local", "--filter", "tags.none = 'x'").json
        == []
    )
    assert cli("az", "ml", "run", "list", "--status", "Canceled", "--include-children", "--count").json == 1


@pytest.mark.parity("CL-05")
def test_run_show_is_one_run_of_the_list(cli: Cli, story: Story) -> None:
    shown = cli("az", "ml", "run", "show", "-r", story.parent, "-g", "group", "--subscription-id", "s").json
    failed = cli("az", "ml", "run", "show", "-r", story.failed, "-e", EXPERIMENT).json

    assert shown in cli("az", "ml", "run", "list").json
    assert failed["error"]["error_type"] == "ValueError"
    assert failed["parent_run_id"] == story.parent
    assert "not in experiment" in cli("run", "show", story.failed, "-e", "another", expect=3).err


def test_experiment_list_has_azures_keys(cli: Cli) -> None:
    (experiment,) = cli("az", "ml", "experiment", "list").json

    assert set(experiment) == {"name", "experiment_id", "created_utc", "tags"}
    assert experiment["name"] == EXPERIMENT


@pytest.mark.parity("CL-07")
def test_update_adds_and_changes_tags(fresh_cli: Cli, fresh: Workspace) -> None:
    with Experiment(fresh, "updates").start_logging(tags={"quality": "great run"}) as run:
        pass

    shown = fresh_cli("az", "ml", "run", "update", "-r", run.id, "--add-tag", "quality=fantastic run").json
    assert shown["tags"] == {"quality": "fantastic run"}
    assert set(shown) == KEYS
    ours = fresh_cli(
        "run",
        "update",
        run.id,
        "--add-tag",
        "worth another look",
        "--add-tag",
        "a=b=c",
        "--display-name",
        "the best",
    ).json
    assert ours["tags"] == {"quality": "fantastic run", "worth another look": None, "a": "b=c"}
    assert ours["display_name"] == "the best"
    assert fresh_cli("run", "update", run.id, "--description", "text").json["description"] == "text"
    assert "say what to change" in fresh_cli("run", "update", run.id, expect=2).err


@pytest.mark.parity("CL-06")
def test_cancel_says_azures_sentence_where_it_is_true(fresh_cli: Cli, fresh: Workspace) -> None:
    run = Experiment(fresh, "cancels").start_logging()
    said = fresh_cli.apart("az", "ml", "run", "cancel", "-r", run.id, "-e", "cancels")
    assert said.out == ""
    assert "has not ended yet" in said.err
    run.cancel()

    said = fresh_cli.apart("az", "ml", "run", "cancel", "-r", run.id, "-w", fresh.name, "-e", "cancels")
    assert said.out == "Experiment run canceled successfully.\n"
    done = Experiment(fresh, "cancels").start_logging()
    done.complete()
    said = fresh_cli.apart("az", "ml", "run", "cancel", "-r", done.id, expect=1)
    assert said.out == ""
    assert "Completed" in said.err


@pytest.mark.parity("CL-09")
@pytest.mark.parametrize("format", ["json", "jsonc", "yaml", "yamlc", "table", "tsv", "none"])
def test_every_format_of_azures_is_there(cli: Cli, story: Story, format: str) -> None:
    said = cli("az", "ml", "run", "list", "-o", format)

    assert (story.parent in said.out) is (format != "none")
    assert ("\x1b[" in said.out) is (format in {"jsonc", "yamlc"})


@pytest.mark.parity("CL-09")
def test_yamlc_is_yaml_in_colours(cli: Cli) -> None:
    coloured = cli("run", "list", "-o", "yamlc").out

    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == cli("run", "list", "-o", "yaml").out


def test_azure_answers_json_on_a_terminal_too(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)

    assert cli("az", "ml", "run", "list").json
    assert cli("run", "list").out.partition("STATUS")[1]


def test_tables_have_local_times_and_json_has_utc(
    cli: Cli, story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "XYZ-09:30")  # this zone is 9.5 hours ahead of UTC
    time.tzset()
    try:
        text = cli("run", "show", story.parent, "-o", "table").out
        created = cli("az", "ml", "run", "show", "-r", story.parent).json["created_utc"]
        local = datetime.fromisoformat(created).astimezone(timezone(timedelta(hours=9.5)))
    finally:
        monkeypatch.undo()
        time.tzset()

    assert f"{local:%Y-%m-%d %H:%M:%S} +0930" in text


def test_the_answer_goes_into_a_new_file_too(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "runs.json"
    said = cli("az", "ml", "run", "list", "-t", str(file), "--query", "[].run_id")

    assert [run["run_id"] for run in json.loads(file.read_text())] == said.json
    before = file.read_bytes()
    refused = cli("az", "ml", "run", "list", "--output-metadata-file", str(file), expect=2)
    assert "is there already" in refused.err
    assert file.read_bytes() == before


@pytest.mark.parity("CL-01")
def test_a_folder_is_attached_to_a_workspace(place: tuple[str, ...], cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "training"
    cli.place = place
    said = cli(
        "az", "ml", "folder", "attach", "-w", "myworkspace", "-g", "myresourcegroup", "--path", str(folder)
    )

    assert said.json == {
        "Experiment name": "training",
        "Subscription id": None,
        "Resource group": "myresourcegroup",
        "Workspace name": "myworkspace",
        "Project path": str(folder),
    }
    config = json.loads((folder / ".azureml" / "config.json").read_text())
    assert config["Scope"].endswith("/resourceGroups/myresourcegroup/providers/Microsoft.MachineLearningServices"
                                    "/workspaces/myworkspace/projects/training")  # fmt: skip
    assert config.get("url") == (place[1] if place[0] == "--url" else None)
    assert ".azureml" in (folder / ".amlignore").read_text().splitlines()
    assert RunConfiguration.load(folder, "local").environment.docker.enabled is False
    assert RunConfiguration.load(folder, "docker").environment.docker.enabled is True
    assert yaml.safe_load((folder / ".azureml" / "conda_dependencies.yml").read_text())["dependencies"]


@pytest.mark.parity("CL-01")
def test_attaching_again_keeps_what_somebody_wrote(place: tuple[str, ...], cli: Cli, tmp_path: Path) -> None:
    cli.place = (*place, "--path", str(tmp_path))
    cli("folder", "attach", "-w", "first", "-g", "group", "-e", "one")
    (tmp_path / ".amlignore").write_text("mine\n")
    again = cli("folder", "attach", "-e", "two").json

    assert (again["Workspace name"], again["Resource group"], again["Experiment name"]) == (
        "first",
        "group",
        "two",
    )
    assert (tmp_path / ".amlignore").read_text() == "mine\n"
    bad = tmp_path / "no experiment's name"
    cli.place = (*place, "--path", str(bad))
    assert "name one: -e NAME" in cli("folder", "attach", expect=2).err
    assert not bad.exists()


def test_what_is_said_wins_over_the_folder_and_the_folder_over_the_environment(
    place: tuple[str, ...], cli: Cli, fresh: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workspace and experiment: explicit, else the config.json that is found from --path, else defaults."""
    for name in ("one", "two"):
        Experiment(fresh, name).start_logging(run_id=f"of-{name}").complete()
    cli.place = (*place, "--path", str(tmp_path / "sub"))
    monkeypatch.setenv("RUNFOLD_WORKSPACE", "elsewhere")
    assert cli("az", "ml", "run", "list").json == []
    cli.place = (*place, "--path", str(tmp_path))
    cli("folder", "attach", "-w", fresh.name, "-e", "one")

    cli.place = (*place, "--path", str(tmp_path / "sub"))
    assert [run["run_id"] for run in cli("az", "ml", "run", "list").json] == ["of-one"]
    assert [run["run_id"] for run in cli("az", "ml", "run", "list", "-e", "two").json] == ["of-two"]
    assert len(cli("run", "list").json) == 2
    assert cli("run", "list", "-w", "elsewhere").json == []


@pytest.mark.parity("CL-10")
def test_monitor_logs_shows_how_a_run_ended(cli: Cli, story: Story) -> None:
    said = cli("az", "ml", "run", "monitor-logs", "-r", story.completed)

    assert said.lines[0] == f"RunId: {story.completed}"
    assert "Execution Summary" in said.lines
    assert "failed" in cli("run", "monitor-logs", story.failed, expect=1).err
