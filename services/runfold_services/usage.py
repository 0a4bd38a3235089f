"""What a workspace holds and sends: what is answered to whoever asks, over HTTP and in process."""

from __future__ import annotations

from typing import Final, Literal, get_args

from msgspec import Struct

from runfold_projections.model import RunQuery

QuotaName = Literal["commands", "points", "file_bytes"]
QUOTAS: Final[tuple[QuotaName, ...]] = get_args(QuotaName)
ALL_RUNS: Final = RunQuery(include_children=True, include_archived=True)


class Meter(Struct, frozen=True, kw_only=True):
    """One bound as it stands. ``per_s``, ``burst`` and ``available`` are null where there is no bound.

    ``available``: what may come in now; at 0 and below, the workspace is in debt and is answered 429. ``taken``: what
    came in since the process remembers the workspace (points only where they have a bound: nobody counts them
    otherwise), ``refused``: requests that were answered 429.
    """

    name: QuotaName
    per_s: float | None
    burst: float | None
    available: float | None
    taken: int
    refused: int


class Usage(Struct, frozen=True, kw_only=True):
    """``runs``: all of a workspace. ``meters``: of the server process that answers; none without a server."""

    workspace: str
    runs: int
    meters: tuple[Meter, ...] = ()
