"""Run configurations: how a script is to be run, and the files that say so (``azureml.core.runconfig``).

Attributes, defaults and keys are Azure ML's. Settings that mean something to a service in the cloud only (frameworks,
clusters, data) are kept and written again, and change nothing here.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final, Self

from runfold import _runconfig_files
from runfold._sections import Section
from runfold.environment import (
    DEFAULT_CPU_IMAGE,
    DEFAULT_GPU_IMAGE,
    DockerSection,
    Environment,
    PythonSection,
)
from runfold_events.contract.errors import Invalid

LOCAL: Final = "local"  # the target that every agent is
FRAMEWORK_PYTHON: Final = "Python"
COMMUNICATOR_NONE: Final = "None"
GRACE_S_DEFAULT: Final = 3.0

__all__ = [
    "DEFAULT_CPU_IMAGE",
    "DEFAULT_GPU_IMAGE",
    "LOCAL",
    "DockerConfiguration",
    "DockerSection",
    "Environment",
    "HistoryConfiguration",
    "PythonSection",
    "RunConfiguration",
]


class HistoryConfiguration(Section):
    """What is kept of a run besides what it logs.

    Attributes:
        output_collection: store what the script leaves under ``outputs/``.
        snapshot_project: kept; a submitted run always has a snapshot, since that is what its agent runs.
        directories_to_watch: folders whose files are stored while they grow.
    """

    KEYS: ClassVar[Mapping[str, str]] = {
        "output_collection": "outputCollection",
        "snapshot_project": "snapshotProject",
        "directories_to_watch": "directoriesToWatch",
    }

    def __init__(self) -> None:
        self.output_collection: bool = True
        self.snapshot_project: bool = True
        self.directories_to_watch: list[str] = ["logs"]


class DockerConfiguration(Section):
    """The newer way to ask for a container; answered with a warning like the older one."""

    KEYS: ClassVar[Mapping[str, str]] = {
        "use_docker": "useDocker",
        "shared_volumes": "sharedVolumes",
        "arguments": "arguments",
        "shm_size": "shmSize",
    }

    def __init__(
        self,
        use_docker: bool = False,
        shared_volumes: bool = True,
        arguments: Sequence[str] | None = None,
        shm_size: str | None = "2g",
    ) -> None:
        self.use_docker = use_docker
        self.shared_volumes = shared_volumes
        self.arguments: list[str] = list(arguments or ())
        self.shm_size = shm_size


class AgentConfiguration(Section):
    """What only runfold's agents know.

    Attributes:
        when_lost: what another agent does with the run when its agent is gone: ``fail`` it, or execute it ``again``
            from the beginning. Only who wrote the script knows whether that does harm, so it stands here.
        grace_s: seconds between SIGTERM and SIGKILL when the run is to end.
    """

    KEYS: ClassVar[Mapping[str, str]] = {"when_lost": "whenLost", "grace_s": "graceS"}

    def __init__(self) -> None:
        self.when_lost: str = "fail"
        self.grace_s: float = GRACE_S_DEFAULT


class RunConfiguration(Section):
    """How to run a script.

    Args:
        script: the script, relative to the source directory.
        arguments: its arguments.
        framework: kept.
        communicator: kept.
        conda_dependencies: kept; see :mod:`runfold.environment`.
        command: a command line instead of a script.
    """

    KEYS: ClassVar[Mapping[str, str]] = {
        "script": "script",
        "arguments": "arguments",
        "command": "command",
        "target": "target",
        "framework": "framework",
        "communicator": "communicator",
        "max_run_duration_seconds": "maxRunDurationSeconds",
        "node_count": "nodeCount",
        "environment": "environment",
        "environment_variables": "environmentVariables",
        "history": "history",
        "docker": "docker",
        "agent": "runfold",
    }

    def __init__(
        self,
        script: str | None = None,
        arguments: Sequence[Any] | None = None,
        framework: str | None = None,
        communicator: str | None = None,
        conda_dependencies: Any = None,
        _history_enabled: bool | None = None,
        _path: str | Path | None = None,
        _name: str | None = None,
        command: str | Sequence[Any] | None = None,
    ) -> None:
        self.script = script
        self.arguments: list[Any] = list(arguments or ())
        self.command: Any = command if command is None or isinstance(command, str) else list(command)
        self._target: str = LOCAL
        self.framework = framework or FRAMEWORK_PYTHON
        self.communicator = communicator or COMMUNICATOR_NONE
        self.max_run_duration_seconds: int | None = None
        self.node_count: int = 1
        self.environment = Environment("default-environment")
        self.environment.python.conda_dependencies = conda_dependencies
        self.environment_variables: dict[str, Any] = {}
        self.history = HistoryConfiguration()
        self.docker = DockerConfiguration()
        self.agent = AgentConfiguration()
        self._path = None if _path is None else Path(_path)
        self._name = _name

    @property
    def target(self) -> str:
        """The name of the compute target. An object with a name may be given."""
        return self._target

    @target.setter
    def target(self, value: Any) -> None:
        name = getattr(value, "name", value)
        if not isinstance(name, str) or not name:
            raise Invalid(
                f"target must be the name of a compute target, such as {LOCAL!r}; got {value!r}"[:200],
                facts={"field": "target", "limit": "a name", "size": str(value)[:80]},
            )
        self._target = name

    def copy(self) -> Self:
        """Another configuration with the same content."""
        return copy.deepcopy(self)

    def save(
        self,
        path: str | Path | None = None,
        name: str | None = None,
        separate_environment_yaml: bool = False,
    ) -> None:
        """Write ``.azureml/{name}`` under ``path`` (default: where it was loaded from, else the current folder).

        Without a name, ``path`` is the file itself unless it is a folder.

        Args:
            path: the project's folder, or a file.
            name: the file's name, such as ``sklearn.runconfig``; nothing is added to it.
            separate_environment_yaml: write the environment into a file of its own beside it.

        Raises:
            Invalid: there is no name, or it is none.
        """
        target = _runconfig_files.place_to_save(path or self._path, name, self._name)
        content = self.to_dict()
        if separate_environment_yaml:
            environment = target.with_name(f"{target.name}.environment.yml")
            _runconfig_files.write(environment, content["environment"])
            content["environment"] = environment.name
        _runconfig_files.write(target, content)

    @staticmethod
    def load(path: str | Path, name: str | None = None) -> RunConfiguration:
        """Read ``{name}`` or ``{name}.runconfig`` of the project under ``path``; without a name, the file ``path``.

        Raises:
            Invalid: there is no such file, or it is no run configuration; the message names the place.
        """
        found = _runconfig_files.find(Path(path), name)
        content = _runconfig_files.read(found)
        environment = content.get("environment")
        if isinstance(environment, str):  # a file of its own
            content["environment"] = _runconfig_files.read(found.with_name(Path(environment).name))
        loaded = RunConfiguration(_path=path, _name=found.name)
        loaded.update(content, "")
        return loaded

    @staticmethod
    def delete(path: str | Path, name: str) -> None:
        """Remove the file that :meth:`load` would read.

        Raises:
            Invalid: there is none.
        """
        _runconfig_files.find(Path(path), name).unlink()

    def _take(self, name: str, value: Any, place: str) -> None:
        if name == "command":
            self.command = value
        else:
            super()._take(name, value, place)
