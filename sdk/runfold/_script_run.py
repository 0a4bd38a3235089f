"""The handle on a run whose script an agent executes."""

# pyright: reportPrivateUsage=false
# Handles are friends of one another: what they share is no part of the public surface.

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from runfold._run import Run
from runfold_events.contract.statuses import Status

if TYPE_CHECKING:
    from runfold._experiment import Experiment
    from runfold_events.contract.commands import CreateRun


class ScriptRun(Run):
    """A submitted run. Its agent ends it: ``cancel()`` and ``fail()`` have its processes stopped."""

    @classmethod
    def _created_by(cls, experiment: Experiment, command: CreateRun) -> Self:
        """Create the run, without starting it."""
        run = cls.__new__(cls)
        run._bind(experiment, command.run_id, created=command)
        run._call(command)
        return run

    @property
    def status(self) -> str:
        """The status as it was when last read; of a run just submitted that is ``Starting``."""
        return Status.STARTING.value if self._view is None else super().status
