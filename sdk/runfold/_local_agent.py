"""Starting an agent for an embedded ledger: in the background, detached, and only when there is none."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import BinaryIO, Final

from runfold._settings import load_settings

# An agent that a script starts is no part of that script's run, and speaks to the file, not to a server.
_OF_A_RUN: Final = frozenset(
    {
        "RUNFOLD_RUN_ID",
        "RUNFOLD_EXPERIMENT",
        "RUNFOLD_ERROR_FILE",
        "RUNFOLD_URL",
        "RUNFOLD_TOKEN",
        "RUNFOLD_FILES",
        "RUNFOLD_AZUREML",
    }
)
LOG_BYTES_MAX: Final = 4 * 1024 * 1024
_log = logging.getLogger("runfold")


def embedded_place(home: Path, files: str | None) -> dict[str, str]:
    """The variables by which another process opens the same embedded ledger, whatever its current folder."""
    return {"RUNFOLD_HOME": str(home)} | ({} if files is None else {"RUNFOLD_FILES": files})


def ensure(home: Path, workspace: str, files: str | None) -> None:
    """Start an agent unless one lives. It ends by itself after a while without work (``RUNFOLD_AGENT_IDLE_S``).

    Where none can be started the run waits all the same, and a warning says so.
    """
    if sys.platform == "win32":
        _log.warning(
            "runfold: agents run on Linux and macOS; the run waits until one is started there: runfold agent"
        )
        return
    from runfold_services.agent.presence import Presence, agents_folder

    folder = agents_folder(home, workspace)
    idle_s = load_settings().agent_idle_s
    if idle_s == 0 or Presence(folder).is_somebody_there():  # 0: somebody starts agents by hand
        return
    try:
        _start(folder, home, workspace, files, idle_s)
    except OSError as error:
        _log.warning(
            "runfold: the run waits: no agent could be started (%s); start one with: runfold agent", error
        )


def _start(folder: Path, home: Path, workspace: str, files: str | None, idle_s: float) -> None:
    """Through a shell that ends at once, so that the agent is nobody's child and nobody has to wait for it."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    command = [sys.executable, "-m", "runfold.cli.main", "agent", "--alone", "--idle", f"{idle_s:g}"]
    command += ["--home", str(home), "-w", workspace]
    environment = {name: value for name, value in os.environ.items() if name not in _OF_A_RUN}
    environment |= embedded_place(home, files)
    with _log_file(folder / "agent.log") as log:
        subprocess.run(
            ["/bin/sh", "-c", '"$@" &', "sh", *command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=folder,
            env=environment,
            start_new_session=True,
            check=True,
        )


def _log_file(path: Path) -> BinaryIO:
    is_large = path.exists() and path.stat().st_size > LOG_BYTES_MAX
    return path.open("wb" if is_large else "ab")
