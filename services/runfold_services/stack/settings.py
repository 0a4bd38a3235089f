"""What a stack is told from outside. The only module of the stack that reads the environment."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal, TypeGuard

from msgspec import Struct

from runfold_events.contract.errors import Invalid
from runfold_services.stack.port import Source

KAFKA_HEAP_MB: Final = 512
_SOURCES: Final = ("auto", "containers", "packages")
_CERTIFICATES: Final = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "PIP_CERT")
_KEPT_FOR_SERVERS: Final = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT")


class StackSettings(Struct, frozen=True, kw_only=True):
    """How a stack is provided.

    Attributes:
        cache: where fetched files are kept between stacks.
        source: which engine (``RUNFOLD_STACK``); ``auto`` prefers containers.
        certificates: file with the certificate authorities to trust while fetching; None: the libraries' own.
        environment: what the servers get to see. Not the caller's: ``PGPORT`` or ``JAVA_TOOL_OPTIONS`` would
            change what is started.
    """

    cache: Path
    source: Literal["auto"] | Source = "auto"
    certificates: Path | None = None
    environment: Mapping[str, str]
    kafka_heap_mb: int = KAFKA_HEAP_MB


def settings_from_environment(environment: Mapping[str, str] | None = None) -> StackSettings:
    """Settings for this user on this machine.

    Raises:
        Invalid: ``RUNFOLD_STACK`` is none of its values.
    """
    env = os.environ if environment is None else environment
    named = env.get("RUNFOLD_STACK") or "auto"
    if not _is_source(named):
        raise Invalid(
            f"RUNFOLD_STACK must be one of {', '.join(_SOURCES)}; got {named[:80]!r}",
            facts={"field": "RUNFOLD_STACK", "limit": list(_SOURCES), "size": named[:80]},
        )
    return StackSettings(
        cache=_cache(env),
        source=named,
        certificates=_certificates(env),
        environment={"LC_ALL": "C", **{name: env[name] for name in _KEPT_FOR_SERVERS if name in env}},
    )


def _is_source(name: str) -> TypeGuard[Literal["auto"] | Source]:
    return name in _SOURCES


def _cache(env: Mapping[str, str]) -> Path:
    import platformdirs

    named = env.get("RUNFOLD_CACHE")
    return (
        Path(named).expanduser().absolute() if named else Path(platformdirs.user_cache_dir("runfold", False))
    )


def _certificates(env: Mapping[str, str]) -> Path | None:
    """Tools read different variables for the same thing: whichever is given serves, then what the system trusts."""
    named = [env[name] for name in _CERTIFICATES if env.get(name)]
    system = ssl.get_default_verify_paths().cafile
    return next((Path(file) for file in [*named, system] if file), None)
