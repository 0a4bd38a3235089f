"""What an agent does while nobody answers: it asks again, for as long as that makes sense."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeVar

from runfold_events.contract.errors import Unavailable

OUTAGE_S_MAX: Final = 600.0  # how long what a script left is kept for a server that is gone
PREPARE_S_MAX: Final = 60.0  # how long the beginning waits for it
RETRY_S: Final = 1.0
T = TypeVar("T")


def answered(question: Callable[[], T]) -> T:
    """The answer; asked again for a while when none comes. Raises what else goes wrong."""
    return patiently(question, time.monotonic() + PREPARE_S_MAX)


def patiently(question: Callable[[], T], deadline: float) -> T:
    """The answer; asked again until ``deadline`` (of the monotonic clock), once at least.

    Raises:
        Unavailable: none came. And what else goes wrong.
    """
    while True:
        try:
            return question()
        except Unavailable:
            if time.monotonic() > deadline:
                raise
        time.sleep(RETRY_S)
