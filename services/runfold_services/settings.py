"""What a server is told from outside. The only place in this package that reads the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Literal, cast

from msgspec import Struct

from runfold_events.contract import limits
from runfold_events.contract.errors import Invalid
from runfold_projections.metrics.codec import ValueCodec

HOST_DEFAULT: Final = "127.0.0.1"
PORT_DEFAULT: Final = 8765

LogFormat = Literal["auto", "json", "console"]
LogLevel = Literal["debug", "info", "warning", "error"]


class ServerSettings(Struct, frozen=True, kw_only=True):
    """One server. Times are seconds."""

    host: str = HOST_DEFAULT
    port: int = PORT_DEFAULT  # 0: any free one
    token: str | None = None  # the one credential; its bearer is admin
    quotas_file: Path | None = None  # what each workspace may send; None: as much as it likes
    tokens_file: Path | None = None  # several credentials: name, token, optionally "admin", one a line
    log_format: LogFormat = "auto"  # auto: console on a terminal, JSON otherwise
    log_level: LogLevel = "info"
    query_threads: int = 4
    stop_s: float = 10.0  # how long requests in flight get to finish when the server is told to stop
    fold_delay_s: float = 0.05  # how far views may be behind an append of this process
    fold_poll_s: float = 0.25  # how far they may be behind an append of another process
    lease_s: float = limits.LEASE_S
    files: str | None = None  # where contents of files are kept; None: in the runfold home
    home: Path | None = None  # the runfold home
    stream_keep_alive_s: float = 15.0  # a live stream says at least this often that it is there


def settings_from_environment(
    environment: Mapping[str, str] | None = None, *, host: str = HOST_DEFAULT, port: int = PORT_DEFAULT
) -> ServerSettings:
    """Settings with what ``RUNFOLD_TOKEN``, ``RUNFOLD_TOKENS_FILE``, ``RUNFOLD_QUOTAS_FILE``, ``RUNFOLD_FILES`` and
    ``RUNFOLD_LOG*`` say.

    Raises:
        Invalid: a variable has a value that it cannot have; the message names it.
    """
    env = os.environ if environment is None else environment
    tokens_file = absolute_place(env.get("RUNFOLD_TOKENS_FILE"))
    quotas_file = absolute_place(env.get("RUNFOLD_QUOTAS_FILE"))
    return ServerSettings(
        host=host,
        port=port,
        token=env.get("RUNFOLD_TOKEN") or None,
        tokens_file=Path(tokens_file) if tokens_file else None,
        quotas_file=Path(quotas_file) if quotas_file else None,
        files=absolute_place(env.get("RUNFOLD_FILES")),
        log_format=cast("LogFormat", _one_of(env, "RUNFOLD_LOG_FORMAT", "auto", ("auto", "json", "console"))),
        log_level=cast(
            "LogLevel", _one_of(env, "RUNFOLD_LOG", "info", ("debug", "info", "warning", "error"))
        ),
    )


def value_codec(environment: Mapping[str, str] | None = None) -> ValueCodec:
    """How views pack values of metrics, as ``RUNFOLD_VALUE_CODEC`` says; for whoever folds.

    Raises:
        Invalid: there is no such codec, or its package is not installed.
    """
    env = os.environ if environment is None else environment
    found = cast("ValueCodec", _one_of(env, "RUNFOLD_VALUE_CODEC", "base", ("base", "pcodec")))
    if found == "pcodec" and find_spec("pcodec") is None:
        raise Invalid(
            "RUNFOLD_VALUE_CODEC is pcodec, whose package is not installed: pip install 'runfold[pcodec]'",
            facts={"field": "RUNFOLD_VALUE_CODEC", "limit": "the package pcodec"},
        )
    return found


def absolute_place(place: str | None) -> str | None:
    """A folder as it is from everywhere, so that processes with another current folder mean the same; None: none.

    Addresses such as ``s3://bucket/prefix`` are what they are.
    """
    if not place:
        return None
    return place if "://" in place else str(Path(place).expanduser().absolute())


def _one_of(env: Mapping[str, str], name: str, default: str, allowed: tuple[str, ...]) -> str:
    value = env.get(name, default).lower()
    if value not in allowed:
        raise Invalid(
            f"{name} must be one of {', '.join(allowed)}; got {value[:80]!r}",
            facts={"field": name, "limit": list(allowed), "size": value[:80]},
        )
    return value
