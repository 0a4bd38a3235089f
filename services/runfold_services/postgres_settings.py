"""Where a server's event store and views are, as told from outside."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct

from runfold_events.contract.errors import Invalid

FRESH_WAIT_S: Final = 1.0


class PostgresSettings(Struct, frozen=True, kw_only=True):
    """DSNs as the role that services act as."""

    dsn: str  # of the event store
    views_dsn: str | None = None  # of the views; None: the same database
    connections_max: int = 20  # to each of the two: one for each partition that waits, and some for questions
    fresh_wait_s: float = (
        FRESH_WAIT_S  # how long a question that names no position waits for what was answered here
    )

    def __post_init__(self) -> None:
        for name, dsn in (("RUNFOLD_POSTGRES", self.dsn), ("RUNFOLD_POSTGRES_VIEWS", self.views_dsn)):
            if dsn is not None and urlsplit(dsn).scheme not in {"postgres", "postgresql"}:
                raise Invalid(
                    f"{name} must be a DSN like postgresql://user@host:5432/database; got one that begins with "
                    f"{dsn.partition(':')[0][:20]!r}",
                    facts={"field": name, "limit": "postgresql://…"},
                )


def postgres_settings_from_environment(
    environment: Mapping[str, str] | None = None, *, dsn: str | None = None
) -> PostgresSettings | None:
    """What the environment says; ``dsn`` wins over ``RUNFOLD_POSTGRES``. None without either.

    Raises:
        Invalid: a variable has a value that it cannot have; the message names it.
    """
    env = os.environ if environment is None else environment
    found = dsn or env.get("RUNFOLD_POSTGRES")
    if not found:
        return None
    return PostgresSettings(
        dsn=found, views_dsn=env.get("RUNFOLD_POSTGRES_VIEWS") or None, fresh_wait_s=_fresh_wait_s(env)
    )


def _fresh_wait_s(env: Mapping[str, str]) -> float:
    text = env.get("RUNFOLD_FRESH_WAIT_S") or str(FRESH_WAIT_S)
    try:
        wait_s = float(text)
    except ValueError:
        wait_s = math.nan
    if not 0 <= wait_s < math.inf:
        raise Invalid(
            f"RUNFOLD_FRESH_WAIT_S must be a number of seconds, 0 or more; got {text[:40]!r}",
            facts={"field": "RUNFOLD_FRESH_WAIT_S", "limit": ">= 0"},
        )
    return wait_s
