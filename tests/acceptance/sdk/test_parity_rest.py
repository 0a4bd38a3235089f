"""Members of Azure ML's classes that scripts seldom use."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from runfold import ComputeTarget, Conflict, Experiment, Invalid, NotFound, Run, Workspace
from runfold._config import Config, write_config
from runfold.errors import NeedsAzure
from runfold_events.contract.commands import CreateRun
from runfold_projections.model import RunView


class SweepRun(Run):
    """What somebody might make of runs of a type of theirs."""


def sweep_run(experiment: Experiment, view: RunView) -> Run:
    return SweepRun(experiment, view.run_id)


def create(
    experiment: Experiment, run_id: str, *, run_type: str | None = None, target: str = "local"
) -> None:
    """A run of a type and target, as submitting makes them."""
    run = Run.__new__(Run)
    run._bind(experiment, run_id)  # pyright: ignore[reportPrivateUsage]  # what submitting does
    run._call(  # pyright: ignore[reportPrivateUsage]
        CreateRun(run_id=run_id, experiment=experiment.name, run_type=run_type, target=target)
    )


@pytest.mark.parity("RN-05")
def test_list_by_compute_finds_what_was_submitted_to_a_target(
    workspace: Workspace, experiment: Experiment
) -> None:
    create(experiment, "one", target="gpu-compute")
    create(Experiment(workspace, "another"), "two", target="gpu-compute", run_type="sweep.of.compute")
    create(experiment, "three", target="it's")
    experiment.start_logging(run_id="four").complete()
    compute = ComputeTarget(workspace, "gpu-compute")

    assert [run.id for run in Run.list_by_compute(compute)] == ["two", "one"]
    assert [run.id for run in Run.list_by_compute(compute, type="sweep.of.compute")] == ["two"]
    assert [run.id for run in Run.list_by_compute(ComputeTarget(workspace, "it's"))] == ["three"]
    assert list(Run.list_by_compute(compute, status="Failed")) == []
    with pytest.raises(Invalid):
        Run.list_by_compute(compute, tags=["k"])  # type: ignore[arg-type]


@pytest.mark.parity("RN-06")
def test_runs_of_a_type_get_handles_of_somebodys_own_kind(
    workspace: Workspace, experiment: Experiment
) -> None:
    run_type = f"sweep.{workspace.name}"
    create(experiment, "theirs", run_type=run_type)
    experiment.start_logging(run_id="plain").complete()
    Run.add_type_provider(run_type, sweep_run)

    assert [type(run) for run in experiment.get_runs()] == [Run, SweepRun]
    assert type(Run.get(workspace, "theirs")) is SweepRun
    assert [type(run) for run in Run.list(experiment, _rehydrate_runs=False)] == [Run, Run]
    with pytest.raises(ValueError, match="already"):
        Run.add_type_provider(run_type, sweep_run)


@pytest.mark.parity("EX-12")
def test_only_an_experiment_without_runs_can_be_deleted(workspace: Workspace, experiment: Experiment) -> None:
    empty = Experiment(workspace, "a-mistake")
    experiment.start_logging().complete()

    Experiment.delete(workspace, empty.id)
    with pytest.raises(Conflict, match="Only empty experiments can be deleted"):
        Experiment.delete(workspace, experiment.id)
    with pytest.raises(NotFound, match="no experiment with the id"):
        Experiment.delete(workspace, "no-such-id")

    assert list(workspace.experiments) == [experiment.name]


@pytest.mark.parity("EX-12")
def test_archived_time_is_when_it_was_archived(experiment: Experiment) -> None:
    def archived_times() -> list[datetime | None]:
        before = experiment.archived_time
        experiment.refresh()
        return [before, experiment.archived_time]

    assert archived_times() == [None, None]
    experiment.archive()
    before, archived = archived_times()
    assert before is None
    assert archived is not None
    assert abs(archived - datetime.now(UTC)) < timedelta(minutes=10)
    experiment.reactivate()
    assert archived_times() == [archived, None]


def test_from_directory_finds_the_experiment_of_an_attached_folder(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not workspace.location.startswith("http"):
        monkeypatch.setenv("RUNFOLD_HOME", workspace.location)
    url = workspace.location if workspace.location.startswith("http") else None
    write_config(Config(workspace=workspace.name, url=url, experiment="attached"), tmp_path, "config.json")
    below = tmp_path / "src"
    below.mkdir()

    found = Experiment.from_directory(below)

    assert (found.name, found.workspace.name) == ("attached", workspace.name)
    workspace.write_config(tmp_path)
    with pytest.raises(Invalid, match="names no experiment"):
        Experiment.from_directory(tmp_path)


def test_what_needs_azure_says_so(workspace: Workspace, experiment: Experiment) -> None:
    with experiment.start_logging() as run:
        calls: list[Callable[[], object]] = [
            lambda: run.register_model("m", "outputs/m.bin"),
            lambda: run.get_secret("s"),
            lambda: run.get_secrets(["s"]),
            workspace.get_mlflow_tracking_uri,
        ]
        for call in calls:
            with pytest.raises(NeedsAzure, match="needs Azure's"):
                call()
    assert run.get_status() == "Completed"
    assert not hasattr(workspace, "datastores")
    with pytest.raises(AttributeError, match=r"Workspace\.datastores needs Azure itself"):
        _ = workspace.datastores  # type: ignore[attr-defined]
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = workspace.nothing  # type: ignore[attr-defined]


def test_workspaces_are_names(
    workspace: Workspace, experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "RUNFOLD_URL" if workspace.location.startswith("http") else "RUNFOLD_HOME"
    monkeypatch.setenv(name, workspace.location)

    assert Workspace.get(workspace.name, subscription_id="s", resource_group="g").name == workspace.name
    assert list(Workspace.create(workspace.name, exist_ok=True).experiments) == [experiment.name]
    with pytest.raises(Conflict, match="has experiments already"):
        Workspace.create(workspace.name)
    assert Workspace.create(f"{workspace.name[:20]}-new").experiments == {}


def test_notebooks_get_a_table_in_which_nothing_is_markup(experiment: Experiment) -> None:
    run = experiment.start_logging()
    run.complete()
    shown = run._repr_html_()  # pyright: ignore[reportPrivateUsage]  # what notebooks call

    assert f"<td>{run.id}</td>" in shown
    assert shown.startswith("<table>")
    assert experiment.name in experiment._repr_html_()  # pyright: ignore[reportPrivateUsage]
    assert run.identity == f"Run#{run.id}"
    assert experiment.identity == f"Experiment#{experiment.id}"
    assert Run.get_docs_url().startswith("https://")
    assert Experiment.get_docs_url().startswith("https://")
