"""Where a script is to run, as Azure ML's files and scripts describe it.

runfold builds no environments: a submitted script runs in the agent's own Python, over an embedded ledger in the
submitter's (or in the one that ``python.interpreter_path`` names). What asks for more is kept, shown with the run, and
answered with a warning.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from runfold._sections import Section

DEFAULT_CPU_IMAGE: Final = "mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu20.04"
DEFAULT_GPU_IMAGE: Final = "mcr.microsoft.com/azureml/openmpi4.1.0-cuda11.1-cudnn8-ubuntu20.04"
PYTHON: Final = (
    "python"  # as an interpreter: whichever the agent, or over an embedded ledger the submitter, runs on
)


class PythonSection(Section):
    """Which Python, and what would have to be installed for it.

    Attributes:
        interpreter_path: the interpreter; ``python`` is the agent's own, over an embedded ledger the submitter's.
        user_managed_dependencies: nothing is to be installed.
        conda_dependencies_file: a file that says what to install; kept, not installed.
        conda_dependencies: the same as a mapping.
        base_conda_environment: kept.
    """

    KEYS: ClassVar[Mapping[str, str]] = {
        "interpreter_path": "interpreterPath",
        "user_managed_dependencies": "userManagedDependencies",
        "conda_dependencies_file": "condaDependenciesFile",
        "conda_dependencies": "condaDependencies",
        "base_conda_environment": "baseCondaEnvironment",
    }

    def __init__(self) -> None:
        self.interpreter_path: str = PYTHON
        self.user_managed_dependencies: bool = False
        self.conda_dependencies_file: str | None = None
        self.conda_dependencies: Any = None
        self.base_conda_environment: str | None = None


class DockerSection(Section):
    """In which container. ``enabled`` is answered with a warning: the script runs as a process of this machine."""

    KEYS: ClassVar[Mapping[str, str]] = {
        "enabled": "enabled",
        "base_image": "baseImage",
        "base_dockerfile": "baseDockerfile",
        "shared_volumes": "sharedVolumes",
        "gpu_support": "gpuSupport",
        "shm_size": "shmSize",
        "arguments": "arguments",
    }

    def __init__(self) -> None:
        self.enabled: bool = False
        self.base_image: str | None = DEFAULT_CPU_IMAGE
        self.base_dockerfile: str | None = None
        self.shared_volumes: bool = True
        self.gpu_support: bool = False
        self.shm_size: str | None = None
        self.arguments: list[str] = []


class Environment(Section):
    """A named environment: Python, variables, container.

    Args:
        name: what to call it.
    """

    KEYS: ClassVar[Mapping[str, str]] = {
        "name": "name",
        "version": "version",
        "environment_variables": "environmentVariables",
        "python": "python",
        "docker": "docker",
    }

    def __init__(self, name: str | None = None) -> None:
        self.name = name
        self.version: str | None = None
        self.environment_variables: dict[str, Any] = {}
        self.python = PythonSection()
        self.docker = DockerSection()
