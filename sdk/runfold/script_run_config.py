"""A script and how to run it: what :meth:`runfold.Experiment.submit` takes."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from runfold_events.contract.errors import Invalid

if TYPE_CHECKING:
    from runfold.environment import Environment
    from runfold.runconfig import DockerConfiguration, RunConfiguration

DURATION_S_DEFAULT: Final = 30 * 24 * 3600
_log = logging.getLogger("runfold")


class ScriptRunConfig:
    """A script in a folder, its arguments, and a run configuration. The script is looked for when it is submitted.

    Args:
        source_directory: the folder that is sent along; default: the current one.
        script: the script, relative to the folder.
        arguments: its arguments; what is no text is made one.
        run_config: how to run it; ``compute_target``, ``environment`` and the like are ignored beside it, with a
            warning. ``script`` and ``arguments`` win over what it says.
        compute_target: the name of a target.
        environment: where it is to run.
        distributed_job_config: kept; there is one process.
        resume_from: kept.
        max_run_duration_seconds: the run is failed when it takes longer; None: no limit.
        command: a command line (a text for the shell, or a list of words) instead of a script.
        docker_runtime_config: asks for a container; answered with a warning.

    Raises:
        Invalid: both ``script`` and ``command``.
    """

    def __init__(  # noqa: PLR0913, PLR0917  # Azure ML's signature
        self,
        source_directory: str | Path | None,
        script: str | None = None,
        arguments: Sequence[Any] | None = None,
        run_config: RunConfiguration | None = None,
        _telemetry_values: object = None,
        compute_target: Any = None,
        environment: Environment | None = None,
        distributed_job_config: object = None,
        resume_from: object = None,
        max_run_duration_seconds: int | None = DURATION_S_DEFAULT,
        command: str | Sequence[Any] | None = None,
        docker_runtime_config: DockerConfiguration | None = None,
    ) -> None:
        if script is not None and command is not None:
            raise Invalid(
                "script and command exclude each other: give one of them",
                facts={"field": "command", "limit": "script or command"},
            )
        self.source_directory = str(Path.cwd() if source_directory is None else source_directory)
        self.script = script
        self.arguments = _listed(arguments)
        self.command = command
        others = {
            "compute_target": compute_target,
            "environment": environment,
            "docker_runtime_config": docker_runtime_config,
        }
        self.run_config = _made(others, max_run_duration_seconds) if run_config is None else run_config
        ignored = [name for name, value in others.items() if value is not None]
        if run_config is not None and ignored:
            _log.warning("runfold: run_config is given, so %s is ignored", ", ".join(ignored))

    def effective(self) -> RunConfiguration:
        """The run configuration with what this object says over it."""
        config = self.run_config.copy()
        if self.script is not None:
            config.script, config.command = self.script, None
        if self.command is not None:
            config.command = self.command if isinstance(self.command, str) else list(self.command)
            config.script = None
        if self.arguments is not None:
            config.arguments = list(self.arguments)
        return config


def _listed(arguments: Sequence[Any] | None) -> list[Any] | None:
    if isinstance(arguments, str):
        raise Invalid(
            f"arguments must be a list, such as ['--lr', 0.1]; got the text {arguments[:80]!r}",
            facts={"field": "arguments", "limit": "a list", "size": arguments[:80]},
        )
    return None if arguments is None else list(arguments)


def _made(others: dict[str, Any], duration_s_max: int | None) -> RunConfiguration:
    from runfold.runconfig import RunConfiguration

    config = RunConfiguration()
    if others["compute_target"] is not None:
        config.target = others["compute_target"]
    if others["environment"] is not None:
        config.environment = others["environment"]
    if others["docker_runtime_config"] is not None:
        config.docker = others["docker_runtime_config"]
    config.max_run_duration_seconds = duration_s_max
    return config
