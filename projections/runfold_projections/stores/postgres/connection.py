"""Connections for views: their settings, and numbers that are integers or floats, exactly."""

from __future__ import annotations

from typing import Any, Final

import asyncpg
from msgspec import Struct

from runfold_events.contract import limits
from runfold_projections.stores.postgres.schema import SCHEMA

_STATEMENTS_KEPT: Final = (
    500  # prepared per connection: about 60 of our own per generation, and users' filters
)


class ViewTimeouts(Struct, frozen=True, kw_only=True):
    """How long anything may stand still. ms, as Postgres takes them.

    A fold computes between its statements, so an open transaction may idle a little longer than one of the event store.
    """

    lock_ms: int = 5_000
    idle_in_transaction_ms: int = 5_000
    statement_ms: int = 10_000  # a hostile filter holds no connection for ever
    tcp_user_ms: int = 5_000
    connect_s: float = 5.0
    acquire_s: float = 10.0


class _Connection(asyncpg.Connection):
    """Nothing of ours outlives its transaction: a connection needs no round trip to be clean for the next user."""

    def get_reset_query(self) -> str:
        return ""


async def create_pool(dsn: str, connections_max: int, timeouts: ViewTimeouts) -> asyncpg.Pool[Any]:
    """A pool of connections of the service role.

    A commit does not wait for the disk: a view that a crash sets back is folded again, its checkpoint with it.
    """
    return await asyncpg.create_pool(
        dsn,
        min_size=1,
        max_size=connections_max,
        timeout=timeouts.connect_s,
        init=_set_codecs,
        connection_class=_Connection,
        statement_cache_size=_STATEMENTS_KEPT,
        server_settings={
            "search_path": SCHEMA,
            "default_transaction_isolation": "read committed",
            "synchronous_commit": "off",
            "jit": "off",
            "lock_timeout": str(timeouts.lock_ms),
            "idle_in_transaction_session_timeout": str(timeouts.idle_in_transaction_ms),
            "statement_timeout": str(timeouts.statement_ms),
            "tcp_user_timeout": str(timeouts.tcp_user_ms),
            "application_name": "runfold views",
        },
    )


async def _set_codecs(connection: Any) -> None:
    await connection.set_type_codec(
        "numeric", schema="pg_catalog", encoder=number_to_text, decoder=number_of_text, format="text"
    )


def number_to_text(value: int | float) -> str:
    """Decimal digits that mean exactly ``value``, or nothing else that is a float.

    A whole float is written out, since the shortest digits of a large one mean another integer.
    """
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    text = repr(value)
    return text.replace("inf", "Infinity")


def number_of_text(text: str) -> int | float:
    """Undo :func:`number_to_text`; a whole number is an integer where it fits 64 bits, as in SQLite."""
    if text.lstrip("-").isdigit():
        value = int(text)
        if limits.INT64_MIN <= value <= limits.INT64_MAX:
            return value
    return float(text)
