"""What a caller can catch. The tree is drawn in :mod:`runfold_events.contract.errors`; four kinds are the SDK's own.

``NeedsAzure`` is raised by members that are there for their signature and have nothing to stand on outside of Azure.
``RunFailed`` is what :meth:`runfold.Run.wait_for_completion` raises for a run that ended as Failed.
"""

from __future__ import annotations

from typing import ClassVar

from runfold_events.contract.errors import (
    Conflict,
    IdempotencyConflict,
    Invalid,
    LimitExceeded,
    NotFound,
    PositionNotReached,
    PropertyImmutable,
    RunEnded,
    RunfoldError,
    RunRejected,
    SequenceGap,
    Unauthorized,
    Unavailable,
)

__all__ = [
    "Conflict",
    "IdempotencyConflict",
    "Invalid",
    "LimitExceeded",
    "NeedsAzure",
    "NoRunContext",
    "NotFound",
    "PositionNotReached",
    "PropertyImmutable",
    "RunEnded",
    "RunFailed",
    "RunRejected",
    "RunfoldError",
    "SequenceGap",
    "SubmissionFailed",
    "Unauthorized",
    "Unavailable",
]


class NeedsAzure(RunfoldError):
    """The call needs a service of Azure itself; ``facts["call"]`` names it. Nothing was done."""

    default_code: ClassVar[str] = "needs_azure"


class RunFailed(RunfoldError):
    """A run that was waited for ended as Failed; ``facts["error"]`` is its error as ``get_details()`` shows it."""

    default_code: ClassVar[str] = "run_failed"


class SubmissionFailed(RunfoldError):
    """A script could not be submitted: it, or its folder, is not there, or nothing could execute it."""

    default_code: ClassVar[str] = "submission_failed"


class NoRunContext(RunfoldError):
    """The process is not a submitted run's, and an offline run was not wanted."""

    default_code: ClassVar[str] = "no_run_context"
