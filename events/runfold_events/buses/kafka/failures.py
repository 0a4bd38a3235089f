"""aiokafka's errors in the words of the ports."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from aiokafka import errors

from runfold_events.contract.errors import LimitExceeded, RunfoldError, Unavailable

RETRY_AFTER_S: Final = 1.0


def translated(error: Exception) -> RunfoldError | None:
    """The port's error for a library's; None for what is a bug."""
    if isinstance(error, errors.MessageSizeTooLargeError):
        return LimitExceeded(f"Kafka takes no record that large: {error}", facts={"field": "record"})
    if isinstance(error, errors.KafkaError | TimeoutError | OSError):
        return Unavailable(
            f"Kafka did not answer: {type(error).__name__}: {error}", facts={"retry_after": RETRY_AFTER_S}
        )
    return None


@contextmanager
def translating() -> Generator[None]:
    """Let only errors of the ports out."""
    try:
        yield
    except RunfoldError:
        raise
    except Exception as error:
        passing = translated(error)
        if passing is None:
            raise
        raise passing from error
