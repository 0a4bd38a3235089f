"""Logging of a server process: structlog, to stderr, as JSON lines or for a terminal."""

from __future__ import annotations

import logging
import re
import sys
from typing import Final, TextIO

import structlog
from structlog.typing import Processor

from runfold_services.settings import LogFormat, LogLevel

# https://www.w3.org/TR/trace-context/#traceparent-header
TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}\Z")


def trace_id_of(traceparent: str | None) -> str | None:
    """The trace that a W3C ``traceparent`` names; None where it is malformed or absent."""
    return traceparent[3:35] if traceparent is not None and TRACEPARENT.match(traceparent) else None


def configure_logging(log_format: LogFormat, level: LogLevel, stream: TextIO | None = None) -> None:
    """Send everything that is logged, by us or by a library, through structlog to ``stream`` (stderr).

    Stdout stays free for the one ready line, which scripts wait for.
    """
    out = sys.stderr if stream is None else stream
    as_console = log_format == "console" or (log_format == "auto" and out.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=_renderers(as_console))
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # Libraries tell at "info" what the ready line and our own log say already.
    for name in ("aiokafka", "uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi"):
        library = logging.getLogger(name)
        library.handlers[:] = []
        library.propagate = True
        library.setLevel("WARNING")


def _renderers(as_console: bool) -> list[Processor]:
    remove = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    if as_console:
        return [remove, structlog.dev.ConsoleRenderer()]
    return [remove, structlog.processors.dict_tracebacks, structlog.processors.JSONRenderer()]
