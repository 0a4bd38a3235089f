"""``…/runs/{id}/stream`` and ``…/stream``: server-sent events."""

from __future__ import annotations

from typing import Final

from runfold_services.api.operations import Operation

OPERATIONS: Final[tuple[Operation, ...]] = ()
