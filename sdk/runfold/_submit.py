"""Submitting scripts: a run that waits for an agent, with everything that the agent needs."""

# pyright: reportPrivateUsage=false
# Handles are friends of one another: what they share is no part of the public surface.

from __future__ import annotations

import logging
import secrets
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from runfold import _definition
from runfold._filters import labels
from runfold._git import git_properties
from runfold._script_run import ScriptRun
from runfold.environment import PYTHON
from runfold.errors import RunfoldError, SubmissionFailed
from runfold.runconfig import RunConfiguration
from runfold.script_run_config import ScriptRunConfig
from runfold_events.contract.commands import AdvanceRun, CreateRun, FailRun
from runfold_events.contract.limits import RUN_ID_CHARS_MAX
from runfold_events.contract.statuses import Status
from runfold_services.agent.definition import RUN_TYPE, RunDefinition

if TYPE_CHECKING:
    from runfold._experiment import Experiment

COMPUTE_TYPE_PROPERTY: Final = "_azureml.ComputeTargetType"
_ID_CHARS: Final = 21  # of the parts behind the experiment's name
_log = logging.getLogger("runfold")


def submit(
    experiment: Experiment,
    config: object,
    tags: Mapping[str, Any] | None,
    *,
    parent_run_id: str | None = None,
    display_name: str | None = None,
) -> ScriptRun:
    """Submit; see :meth:`runfold.Experiment.submit`."""
    script = _script_config(config)
    run_config = script.effective()
    folder = _definition.checked_folder(script.source_directory, run_config)
    own_tags = labels(tags or {}, "tags")
    _refuse_memory(experiment)
    command = CreateRun(
        run_id=_new_id(experiment.name),
        experiment=experiment.name,
        start=False,
        parent_run_id=parent_run_id,
        display_name=display_name,
        tags=own_tags,
        properties={COMPUTE_TYPE_PROPERTY: "local", **git_properties(folder)},
        target=run_config.target,
        run_type=RUN_TYPE,
    )
    run = ScriptRun._created_by(experiment, command)
    try:
        definition = _deposit(run, run_config, folder)
        run._call(AdvanceRun(run_id=run.id, status=Status.STARTING))
        _ensure_agent(run)
        run._view = None  # what was seen on the way is past
    except BaseException as error:
        _give_up(run, error)
        raise
    for warning in definition.warnings:
        _log.warning("runfold: %s", warning)
    return run


def _script_config(config: object) -> ScriptRunConfig:
    if isinstance(config, ScriptRunConfig):
        return config
    raise RunfoldError(
        f"Method to be submitted has not been registered. runfold submits a ScriptRunConfig; got "
        f"{type(config).__name__}",
        code="invalid",
        facts={"field": "config", "limit": "ScriptRunConfig", "size": type(config).__name__},
    )


def _deposit(run: ScriptRun, config: RunConfiguration, folder: Path) -> RunDefinition:
    """Store the folder and the definition."""
    snapshot_id = run.take_snapshot(folder)
    definition = _definition.definition_of(config, snapshot_id, _python(run.experiment))
    _definition.write(run, definition)
    return definition


def _python(experiment: Experiment) -> str:
    """The agent of an embedded ledger is on this machine, and may have been started from another environment by whoever
    submitted first; agents of a server are elsewhere, and have their own.
    """
    return sys.executable if experiment.workspace._url is None and sys.executable else PYTHON


def _give_up(run: ScriptRun, error: BaseException) -> None:
    """A run that was created and could not be handed in does not wait for ever."""
    from runfold._run_lifecycle import error_info

    try:
        run._call(FailRun(run_id=run.id, error=error_info(error, "SubmissionFailed")))
    except RunfoldError as refused:
        _log.warning("runfold: run %s was not submitted, and that was not recorded: %s", run.id, refused)


def _new_id(experiment: str) -> str:
    name = experiment.encode("ascii", "replace").decode().replace("?", "_")
    return f"{name[: RUN_ID_CHARS_MAX - _ID_CHARS]}_{int(time.time())}_{secrets.token_hex(4)}"


def _refuse_memory(experiment: Experiment) -> None:
    if experiment.workspace._is_in_memory:
        raise SubmissionFailed(
            "a workspace in memory is this process's own: no agent can see it. Use a workspace with a home, or a server"
        )


def _ensure_agent(run: ScriptRun) -> None:
    """An embedded ledger has no server beside it that people start agents with: one is started here."""
    workspace = run.experiment.workspace
    if workspace._url is None:
        from runfold import _local_agent

        _local_agent.ensure(
            workspace._home,
            workspace.name,
            workspace._connection.files,
            lambda: run.get_status() != Status.STARTING,
        )
