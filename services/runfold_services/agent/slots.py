"""How many runs an agent executes at once, without parents and children waiting for each other for ever.

A script may submit runs below its own and wait for them. If it kept its place while it waits, a few such scripts would
fill an agent with waiting. So a run that has a child in execution here lends its place to that child: only runs without
one count, and a child of a run that has none yet starts whatever else is going on.
"""

from __future__ import annotations

from collections.abc import Mapping


def has_place(parent_run_id: str | None, executing: Mapping[str, str | None], places: int) -> bool:
    """Whether a run with this parent may start beside those that are executed: ``{run id: parent's id}``."""
    lenders = set(executing.values())
    counted = sum(1 for run_id in executing if run_id not in lenders)
    takes_parents_place = parent_run_id in executing and parent_run_id not in lenders
    return counted < places or takes_parents_place
