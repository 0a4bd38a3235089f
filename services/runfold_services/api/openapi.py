"""The OpenAPI 3.1 document, made from the list of operations."""

from __future__ import annotations

from collections.abc import Sequence

from runfold_services.api.operations import Operation


def description(operations: Sequence[Operation]) -> bytes:
    return b"{}"
