"""Submitted runs of a real ledger, as an agent sees them."""

# What the SDK has for agents is no part of its public surface.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import time

import msgspec
import pytest

from runfold import Experiment
from runfold._agent_runs import WorkspaceRuns
from runfold._workspace import Workspace
from runfold.testing import memory_workspace
from runfold_events.contract.commands import AdvanceRun, Command, CreateRun, EnsureExperiment, ErrorInfo
from runfold_events.contract.statuses import Status
from runfold_services.agent.definition import RUN_TYPE


def said(workspace: Workspace, command: Command, run_id: str) -> None:
    connection = workspace._connection
    connection.call(connection.run_stream(workspace.name, run_id), command)


def submitted(workspace: Workspace, run_id: str, parent: str | None = None) -> None:
    command = CreateRun(run_id=run_id, experiment="e", start=False, parent_run_id=parent, run_type=RUN_TYPE)
    said(workspace, command, run_id)
    said(workspace, AdvanceRun(run_id=run_id, status=Status.STARTING), run_id)


def test_children_that_wait_are_found_behind_older_runs() -> None:
    with memory_workspace() as workspace:
        connection = workspace._connection
        connection.call(connection.experiment_stream(workspace.name, "e"), EnsureExperiment(experiment="e"))
        for run_id in ("parent", "other"):
            submitted(workspace, run_id)
        for run_id, parent in (("child", "parent"), ("stranger", "other")):
            submitted(workspace, run_id, parent)
        runs = WorkspaceRuns(workspace)
        assert [view.run_id for view in runs.waiting(2)] == ["parent", "other"]
        found = runs.waiting_below(["parent", "child"], 2)
        assert [(view.run_id, view.parent_run_id) for view in found] == [("child", "parent")]


def test_what_an_agent_says_of_a_run_yields_to_one_that_has_adopted_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with memory_workspace() as workspace:
        runs = WorkspaceRuns(workspace)
        said: list[Command] = []

        def call(_stream: object, command: Command) -> None:
            said.append(command)

        monkeypatch.setattr(workspace._connection, "call", call)
        runs.advance("r", Status.QUEUED)
        runs.fail("r", ErrorInfo(message="why"))
        assert [msgspec.to_builtins(command)["unless_adopted"] for command in said] == [True, True]


@pytest.mark.skipif(
    not hasattr(time, "CLOCK_BOOTTIME"), reason="where no clock tells how long a machine slept"
)
def test_a_lease_ages_while_the_machine_sleeps(monkeypatch: pytest.MonkeyPatch) -> None:
    with memory_workspace() as workspace:
        run = Experiment(workspace, "e").start_logging()
        runs = WorkspaceRuns(workspace)
        assert runs.lease_age_s() < 60
        awoken_at = time.clock_gettime(time.CLOCK_BOOTTIME) + 1_000  # of which time.monotonic knows nothing

        def after_sleep(_clock: int) -> float:
            return awoken_at

        monkeypatch.setattr(time, "clock_gettime", after_sleep)
        assert runs.lease_age_s() > 900
        monkeypatch.undo()
        run.complete()
