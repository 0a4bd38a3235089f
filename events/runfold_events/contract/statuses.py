"""The fifteen statuses of a run, with Azure ML's meanings."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Status(StrEnum):
    """Where a run stands. Values are Azure ML's spellings (``Canceled`` has one l)."""

    NOT_STARTED = "NotStarted"  # the record exists, nothing happened yet
    UNAPPROVED = "Unapproved"  # waits for somebody's approval
    PAUSING = "Pausing"
    PAUSED = "Paused"
    STARTING = "Starting"  # an agent has taken the submission
    PROVISIONING = "Provisioning"  # compute is being created
    PREPARING = "Preparing"  # the environment is being built
    QUEUED = "Queued"  # waits for compute
    RUNNING = "Running"  # the user's code runs
    NOT_RESPONDING = "NotResponding"  # its last holder's lease ended; reversible
    CANCEL_REQUESTED = "CancelRequested"  # somebody asked; the holder has not ended it yet
    FINALIZING = "Finalizing"  # the user's code ended, files are being stored
    CANCELED = "Canceled"
    COMPLETED = "Completed"
    FAILED = "Failed"

    @property
    def is_terminal(self) -> bool:
        """True for the three statuses that nothing follows."""
        return self in TERMINAL


TERMINAL: Final = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELED})

# What AdvanceRun may set: the stations that an agent reports between creation and end.
ADVANCE_TARGETS: Final = frozenset(
    {
        Status.STARTING,
        Status.PROVISIONING,
        Status.PREPARING,
        Status.QUEUED,
        Status.FINALIZING,
        Status.PAUSING,
        Status.PAUSED,
        Status.UNAPPROVED,
    }
)
