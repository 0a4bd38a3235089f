"""Starting an agent for an embedded ledger: in the background, detached, and only when there is none."""

from __future__ import annotations

import logging
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Final

from runfold._settings import load_settings
from runfold.errors import SubmissionFailed

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
LOG_NAME: Final = "agent.log"
LOG_BYTES_MAX: Final = 4 * 1024 * 1024
LOG_END_BYTES: Final = 2_000
START_S_MAX: Final = 15.0  # a second where nothing else goes on
OTHER_S_MAX: Final = 2.0  # for the agent that made ours end to be seen
LOOK_S: Final = 0.05
_log = logging.getLogger("runfold")


def embedded_place(home: Path, files: str | None) -> dict[str, str]:
    """The variables by which another process opens the same embedded ledger, whatever its current folder."""
    return {"RUNFOLD_HOME": str(home)} | ({} if files is None else {"RUNFOLD_FILES": files})


def ensure(home: Path, workspace: str, files: str | None, is_taken: Callable[[], bool]) -> None:
    """Start an agent unless one lives, and see that it does. It ends by itself after a while without work
    (``RUNFOLD_AGENT_IDLE_S``). ``is_taken`` says whether some agent has the run already.

    Where agents do not run, or nothing can be started, the run waits all the same, and a warning says so.

    Raises:
        SubmissionFailed: the agent ended at once; its log says why.
    """
    if sys.platform == "win32":
        _log.warning(
            "runfold: agents run on Linux and macOS; the run waits until one is started there: runfold agent"
        )
        return
    from runfold_services.agent.presence import Presence, agents_folder

    folder = agents_folder(home, workspace)
    presence = Presence(folder)
    idle_s = load_settings().agent_idle_s
    if idle_s == 0 or presence.is_somebody_there():  # 0: somebody starts agents by hand
        return
    try:
        life = _start(folder, home, workspace, files, idle_s)
    except OSError as error:
        _log.warning(
            "runfold: the run waits: no agent could be started (%s); start one with: runfold agent", error
        )
        return
    with os.fdopen(life, "rb"):
        _await_life(life, folder, lambda: presence.is_somebody_there() or is_taken())


def _start(folder: Path, home: Path, workspace: str, files: str | None, idle_s: float) -> int:
    """Through a shell that ends at once, so that the agent is nobody's child and nobody has to wait for it.

    Returns the end of a pipe whose other end only the agent has: it closes when the agent ends.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    command = [sys.executable, "-m", "runfold.cli.main", "agent", "--alone", "--idle", f"{idle_s:g}"]
    command += ["--home", str(home), "-w", workspace]
    life, agents_end = os.pipe()
    try:
        with _log_file(folder / LOG_NAME) as log:
            subprocess.run(
                ["/bin/sh", "-c", '"$@" &', "sh", *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=folder,
                env=_environment(home, files),
                start_new_session=True,
                pass_fds=(agents_end,),
                check=True,
            )
    except BaseException:
        os.close(life)
        raise
    finally:
        os.close(agents_end)
    return life


def _environment(home: Path, files: str | None) -> dict[str, str]:
    environment = {name: value for name, value in os.environ.items() if name not in _OF_A_RUN}
    path = environment.get("PYTHONPATH")
    if path:  # what is relative means this process's current folder, and the agent has another
        environment["PYTHONPATH"] = os.pathsep.join(map(os.path.abspath, path.split(os.pathsep)))
    return environment | embedded_place(home, files)


def _await_life(life: int, folder: Path, is_there: Callable[[], bool]) -> None:
    """Until an agent is there. One that ended may have found another one, which then says so itself."""
    deadline = time.monotonic() + START_S_MAX
    has_ended = False
    while not is_there():
        if time.monotonic() > deadline:
            if has_ended:
                raise SubmissionFailed(
                    f"the agent that was to execute the run ended at once; {folder / LOG_NAME} ends with:\n"
                    f"{_log_end(folder / LOG_NAME)}"
                )
            _log.warning("runfold: the agent is not ready after %g s; see %s", START_S_MAX, folder / LOG_NAME)
            return
        if has_ended:
            time.sleep(LOOK_S)
        elif select.select([life], [], [], LOOK_S)[0]:
            has_ended = True
            deadline = min(deadline, time.monotonic() + OTHER_S_MAX)


def _log_end(path: Path) -> str:
    with path.open("rb") as log:
        log.seek(max(0, path.stat().st_size - LOG_END_BYTES))
        return log.read().decode("utf-8", "replace").strip()


def _log_file(path: Path) -> BinaryIO:
    is_large = path.exists() and path.stat().st_size > LOG_BYTES_MAX
    return path.open("wb" if is_large else "ab")
