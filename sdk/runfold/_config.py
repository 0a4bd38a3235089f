"""Configuration files as Azure ML writes them; ours may add ``url``, the address of a server.

Search order: each candidate walks from the start folder up to the root before the next one is tried, so that an
ancestor's ``.azureml/config.json`` beats a plain ``config.json`` close by.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final, cast

from msgspec import Struct

from runfold._settings import check_url
from runfold_events.contract.errors import Invalid
from runfold_events.contract.ids import check_experiment_name, check_workspace_name

FOLDER: Final = ".azureml"
FILE_NAME: Final = "config.json"
CANDIDATES: Final = (
    ".azureml/config.json",
    ".azureml/project.json",
    "aml_config/config.json",
    "aml_config/project.json",
    "config.json",
    "project.json",
)
_UNNAMED: Final = "-"  # stands in a Scope for a subscription or resource group that there is none of
_CONFIG_BYTES_MAX: Final = 1024 * 1024


class Config(Struct, frozen=True, kw_only=True):
    """What a configuration file says."""

    workspace: str
    subscription_id: str | None = None
    resource_group: str | None = None
    url: str | None = None
    experiment: str | None = None  # of a folder that was attached with one


def find_config(start: Path, file_name: str | None = None) -> Path | None:
    """The file that counts for ``start``, or None."""
    names = (
        CANDIDATES if file_name is None else (f"{FOLDER}/{file_name}", f"aml_config/{file_name}", file_name)
    )
    folders = (start, *start.parents)
    return next((folder / name for name in names for folder in folders if (folder / name).is_file()), None)


def read_config(path: Path) -> Config:
    """Read a configuration file of either layout; ``Scope`` wins where both are there.

    Raises:
        Invalid: not JSON, or it does not name a workspace.
    """
    try:
        with path.open("rb") as file:
            content: Any = json.loads(file.read(_CONFIG_BYTES_MAX))
    except (OSError, ValueError, RecursionError) as error:
        raise Invalid(
            f"The config file found in: {path} cannot be read: {error}",
            facts={"field": "path", "limit": "JSON", "size": str(path)},
        ) from None
    known = cast("dict[str, Any]", content) if isinstance(content, dict) else {}
    place = _place(known)
    if place is None:
        raise _missing(path)
    subscription_id, resource_group, workspace, experiment = place
    url = known.get("url")
    return Config(
        workspace=check_workspace_name(workspace, "workspace_name"),
        subscription_id=subscription_id,
        resource_group=resource_group,
        url=check_url(url, "url") if isinstance(url, str) and url else None,
        experiment=None if experiment is None else check_experiment_name(experiment, "projects"),
    )


_Place = tuple[str | None, str | None, str, str | None]  # subscription, resource group, workspace, experiment


def _place(content: dict[str, Any]) -> _Place | None:
    scope = content.get("Scope")
    if isinstance(scope, str):
        return _from_scope(scope)
    workspace = content.get("workspace_name")
    if not isinstance(workspace, str) or not workspace:
        return None
    return _text(content.get("subscription_id")), _text(content.get("resource_group")), workspace, None


def _from_scope(scope: str) -> _Place | None:
    parts = scope.strip("/").split("/")
    pairs = dict(zip(parts[::2], parts[1::2], strict=False))
    # "/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/w[/projects/p]":
    # after "providers" and its name, keys and values go on in pairs.
    workspace = pairs.get("workspaces")
    if not workspace:
        return None
    experiment = _text(pairs.get("projects"))
    return _text(pairs.get("subscriptions")), _text(pairs.get("resourceGroups")), workspace, experiment


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value not in {"", _UNNAMED} else None


def _missing(path: Path) -> Invalid:
    return Invalid(
        f"The config file found in: {path} does not seem to contain the required parameters: it must hold Scope, or "
        "workspace_name (with subscription_id and resource_group as in Azure ML), as JSON",
        facts={"field": "workspace_name", "limit": "Scope or workspace_name", "size": str(path)},
    )


def not_found(start: Path, file_name: str | None) -> Invalid:
    """What ``from_config`` says when it was told where to look and there is nothing."""
    return Invalid(
        f"The workspace configuration file {file_name or FILE_NAME}, could not be found in {start} or its parent "
        "directories. Please check whether the workspace configuration file exists, or provide the full path to the "
        "configuration file as an argument.",
        facts={"field": "path", "limit": list(CANDIDATES), "size": str(start)},
    )


def write_config(config: Config, folder: Path, file_name: str) -> Path:
    """Write ``.azureml/{file_name}`` under ``folder``, in the layout with a Scope; returns its path."""
    scope = (
        f"/subscriptions/{config.subscription_id or _UNNAMED}"
        f"/resourceGroups/{config.resource_group or _UNNAMED}"
        f"/providers/Microsoft.MachineLearningServices/workspaces/{config.workspace}"
    )
    if config.experiment is not None:
        scope += f"/projects/{config.experiment}"
    content: dict[str, Any] = {"Id": None, "Scope": scope}
    if config.url is not None:
        content["url"] = config.url
    target = folder / FOLDER / file_name
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(content, indent=4) + "\n", "utf-8")
    return target
