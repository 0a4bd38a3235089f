"""The one place that chooses adapters and puts services together.

``embedded`` needs the base install only; ``postgres`` and ``kafka`` need the extra ``server`` and are imported by
processes that serve.
"""

from runfold_services.compose.embedded import (
    MEMORY,
    EmbeddedTracker,
    ledger_path,
    open_embedded,
    restore_embedded,
)

__all__ = ["MEMORY", "EmbeddedTracker", "ledger_path", "open_embedded", "restore_embedded"]
