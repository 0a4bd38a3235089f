"""From a run configuration to what an agent executes, and back to what people read."""

# pyright: reportPrivateUsage=false
# Handles are friends of one another: what they share is no part of the public surface.

from __future__ import annotations

import io
import sys
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from runfold._files import Upload, upload
from runfold._filters import is_mapping
from runfold._settings import azureml_wish
from runfold.environment import PYTHON
from runfold.errors import SubmissionFailed
from runfold.runconfig import LOCAL, RunConfiguration
from runfold_events.contract.errors import Invalid
from runfold_services.agent.definition import (
    AZUREML,
    DEFINITION_BYTES_MAX,
    DEFINITION_PATH,
    RunDefinition,
    decode_definition,
    encode_definition,
)

if TYPE_CHECKING:
    from runfold._run_base import RunBase
    from runfold._workspace import Workspace

GRACE_S_MAX: Final = 30.0
_POLICIES: Final = ("fail", "again")


def checked_folder(source_directory: str, config: RunConfiguration) -> Path:
    """The folder to submit.

    Raises:
        SubmissionFailed: it, or the script in it, is not there.
        Invalid: neither script nor command is given, or a setting cannot be.
    """
    folder = Path(source_directory).expanduser().absolute()
    if not folder.is_dir():
        raise SubmissionFailed(
            f"{folder} source directory doesn't exist.",
            facts={"field": "source_directory", "size": str(folder)[:200]},
        )
    if config.script is None and config.command is None:
        raise Invalid(
            "there is nothing to run: give script or command",
            facts={"field": "script", "limit": "script or command"},
        )
    if config.script is not None:
        _check_script(folder, config.script)
    _check_agent(config)
    return folder


def _check_script(folder: Path, script: str) -> None:
    path = PurePosixPath(script.replace("\\", "/"))
    target = folder / path
    is_inside = not path.is_absolute() and ".." not in path.parts
    if not is_inside or not target.is_file():
        raise SubmissionFailed(
            f"{target} script path doesn't exist. The script should be inside the project folder",
            facts={"field": "script", "size": script[:200]},
        )


def _check_agent(config: RunConfiguration) -> None:
    if config.agent.when_lost not in _POLICIES:
        raise Invalid(
            f"agent.when_lost must be 'fail' or 'again'; got {config.agent.when_lost!r}"[:200],
            facts={
                "field": "agent.when_lost",
                "limit": list(_POLICIES),
                "size": str(config.agent.when_lost)[:80],
            },
        )
    if not 0 <= config.agent.grace_s <= GRACE_S_MAX:
        raise Invalid(
            f"agent.grace_s must be seconds from 0 to {GRACE_S_MAX:g}; got {config.agent.grace_s!r}"[:200],
            facts={"field": "agent.grace_s", "limit": GRACE_S_MAX, "size": config.agent.grace_s},
        )


def definition_of(config: RunConfiguration, snapshot_id: str, python: str = PYTHON) -> RunDefinition:
    """What an agent executes for this configuration; with ``python`` where that names no interpreter."""
    command = config.command
    interpreter = config.environment.python.interpreter_path
    return RunDefinition(
        script=None if config.script is None else PurePosixPath(config.script.replace("\\", "/")).as_posix(),
        command=command if command is None or isinstance(command, str) else tuple(map(str, command)),
        arguments=tuple(map(str, config.arguments)),
        interpreter=interpreter if interpreter and interpreter != PYTHON else python,
        environment_variables=_variables(config),
        snapshot_id=snapshot_id,
        collects_outputs=config.history.output_collection,
        watched_folders=tuple(map(str, config.history.directories_to_watch)),
        duration_s_max=config.max_run_duration_seconds,
        when_lost="again" if config.agent.when_lost == "again" else "fail",
        grace_s=float(config.agent.grace_s),
        warnings=tuple(_warnings(config)),
        configuration=_plain(config.to_dict()),
    )


def _variables(config: RunConfiguration) -> dict[str, str]:
    """Those of the environment, over them those of the run; a script's imports mean what they mean here."""
    given = {**config.environment.environment_variables, **config.environment_variables}
    variables: dict[str, str] = {AZUREML: "1"} if _stands_in_for_azureml() else {}
    for name, value in given.items():
        if value is None:
            continue
        text = str(value)
        if not name or "=" in name or "\0" in name + text:
            raise Invalid(
                f"an environment variable cannot be named {name[:80]!r}, or have this value",
                facts={"field": "environment_variables", "size": name[:80]},
            )
        variables[str(name)] = text
    return variables


def _stands_in_for_azureml() -> bool:
    """This process does, or whoever started it (`RUNFOLD_AZUREML=1 runfold run submit-script …`) asked for it."""
    azureml = sys.modules.get("runfold.azureml")
    return azureml_wish() is not None or (azureml is not None and bool(azureml.is_installed()))


def _warnings(config: RunConfiguration) -> list[str]:
    """What was asked for and will not be done. It is done without, but not without saying so."""
    warnings: list[str] = []
    if config.target != LOCAL:
        warnings.append(
            f"there is no compute target {config.target!r} here: the script runs as a process on its agent's machine"
        )
    if config.environment.docker.enabled or config.docker.use_docker:
        warnings.append("Docker settings are ignored: the script runs as a process on its agent's machine")
    python = config.environment.python
    if not python.user_managed_dependencies and (python.conda_dependencies or python.conda_dependencies_file):
        warnings.append(
            "conda dependencies are not installed: the script runs in its agent's own environment"
        )
    if config.node_count != 1:
        warnings.append(f"node_count {config.node_count} is ignored: there is one process on one machine")
    return warnings


def _plain(value: Any) -> Any:
    """As JSON can hold it: whatever else scripts put into their configuration is shown as text."""
    if is_mapping(value):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in iter(value)]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]  # of anything
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def write(run: RunBase, definition: RunDefinition) -> None:
    """Record the definition as a file of the run."""
    data = encode_definition(definition)
    upload(run, [Upload(DEFINITION_PATH, io.BytesIO(data), "application/json")])


def read(workspace: Workspace, run_id: str) -> RunDefinition:
    """The definition of a submitted run.

    Raises:
        NotFound: it was not submitted. Invalid: what is there is none.
    """
    chunks: list[bytes] = []
    size = 0
    for chunk in workspace._ask(
        lambda transport, at: transport.open_file(workspace.name, run_id, DEFINITION_PATH, at)
    ):
        chunks.append(chunk)
        size += len(chunk)
        if size > DEFINITION_BYTES_MAX:
            raise Invalid(
                f"{DEFINITION_PATH} has more than {DEFINITION_BYTES_MAX} bytes",
                facts={"field": DEFINITION_PATH, "limit": DEFINITION_BYTES_MAX},
            )
    return decode_definition(b"".join(chunks))
