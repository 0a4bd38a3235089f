"""asyncpg's errors in the words of the port: what may be tried again, and what is damage."""

from __future__ import annotations

from typing import Final

import asyncpg

from runfold_events.contract.envelope import LedgerDamaged
from runfold_events.contract.errors import RunfoldError, Unavailable

RETRY_AFTER_S: Final = 1.0

# The engine is gone, full, locked, stopping, or cut a session that stood still: the same numbers may be sent again.
PASSING: Final = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # of a connection that ended at this moment
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.LockNotAvailableError,
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.CannotConnectNowError,
    # The server ended the connection while it lay in the pool; asyncpg has read that, and not yet that it is closed.
    asyncpg.InternalClientError,
    ConnectionError,
    TimeoutError,
    OSError,
)


def translated(error: BaseException) -> RunfoldError | None:
    """The port's error for an engine's; None for what is a bug or a bad command and must not be retried."""
    if isinstance(error, PASSING):
        return Unavailable(
            f"Postgres did not answer: {type(error).__name__}: {error}", facts={"retry_after": RETRY_AFTER_S}
        )
    if isinstance(error, asyncpg.DataCorruptedError | asyncpg.IndexCorruptedError):
        return LedgerDamaged(f"Postgres reports damage: {error}")
    if isinstance(error, asyncpg.UniqueViolationError) and error.table_name == "events":
        return LedgerDamaged(f"the store has this event already: {error.detail}")
    return None
