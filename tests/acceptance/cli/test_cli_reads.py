"""Reading runs from a terminal, over both transports."""

from __future__ import annotations

import json
import re

import pytest
import yaml

from runfold_events.contract.statuses import Status
from tests.support.command_line import EXPERIMENT, Cli, Story

pytestmark = pytest.mark.usefixtures("story")


@pytest.mark.parity("CL-03")
def test_run_list_shows_the_newest_root_runs_of_an_experiment(cli: Cli, story: Story) -> None:
    runs = cli("run", "list", "--experiment-name", EXPERIMENT).json

    assert [run["run_id"] for run in runs] == [story.parent, story.other]
    assert (
        runs[0]
        | {
            "experiment": EXPERIMENT,
            "status": "Completed",
            "display_name": "the sweep",
            "parent_run_id": None,
            "root_run_id": story.parent,
            "tags": {"worth another look": None, "quality": "fantastic run"},
            "properties": {"author": "azureml-user"},
            "params": {},
            "rejections": 1,
        }
        == runs[0]
    )
    assert all(re.fullmatch(r"[a-z_]+", key) for key in runs[0])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", runs[0]["created_at"])


def test_run_list_gives_dicts_never_null(cli: Cli) -> None:
    """A query such as tags.keys(@) must not stumble over a run without tags."""
    runs = cli("run", "list", "--include-children", "--all").json

    assert all(
        isinstance(run[name], dict) for run in runs for name in ("tags", "properties", "params", "metrics")
    )


@pytest.mark.parity("CL-04")
def test_run_list_chooses_among_all_runs_before_it_cuts(cli: Cli, story: Story) -> None:
    def ids(*arguments: str) -> list[str]:
        return [run["run_id"] for run in cli("run", "list", *arguments).json]

    assert ids("--last", "1") == [story.parent]
    assert ids("--last", "1", "--order-by", "created_at") == [story.other]
    assert ids("--parent-run-id", story.parent) == [story.canceled, story.failed, story.completed]
    assert ids("--parent", story.parent, "--status", "Failed", "--status", "canceled") == [
        story.canceled,
        story.failed,
    ]
    assert ids("--tags", "quality=fantastic run") == [story.parent]
    assert ids("--tag", "worth another look") == [story.parent]
    assert ids("--tag", "quality", "--property", "author=somebody-else") == [story.other]
    assert ids("--property", "author") == [story.parent, story.other]
    assert ids("--filter", "params.lr < 0.1 and metrics.loss.min <= 0.05", "--include-children") == [
        story.completed
    ]
    assert len(ids("--include-children", "--all")) == 6
    assert ids("--tag", "nowhere") == []


@pytest.mark.parity("CL-04")
@pytest.mark.parametrize("status", list(Status))
def test_every_status_can_be_asked_for(cli: Cli, status: Status) -> None:
    runs = cli("run", "list", "--status", status, "--include-children").json

    assert {run["status"] for run in runs} <= {status}


@pytest.mark.parity("CL-04")
def test_minimal_and_fields_narrow_what_is_loaded(cli: Cli, story: Story) -> None:
    (minimal,) = cli("run", "list", "--minimal", "--last", "1").json
    (chosen,) = cli("run", "list", "--fields", "tags.quality,properties.nothing", "--last", "1").json

    assert set(minimal) == {"run_id", "run_type", "status", "started_at", "ended_at", "target", "tags"}
    assert chosen == {"run_id": story.parent, "tags": {"quality": "fantastic run"}, "properties": {}}


def test_count_says_how_many(cli: Cli) -> None:
    assert cli("run", "list", "--include-children", "--count").json == 6
    assert cli("run", "list", "--count", "-o", "table").out == "2\n"


@pytest.mark.parity("CL-05")
def test_run_show_tells_everything_about_a_run(cli: Cli, story: Story) -> None:
    shown = cli("run", "show", "-r", story.parent).json

    assert shown == cli("run", "show", story.parent).json
    assert shown["children"] == {
        "direct": {"Completed": 1, "Failed": 1, "Canceled": 1},
        "descendants": {"Completed": 2, "Failed": 1, "Canceled": 1},
    }
    metrics = cli("run", "show", story.completed).json["metrics"]
    assert (
        metrics["loss"] | {"latest": 0.05, "min": 0.05, "max": 1.0, "count": 20, "step": 19}
        == metrics["loss"]
    )
    assert metrics["odd"] | {"latest": "NaN", "min": None, "max": None, "nan_count": 1} == metrics["odd"]
    assert set(metrics) == {"loss", "odd", "scores.f1", "scores.epoch"}


def test_a_run_is_found_by_the_beginning_of_its_id(cli: Cli, story: Story) -> None:
    everybody = [run["run_id"] for run in cli("run", "list", "--include-children", "--all").json]
    length = next(n for n in range(8, 37) if sum(one.startswith(story.failed[:n]) for one in everybody) == 1)

    assert cli("run", "show", story.failed[:length]).json["run_id"] == story.failed
    common = cli("run", "show", story.failed[:4], expect=2)
    assert "several runs begin with" in common.err
    cli("run", "show", "f" * 8, expect=3)


@pytest.mark.parity("CL-08")
def test_the_queries_of_the_seed_document(cli: Cli, story: Story) -> None:
    def found(query: str) -> list[str]:
        runs = cli("run", "list", "--experiment-name", EXPERIMENT, "--query", query).json
        return [run["run_id"] for run in runs]

    assert found("[?properties.author=='azureml-user']") == [story.parent]
    assert found("[?tags.keys(@)[?starts_with(@, 'worth another look')]]") == [story.parent]
    assert found("[?properties.author=='azureml-user' && tags.quality=='fantastic run']") == [story.parent]


def test_a_query_without_its_option_says_what_to_type(cli: Cli) -> None:
    said = cli("run", "list", "[?properties.author=='azureml-user']", expect=2)

    assert "--query" in said.err


@pytest.mark.parity("CL-09")
@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "list", "--all"),
        ("run", "show", "PARENT"),
        ("run", "children", "PARENT"),
        ("run", "children", "PARENT", "--tree"),
        ("run", "history", "PARENT"),
        ("run", "metrics", "COMPLETED"),
        ("run", "metrics", "COMPLETED", "--points"),
        ("run", "metrics", "PARENT", "--recursive"),
        ("run", "metrics", "COMPLETED", "--plot"),
        ("experiment", "list"),
        ("version",),
    ],
    ids=" ".join,
)
def test_every_answer_in_every_format(cli: Cli, story: Story, arguments: tuple[str, ...]) -> None:
    named = {"PARENT": story.parent, "COMPLETED": story.completed}
    command = [named.get(word, word) for word in arguments]

    data = cli(*command, "-o", "json").json
    assert data
    if "experiment" not in arguments:
        assert yaml.safe_load(cli(*command, "-o", "yaml").out) == _as_yaml(data)
    assert json.loads(re.sub(r"\x1b\[[\d;]*m", "", cli(*command, "-o", "jsonc").out)) == data
    assert cli(*command, "-o", "none").out == ""
    assert cli(*command, "-o", "tsv").lines
    assert cli(*command, "-o", "table").lines
    assert cli(*command, "-o", "json", "--query", "type(@)").json in {"array", "object"}


def _as_yaml(data: object) -> object:
    """YAML has no word for what JSON writes as text, so both are the same here."""
    return json.loads(json.dumps(data))


def test_tables_name_statuses_with_a_symbol(cli: Cli, story: Story) -> None:
    lines = cli("run", "children", story.parent, "-o", "table").lines

    assert lines[0].split() == ["STATUS", "RUN", "NAME", "EXPERIMENT", "CREATED", "TOOK"]
    assert [line.split()[:3] for line in lines[1:4]] == [
        ["⊘", "Canceled", story.canceled],
        ["✗", "Failed", story.failed],
        ["✓", "Completed", story.completed],
    ]
    assert lines[-1] == "⊘ 1 Canceled   ✓ 1 Completed   ✗ 1 Failed"


def test_an_identification_survives_the_narrowest_terminal(
    cli: Cli, story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    lines = cli("run", "list", "-o", "table").lines

    assert lines[1].split()[:3] == ["✓", "Completed", story.parent]
    assert all(len(line) <= 60 for line in lines)


def test_the_tree_shows_what_is_below_what(cli: Cli, story: Story) -> None:
    drawn = cli("run", "children", story.parent, "--tree", "-o", "table").lines
    nested = cli("run", "children", story.parent, "--tree").json

    assert re.match(rf"✓ Completed  {story.parent}  \[⊘ 1  ✓ 1  ✗ 1\]  the sweep", drawn[0])
    assert re.match(rf"├── ✓ Completed  {story.completed}  \[✓ 1\]  first", drawn[1])
    assert re.match(rf"│   └── ✓ Completed  {story.grandchild}  deeper", drawn[2])
    assert [child["run_id"] for child in nested["children"]] == [
        story.completed,
        story.failed,
        story.canceled,
    ]
    assert nested["children"][0]["children"][0]["run_id"] == story.grandchild


def test_a_tree_filtered_by_status_keeps_the_way_there(cli: Cli, story: Story) -> None:
    nested = cli("run", "children", story.parent, "--tree", "--status", "Completed").json

    assert [child["run_id"] for child in nested["children"]] == [story.completed]


def test_a_tree_that_is_cut_says_so(cli: Cli, story: Story) -> None:
    drawn = cli("run", "children", story.parent, "--tree", "--last", "2", "-o", "table").out

    assert "… and 2 runs more: --last 4" in drawn


def test_children_recursive_lists_all_descendants(cli: Cli, story: Story) -> None:
    below = [run["run_id"] for run in cli("run", "children", story.parent, "--recursive").json]

    assert set(below) == {story.completed, story.failed, story.canceled, story.grandchild}


def test_history_tells_who_was_refused_what(cli: Cli, story: Story) -> None:
    entries = cli("run", "history", story.parent).json
    (refused,) = cli("run", "history", story.parent, "--refused").json
    shown = cli("run", "history", story.parent, "-o", "table").out

    assert [entry["stream_seq"] for entry in entries] == list(range(1, len(entries) + 1))
    assert refused["type"] == "run.command_rejected"
    assert (
        refused["body"]["facts"] | {"current": "azureml-user", "attempted": "different-user"}
        == refused["body"]["facts"]
    )
    assert refused["actor"] in shown
    line = next(line for line in shown.splitlines() if "✗" in line)
    assert "was refused: property author is 'azureml-user'" in line
    assert "'different-user'" in " ".join(shown.split())


def test_metrics_are_summed_up(cli: Cli, story: Story) -> None:
    rows = {row["name"]: row for row in cli("run", "metrics", story.completed).json}
    lines = cli("run", "metrics", story.completed, "-o", "table").lines

    assert rows["loss"]["latest"] == 0.05
    assert rows["loss"]["step"] == 19
    assert lines[0].split() == ["METRIC", "LATEST", "MIN", "MAX", "STEP", "POINTS", "KIND"]
    assert next(line for line in lines if line.startswith("loss")).split() == [
        "loss",
        "0.05",
        "0.05",
        "1.0",
        "19",
        "20",
        "scalar",
    ]
    assert next(line for line in lines if line.startswith("odd")).split()[1:3] == ["NaN", "-"]
    columns = cli("run", "metrics", story.completed, "--name", "scores").json
    assert {row["name"] for row in columns} == {"scores.epoch", "scores.f1"}


def test_metrics_of_a_whole_tree(cli: Cli, story: Story) -> None:
    rows = cli("run", "metrics", story.parent, "--recursive", "--name", "loss").json

    assert {row["run_id"] for row in rows} == {story.completed, story.grandchild}


def test_points_and_curves(cli: Cli, story: Story) -> None:
    (series,) = cli("run", "metrics", story.completed, "--name", "loss", "--points").json
    (last,) = cli("run", "metrics", story.completed, "--name", "loss", "--points", "--last", "3").json
    drawn = cli("run", "metrics", story.completed, "--name", "loss", "--plot", "-o", "table").out

    assert series["steps"] == list(range(20))
    assert series["columns"]["loss"][3] == 0.25
    assert last["steps"] == [17, 18, 19]
    assert drawn.startswith("loss")
    assert "1.00┤" in drawn
    assert "└┬" in drawn


def test_a_metric_that_is_not_there_names_those_that_are(cli: Cli, story: Story) -> None:
    said = cli("run", "metrics", story.completed, "--name", "accuracy", expect=3)

    assert "it has: " in said.err
    assert "loss" in said.err
    cli("run", "metrics", story.completed, "--name", "accuracy", "--points", expect=3)


@pytest.mark.parity("CL-10")
def test_experiments_are_listed_with_their_runs_by_status(cli: Cli) -> None:
    (experiment,) = cli("experiment", "list").json

    assert experiment["experiment"] == EXPERIMENT
    assert experiment["runs"] == {"Completed": 4, "Failed": 1, "Canceled": 1}
    assert "✓ 4 Completed" in cli("experiment", "list", "-o", "table").out


def test_what_users_stored_is_not_obeyed_by_the_terminal(cli: Cli, story: Story) -> None:
    for arguments in (
        ("run", "show", story.failed),
        ("run", "history", story.failed),
        ("run", "list", "--all"),
    ):
        said = cli(*arguments, "-o", "table")
        assert "\x1b" not in said.out
    assert "[bold]nan[/bold]" in cli("run", "show", story.failed, "-o", "table").out


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("run", "show", "nosuch"), 3, "there is no run 'nosuch'"),
        (("run", "history", "nosuch"), 3, "runfold run list"),
        (("run", "list", "-e", "nosuch"), 3, "nosuch"),
        (("run", "show", "a/b"), 2, "A-Z a-z 0-9"),
        (("run", "show", "x" * 257), 2, "256"),
        (("run", "list", "--filter", "status ="), 2, "column"),
        (("run", "list", "--filter", "statsu = 'Running'"), 2, "did you mean status?"),
        (("run", "list", "--filter", "("), 2, "filter"),
        (("run", "list", "--filter", "x" * 9_000), 2, "8192"),
        (("run", "list", "--order-by", "nosuch"), 2, "nosuch"),
        (("run", "list", "--fields", "nosuch"), 2, "nosuch"),
        (("run", "list", "--query", "[?"), 2, "at its end"),
        (("run", "list", "-e", "a b"), 2, "Experiment name"),
    ],
)
def test_bad_input_gives_one_line_that_names_it(
    cli: Cli, arguments: tuple[str, ...], code: int, said: str
) -> None:
    answer = cli(*arguments, expect=code)

    assert answer.out == ""
    assert answer.err.count("\n") == 1
    assert answer.err.startswith("runfold: ")
    assert said in answer.err
