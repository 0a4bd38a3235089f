"""What ``runfold folder attach`` writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from runfold._config import FILE_NAME, FOLDER, Config, write_config
from runfold.cli.session import Session
from runfold_events.contract.errors import Invalid
from runfold_events.contract.ids import check_experiment_name

_IGNORED: Final = """\
# What stays out of snapshots and out of the folder that a submitted script runs in; the syntax is .gitignore's.
.azureml
.git
.ipynb_checkpoints
__pycache__
logs
outputs
"""

_CONDA: Final = """\
# Kept with submitted runs. Agents install nothing: scripts run in their agent's own environment.
name: project_environment
dependencies:
  - python>=3.11
  - pip:
      - runfold
"""


def attach_folder(session: Session, experiment: str | None) -> tuple[dict[str, Any], list[Path]]:
    """Write the files; returns the answer and what was written.

    Raises:
        Invalid: without ``-e``, the folder's name is no name of an experiment.
    """
    from runfold._settings import load_settings

    options = session.options
    folder = (options.path or Path()).expanduser().absolute()
    before = session.config
    workspace, url, _ = session.place()
    config = Config(
        workspace=workspace,
        subscription_id=options.subscription_id or (before.subscription_id if before else None),
        resource_group=options.resource_group or (before.resource_group if before else None),
        # An address that comes from the environment is the environment's to give again.
        url=options.url or (None if url == load_settings().url else url),
        experiment=_experiment(experiment, folder),
    )
    folder.mkdir(parents=True, exist_ok=True)
    written = [write_config(config, folder, FILE_NAME), *_samples(folder)]
    data = {
        "Experiment name": config.experiment,
        "Subscription id": config.subscription_id,
        "Resource group": config.resource_group,
        "Workspace name": config.workspace,
        "Project path": str(folder),
    }
    return data, written


def _experiment(named: str | None, folder: Path) -> str:
    if named is not None:
        return check_experiment_name(named, "--experiment")
    try:
        return check_experiment_name(folder.name, "--experiment")
    except Invalid:
        raise Invalid(
            f"the folder's name {folder.name[:80]!r} is no name of an experiment; name one: -e NAME",
            facts={"field": "--experiment", "limit": "letters, digits, - and _", "size": folder.name[:80]},
        ) from None


def _samples(folder: Path) -> list[Path]:
    """Sample files, where there are none of the name: what is there is somebody's work."""
    from runfold import RunConfiguration

    written: list[Path] = []
    for name, text in ((".amlignore", _IGNORED), (f"{FOLDER}/conda_dependencies.yml", _CONDA)):
        if not (folder / name).exists():
            (folder / name).write_text(text, "utf-8")
            written.append(folder / name)
    for name in ("local", "docker"):
        path = folder / FOLDER / f"{name}.runconfig"
        if not path.exists():
            config = RunConfiguration()
            config.environment.docker.enabled = name == "docker"
            config.save(folder, path.name)
            written.append(path)
    return written
