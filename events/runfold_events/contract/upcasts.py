"""Old event versions to today's: small pure functions, one per type and version, for ever.

There is one version so far, so the table is empty. A new ``data_version`` of a type adds its entry here and its golden
bytes under ``tests/compatibility/golden``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from runfold_events.contract.envelope import DATA_VERSION
from runfold_events.contract.errors import Invalid

Upcast = Callable[[dict[str, Any]], dict[str, Any]]

UPCASTS: Final[dict[tuple[str, int], Upcast]] = {}


def upcast(event_type: str, data_version: int, body: dict[str, Any]) -> dict[str, Any]:
    """Bring ``body`` from ``data_version`` to :data:`DATA_VERSION`, one version at a time.

    Raises:
        Invalid: the version is newer than this program, or a step is missing.
    """
    for version in range(data_version, DATA_VERSION):
        step = UPCASTS.get((event_type, version))
        if step is None:
            raise Invalid(
                f"no upcast of {event_type} from version {version}", facts={"field": "data_version"}
            )
        body = step(body)
    if data_version > DATA_VERSION:
        raise Invalid(
            f"{event_type} has data version {data_version}; this program reads up to {DATA_VERSION}: upgrade runfold",
            facts={"field": "data_version", "limit": DATA_VERSION, "size": data_version},
        )
    return body
