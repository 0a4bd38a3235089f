"""What the environment says. The only module of the SDK that reads it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

from msgspec import Struct

from runfold_events.contract.errors import Invalid
from runfold_events.contract.ids import check_workspace_name

DEFAULT_WORKSPACE: Final = "default"
AGENT_IDLE_S_DEFAULT: Final = 60.0
SPOOL_MIB_DEFAULT: Final = 1024
SPOOL_MIB_MIN: Final = 1
SPOOL_MIB_MAX: Final = 1024 * 1024
AGENT_IDLE_S_MAX: Final = 30 * 24 * 3600.0
SYSTEM_METRICS_S_DEFAULT: Final = 10.0
SYSTEM_METRICS_S_MIN: Final = 1.0
_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"", "0", "false", "no", "off"})
# https://www.w3.org/TR/trace-context/#traceparent-header
_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}\Z")


class Settings(Struct, frozen=True, kw_only=True):
    """Where runs are recorded unless a program says otherwise.

    Attributes:
        home: folder of the embedded ledger (``RUNFOLD_HOME``; default: the user's data folder).
        files: where the embedded ledger keeps contents of files (``RUNFOLD_FILES``; default: in ``home``).
        url: server to use instead of the embedded ledger (``RUNFOLD_URL``).
        token: credential for that server (``RUNFOLD_TOKEN``).
        workspace: workspace when no configuration file names one (``RUNFOLD_WORKSPACE``).
        strict: lifecycle calls raise while the server is gone (``RUNFOLD_STRICT``).
        traceparent: W3C trace context that this process was started in (``TRACEPARENT``).
        agent_idle_s: when an agent that ``submit`` started ends without work (``RUNFOLD_AGENT_IDLE_S``); 0: ``submit``
            starts none.
        spool: folder for what is not delivered yet (``RUNFOLD_SPOOL``; ``off``: in memory only). Default: of the
            embedded ledger in ``home``, of servers in the user's state folder.
        spool_mib: what one process may keep there (``RUNFOLD_SPOOL_MIB``); more values are counted and declared lost.
        spool_sync: have the disk take it too, before it is sent and at every try of an outage
            (``RUNFOLD_SPOOL_SYNC``): for power cuts.
        values_by: the way of logged values to a server (``RUNFOLD_VALUES_BY``; ``kafka``: into its command topic, with
            ``RUNFOLD_KAFKA`` and what else the deciders are told of the cluster).
    """

    home: Path
    files: str | None = None
    url: str | None = None
    token: str | None = None
    workspace: str = DEFAULT_WORKSPACE
    strict: bool = False
    traceparent: str | None = None
    agent_idle_s: float = AGENT_IDLE_S_DEFAULT
    spool: Path | Literal["off"] | None = None
    spool_mib: int = SPOOL_MIB_DEFAULT
    spool_sync: bool = False
    values_by: Literal["http", "kafka"] = "http"


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the environment anew, so that a program may set it before it opens a workspace.

    Raises:
        Invalid: a variable has a value that cannot be meant; ``field`` names the variable.
    """
    env = os.environ if environ is None else environ
    return Settings(
        home=_home(env),
        files=_files(env),
        url=_url(env.get("RUNFOLD_URL", "")),
        token=env.get("RUNFOLD_TOKEN") or None,
        workspace=check_workspace_name(
            env.get("RUNFOLD_WORKSPACE") or DEFAULT_WORKSPACE, "RUNFOLD_WORKSPACE"
        ),
        strict=_flag(env, "RUNFOLD_STRICT"),
        traceparent=_traceparent(env.get("TRACEPARENT", "")),
        agent_idle_s=_seconds(env, "RUNFOLD_AGENT_IDLE_S", AGENT_IDLE_S_DEFAULT),
        spool=_spool(env.get("RUNFOLD_SPOOL", "").strip()),
        spool_mib=_whole(env, "RUNFOLD_SPOOL_MIB", SPOOL_MIB_DEFAULT, SPOOL_MIB_MIN, SPOOL_MIB_MAX),
        spool_sync=_flag(env, "RUNFOLD_SPOOL_SYNC"),
        values_by=_values_by(env.get("RUNFOLD_VALUES_BY", "")),
    )


def azureml_wish(environ: Mapping[str, str] | None = None) -> Literal["install", "force"] | None:
    """What ``RUNFOLD_AZUREML`` asks of ``python -m runfold``: to stand in for ``azureml``, by ``force`` if need be."""
    env = os.environ if environ is None else environ
    if env.get("RUNFOLD_AZUREML", "").strip().lower() == "force":
        return "force"
    return "install" if _flag(env, "RUNFOLD_AZUREML") else None


def system_metrics_s(asked: bool | None, environ: Mapping[str, str] | None = None) -> float | None:
    """Every how many seconds to look at the machine; None: not at all.

    ``asked`` is what the program said; None: ``RUNFOLD_SYSTEM_METRICS`` says it. ``RUNFOLD_SYSTEM_METRICS_S`` is how
    many.

    Raises:
        Invalid: a variable has a value that cannot be meant.
    """
    env = os.environ if environ is None else environ
    if asked is False or (asked is None and not _flag(env, "RUNFOLD_SYSTEM_METRICS")):
        return None
    return max(SYSTEM_METRICS_S_MIN, _seconds(env, "RUNFOLD_SYSTEM_METRICS_S", SYSTEM_METRICS_S_DEFAULT))


def check_url(url: str, field: str) -> str:
    """``url`` without a trailing slash, if it is one that can be spoken to.

    Raises:
        Invalid: not an http or https address; ``field`` as given.
    """
    trimmed = url.strip().rstrip("/")
    scheme, _, rest = trimmed.partition("://")
    if scheme not in {"http", "https"} or not rest or any(c.isspace() for c in rest):
        raise Invalid(
            f"{field} must be an address such as http://127.0.0.1:8765; got {url[:80]!r}",
            facts={"field": field, "limit": "http:// or https://", "size": url[:80]},
        )
    return trimmed


def _url(text: str) -> str | None:
    return check_url(text, "RUNFOLD_URL") if text.strip() else None


def _home(env: Mapping[str, str]) -> Path:
    named = env.get("RUNFOLD_HOME")
    if named:
        return Path(named).expanduser().absolute()
    import platformdirs  # its import costs more than the rest of this module, and is seldom needed in tests

    return Path(platformdirs.user_data_dir("runfold", appauthor=False))


def _files(env: Mapping[str, str]) -> str | None:
    named = env.get("RUNFOLD_FILES")
    if not named:
        return None
    from runfold_services.settings import absolute_place

    return absolute_place(named)


def _spool(named: str) -> Path | Literal["off"] | None:
    if named.lower() == "off":
        return "off"
    return Path(named).expanduser().absolute() if named else None


def _values_by(named: str) -> Literal["http", "kafka"]:
    if not named.strip() or named.strip().lower() == "http":
        return "http"
    if named.strip().lower() == "kafka":
        return "kafka"
    raise Invalid(
        f"RUNFOLD_VALUES_BY must be http or kafka; got {named[:80]!r}",
        facts={"field": "RUNFOLD_VALUES_BY", "limit": "http or kafka", "size": named[:80]},
    )


def _whole(env: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    text = env.get(name, "").strip()
    if not text:
        return default
    number = int(text) if text.isdecimal() else -1
    if not least <= number <= most:
        raise Invalid(
            f"{name} must be a whole number from {least} to {most}; got {text[:80]!r}",
            facts={"field": name, "limit": most, "size": text[:80]},
        )
    return number


def _flag(env: Mapping[str, str], name: str) -> bool:
    value = env.get(name, "").strip().lower()
    if value not in _TRUE | _FALSE:
        raise Invalid(
            f"{name} must be 1 or 0; got {value[:80]!r}",
            facts={"field": name, "limit": "1 or 0", "size": value[:80]},
        )
    return value in _TRUE


def _seconds(env: Mapping[str, str], name: str, default: float) -> float:
    text = env.get(name, "").strip()
    if not text:
        return default
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= AGENT_IDLE_S_MAX:
        raise Invalid(
            f"{name} must be seconds from 0 to {AGENT_IDLE_S_MAX:g}; got {text[:80]!r}",
            facts={"field": name, "limit": AGENT_IDLE_S_MAX, "size": text[:80]},
        )
    return seconds


def _traceparent(text: str) -> str | None:
    """Somebody else's variable: what is malformed is left out, as the standard asks."""
    return text if _TRACEPARENT.match(text) else None
