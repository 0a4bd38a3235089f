"""What a caller can catch. The tree is drawn in :mod:`runfold_events.contract.errors`; one kind is the SDK's own.

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
    "NotFound",
    "PositionNotReached",
    "PropertyImmutable",
    "RunEnded",
    "RunFailed",
    "RunRejected",
    "RunfoldError",
    "SequenceGap",
    "Unauthorized",
    "Unavailable",
]


class RunFailed(RunfoldError):
    """A run that was waited for ended as Failed; ``facts["error"]`` is its error as ``get_details()`` shows it."""

    default_code: ClassVar[str] = "run_failed"
