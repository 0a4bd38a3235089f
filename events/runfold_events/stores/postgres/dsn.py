"""DSNs hold passwords: what may be said of one, and a check before a driver quotes a part of it in an error."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

from runfold_events.contract.errors import Invalid

SCHEMES: Final = frozenset({"postgresql", "postgres"})
_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[^\[\]:@]*)(:[0-9]+)?\Z")


def check_dsn(dsn: str, field: str = "postgres") -> str:
    """``dsn``, if it can be read as one.

    Raises:
        Invalid: it cannot. The message quotes nothing of it.
    """
    try:
        parts = urlsplit(dsn)
    except ValueError:
        raise _unreadable(field) from None
    hosts = parts.netloc.rpartition("@")[2].split(",")
    if parts.scheme not in SCHEMES or parts.fragment or not all(_HOST.match(host) for host in hosts):
        raise _unreadable(field)
    return dsn


def place_of(dsn: str) -> str:
    """Where a DSN leads, ``host:port/database``, without user and password."""
    parts = urlsplit(check_dsn(dsn))
    return f"{parts.netloc.rpartition('@')[2]}{parts.path}"


def _unreadable(field: str) -> Invalid:
    return Invalid(
        "the DSN cannot be read; it is postgresql://USER:PASSWORD@HOST:PORT/DATABASE, with characters such as @ / # ? "
        "in the password written as %40 %2F %23 %3F",
        facts={"field": field, "limit": "postgresql://USER:PASSWORD@HOST:PORT/DATABASE"},
    )
