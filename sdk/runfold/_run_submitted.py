"""The handle that a submitted script has on its own run."""

# pyright: reportPrivateUsage=false
# Handles are friends of one another: what they share is no part of the public surface.

from __future__ import annotations

import logging
import os
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec

from runfold._run_lifecycle import error_info
from runfold._script_run import ScriptRun

ERROR_FILE: Final = "RUNFOLD_ERROR_FILE"
_log = logging.getLogger("runfold")


class SubmittedRun(ScriptRun):
    """The run, as its own script sees it. The script does not end it: its exit code does, when its agent sees it."""

    def complete(self, _set_status: bool = True) -> None:
        """Deliver what was logged. The run ends when the script does."""
        self.flush()

    def fail(
        self,
        error_details: str | BaseException | None = None,
        error_code: str | None = None,
        _set_status: bool = True,
    ) -> None:
        """Deliver what was logged, and note the error: it becomes the run's if the script's exit code is not 0.

        Raises:
            TypeError: ``error_details`` is neither text nor an exception.
        """
        error = error_info(error_details, error_code)
        place = os.environ.get(ERROR_FILE)
        if place:
            partial = Path(f"{place}.{os.getpid()}")
            partial.write_bytes(msgspec.json.encode(error))
            partial.replace(place)
        self.flush()

    def cancel(self, *, reason: str | None = None, cascade: bool = False) -> None:
        """Does nothing but warn: a script cannot cancel its own run; others can."""
        _log.warning("runfold: a submitted run is not canceled by its own script; end the script instead")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exit_type: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Deliver what was logged; the block does not end the run, whatever happened in it."""
        self.flush()
