"""What git says of the folder that a run is submitted from, as properties under Azure ML's names.

Credentials in a remote's address are left out: properties cannot be taken back. ``AZUREML_GIT_*`` override what git
says, as in Azure ML. No git, no repository: no properties.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from runfold_events.contract.limits import PROPERTY_VALUE_CHARS_MAX

COMMAND_S_MAX: Final = 5.0
_FACTS: Final = ("repository_uri", "branch", "commit", "dirty", "build_id", "build_uri")
_AS_MLFLOW: Final = {"repository_uri": "repoURL", "branch": "branch", "commit": "commit"}
_ADDRESS: Final = re.compile(r"([a-z][a-z0-9+.-]*://)([^/?#]*@)?([^?#]*)", re.IGNORECASE)
_SCP: Final = re.compile(r"(?:[^@/\s]+@)?([^/:\s@]+:(?!//).+)")


def git_properties(folder: Path, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """``azureml.git.*`` and ``mlflow.source.git.*`` of the repository around ``folder``."""
    env = os.environ if environ is None else environ
    facts = _facts(folder)
    for name in _FACTS:
        override = env.get(f"AZUREML_GIT_{name.upper()}")
        if override:
            facts[name] = override
    for name in ("repository_uri", "build_uri"):
        if name in facts:
            facts[name] = without_credentials(facts[name])
    cut = {name: value[:PROPERTY_VALUE_CHARS_MAX] for name, value in facts.items() if value}
    properties = {f"azureml.git.{name}": cut[name] for name in _FACTS if name in cut}
    return properties | {
        f"mlflow.source.git.{theirs}": cut[ours] for ours, theirs in _AS_MLFLOW.items() if ours in cut
    }


def without_credentials(address: str) -> str:
    """A remote's address without user, password, query and fragment, each of which may hold a secret."""
    found = _ADDRESS.match(address.strip())
    if found is not None:
        scheme, _, rest = found.groups()
        return f"{scheme}{rest}"
    short = _SCP.fullmatch(
        address.strip()
    )  # git@host:path: the user's name is no secret, a password would be one
    if short is not None:
        return short[1]
    return address.strip()


def _facts(folder: Path) -> dict[str, str]:
    if _git(folder, "rev-parse", "--is-inside-work-tree") != "true":
        return {}
    facts: dict[str, str] = {}
    commit = _git(folder, "rev-parse", "--verify", "--quiet", "HEAD")
    branch = _git(folder, "symbolic-ref", "--quiet", "--short", "HEAD")
    changes = _git(folder, "status", "--porcelain", "--untracked-files=no", "--", ".")
    remote = _remote(folder)
    for name, value in (("commit", commit), ("branch", branch), ("repository_uri", remote)):
        if value:
            facts[name] = value
    if changes is not None:
        facts["dirty"] = str(bool(changes))
    return facts


def _remote(folder: Path) -> str | None:
    address = _git(folder, "remote", "get-url", "origin")
    if address:
        return address
    names = (_git(folder, "remote") or "").splitlines()
    return _git(folder, "remote", "get-url", names[0]) if names else None


def _git(folder: Path, *arguments: str) -> str | None:
    """What git prints; None when there is no git, or it refuses."""
    environment = {
        **os.environ,
        "GIT_OPTIONAL_LOCKS": "0",  # looking must not change the repository
        "GIT_TERMINAL_PROMPT": "0",
        "LC_ALL": "C",
    }
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), "-c", "core.fsmonitor=false", *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=COMMAND_S_MAX,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode("utf-8", "replace").strip() if done.returncode == 0 else None
