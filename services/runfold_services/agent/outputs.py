"""What a script leaves under ``outputs/``, stored at its end."""

from __future__ import annotations

from pathlib import Path

from runfold_events.contract.errors import RunfoldError, Unavailable
from runfold_services.agent.definition import OUTPUTS
from runfold_services.agent.ports import AgentRuns
from runfold_services.agent.streams import open_plain, plain_files


def collect(runs: AgentRuns, run_id: str, work: Path, done: set[str]) -> list[str]:
    """Store every file that is not in ``done`` yet, and note it there; returns what could not be stored and why.

    Raises:
        Unavailable: no answer came; another call goes on where this one stopped.
    """
    problems: list[str] = []
    for path, file in plain_files(work, OUTPUTS):
        if path in done:
            continue
        opened = open_plain(file)
        if opened is None:
            continue
        with opened:
            try:
                runs.put_file(run_id, path, opened)
            except Unavailable:
                raise
            except (
                RunfoldError
            ) as error:  # another file of this path is there, a name that cannot be, a limit
                problems.append(f"{path} is not stored: {error.message}")
            except OSError as error:
                problems.append(f"{path} cannot be read: {error}")
        done.add(path)
    return problems
