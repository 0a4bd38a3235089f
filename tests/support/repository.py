"""The checkout as data: where it is, what it holds, and whether it or an installed wheel is under test."""

from __future__ import annotations

import os
import subprocess
import sysconfig
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
SOURCE_ROOTS: Final = ("sdk", "events", "projections", "services")
PACKAGES: Final = {
    "runfold": ROOT / "sdk" / "runfold",
    "runfold_events": ROOT / "events" / "runfold_events",
    "runfold_projections": ROOT / "projections" / "runfold_projections",
    "runfold_services": ROOT / "services" / "runfold_services",
}
ON_WHEEL: Final = os.environ.get("RUNFOLD_TESTS_RUN_ON") == "wheel"


def repository_files() -> list[Path]:
    """Every file git tracks or would add, so that a new file is judged before it is committed."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return sorted(path for name in set(listed.split("\0")) - {""} if (path := ROOT / name).is_file())


def package_files() -> list[Path]:
    """The part of :func:`repository_files` that belongs to the four packages."""
    return [path for path in repository_files() if any(path.is_relative_to(p) for p in PACKAGES.values())]


def script(name: str) -> Path:
    """A console script of the environment under test, such as ``runfold``: the wheel's own in a run on the wheel."""
    return Path(sysconfig.get_path("scripts")) / name
