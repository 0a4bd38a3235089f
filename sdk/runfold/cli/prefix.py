"""Run ids by their beginning."""

from __future__ import annotations

from typing import Final

from runfold_events.contract.ids import check_run_id

_AFTER_ALL: Final = "~"  # greater than every character of a run id


def prefix_filter(prefix: str) -> str:
    """An expression of the filter language for run ids that begin with ``prefix``; a range, so that an index serves.

    Raises:
        Invalid: no run id begins so.
    """
    if not prefix:
        return 'run_id != ""'
    check_run_id(prefix)
    return f'run_id >= "{prefix}" and run_id < "{prefix}{_AFTER_ALL}"'
