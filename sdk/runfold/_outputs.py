"""The folder whose files a run uploads when it ends."""

# pyright: reportPrivateUsage=false
# Handles are friends of one another: what they share is no part of the public surface.

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from runfold._files import Upload, files_below, is_path, upload
from runfold_events.contract.errors import Invalid, RunfoldError

if TYPE_CHECKING:
    from runfold._run_base import RunBase

DEFAULT_FOLDER: Final = "outputs"
_log = logging.getLogger("runfold")


class Outputs(Struct, frozen=True):
    """A local folder, and the prefix of its files' paths in the run."""

    folder: Path
    prefix: str


def outputs_of(given: Any) -> Outputs | None:
    """What an ``outputs`` argument means: a folder by its name, True for ``outputs``, None or False for none.

    The folder is made at once, so that a program can write to it. It is where it is now, wherever the program goes.

    Raises:
        Invalid: something else.
    """
    if given is None or given is False:
        return None
    if given is True:
        given = DEFAULT_FOLDER
    if not is_path(given) or not os.fspath(given):
        raise Invalid(
            f"outputs must be a folder, True or None; got {type(given).__name__}",
            facts={"field": "outputs", "limit": "a folder, True, False or None", "size": str(given)[:80]},
        )
    folder = Path(given).expanduser()
    tidy = Path(os.path.normpath(folder))
    prefix = tidy.name if tidy.is_absolute() or ".." in tidy.parts else tidy.as_posix()
    folder.mkdir(parents=True, exist_ok=True)
    return Outputs(folder.absolute(), "" if prefix == "." else prefix)


def collect(run: RunBase) -> None:
    """Upload what is in the run's output folder. What cannot be is said, and does not stand in the way of its end."""
    outputs, run._outputs = run._outputs, None
    if outputs is None:
        return
    prefix = f"{outputs.prefix}/" if outputs.prefix else ""
    try:
        upload(run, [Upload(prefix + path, file) for path, file in files_below(outputs.folder)])
    except (RunfoldError, OSError) as error:
        run._outputs = outputs
        _log.warning("runfold: not all of %s was uploaded to run %s: %s", outputs.folder, run._run_id, error)
