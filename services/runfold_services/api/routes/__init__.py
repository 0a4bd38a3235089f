"""All operations of the API, one module a resource."""

from __future__ import annotations

from typing import Final

from runfold_services.api.operations import Operation
from runfold_services.api.routes import (
    children,
    commands,
    events,
    experiments,
    files,
    logs,
    metrics,
    outcomes,
    processes,
    run_data,
    run_lifecycle,
    run_tokens,
    runs,
    streams,
    system,
    unreadable,
    usage,
)

OPERATIONS: Final[tuple[Operation, ...]] = (
    *commands.OPERATIONS,
    *outcomes.OPERATIONS,
    *processes.OPERATIONS,
    *experiments.OPERATIONS,
    *runs.OPERATIONS,
    *run_lifecycle.OPERATIONS,
    *run_tokens.OPERATIONS,
    *run_data.OPERATIONS,
    *files.OPERATIONS,
    *logs.OPERATIONS,
    *metrics.OPERATIONS,
    *children.OPERATIONS,
    *streams.OPERATIONS,
    *usage.OPERATIONS,
    *events.OPERATIONS,
    *unreadable.OPERATIONS,
    *system.OPERATIONS,
)
