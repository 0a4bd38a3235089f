"""What a script leaves under ``outputs/``, stored at its end."""

from __future__ import annotations

from pathlib import Path

from runfold_events.contract.errors import Conflict, Invalid
from runfold_services.agent.definition import OUTPUTS
from runfold_services.agent.plain_files import LeftOut, open_plain, plain_files
from runfold_services.agent.ports import AgentRuns


def collect(runs: AgentRuns, run_id: str, work: Path, done: set[str], left_out: LeftOut) -> None:
    """Store every file that is not in ``done`` yet, and note it there; say what is left out for reasons of its own.

    Raises:
        RunfoldError: the reason is no file's own, ``Unavailable`` for one; another call goes on where this one stopped.
    """
    for path, file in plain_files(work, OUTPUTS, left_out, follow=True):
        if path in done:
            continue
        opened = open_plain(file)
        if opened is None:
            left_out(path, "cannot be read")
            continue
        with opened:
            try:
                runs.put_file(run_id, path, opened)
            except (
                Conflict,
                Invalid,
            ) as error:  # another file of this path is there, a name or size that cannot be
                left_out(path, error.message)
            except OSError as error:
                left_out(path, f"cannot be read: {error}")
        done.add(path)
