"""Submitting, and waiting for runs with their logs on the screen."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runfold.cli.commands.one_run import show_answer
from runfold.cli.session import Session
from runfold.errors import RunFailed

if TYPE_CHECKING:
    from runfold._run import Run
    from runfold.script_run_config import ScriptRunConfig


def submit(
    session: Session,
    *,
    configuration: str | None,
    experiment: str | None,
    source_directory: Path | None,
    does_not_wait: bool,
    conda_dependencies: str | None,
    target: str | None,
    words: tuple[str, ...],
) -> None:
    """Submit a script; unless it ``does_not_wait``, show its logs on stderr until it has ended. Answers with the run.

    Raises:
        RunFailed: it ended as Failed.
    """
    from runfold import Experiment

    project = session.options.path or Path()
    config = _script_config(project, source_directory or project, configuration, words)
    if target is not None:
        config.run_config.target = target
    if conda_dependencies is not None:
        config.run_config.environment.python.conda_dependencies_file = conda_dependencies
    run = Experiment(session.workspace, experiment or _experiment_of(session)).submit(config)
    if does_not_wait:
        session.output.answer(show_answer(session, session.find(run.id)))
        return
    try:
        with contextlib.redirect_stdout(session.output.err):  # the answer alone is for stdout
            monitor(run)
    finally:
        session.output.answer(show_answer(session, session.find(run.id)))


def _script_config(
    project: Path, folder: Path, configuration: str | None, words: tuple[str, ...]
) -> ScriptRunConfig:
    from runfold import RunConfiguration, ScriptRunConfig

    run_config = (
        RunConfiguration() if configuration is None else RunConfiguration.load(project, configuration)
    )
    return ScriptRunConfig(
        str(folder), script=words[0], arguments=list(words[1:]) or None, run_config=run_config
    )


def _experiment_of(session: Session) -> str:
    config = session.config
    if config is None or config.experiment is None:
        raise click.UsageError(
            "name the experiment: -e NAME, or attach the folder: runfold folder attach -e NAME"
        )
    return config.experiment


def monitor(run: Run) -> None:
    """Print the logs until the run has ended.

    Raises:
        RunFailed: it ended as Failed.
    """
    try:
        run.wait_for_completion(show_output=True, wait_post_processing=True)
    except RunFailed:
        sys.stdout.flush()
        raise RunFailed(f"run {run.id} failed; its error stands above", facts={"run_id": run.id}) from None
