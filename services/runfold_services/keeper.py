"""The lease keeper: notices runs whose last holder is gone, and holders that speak again.

The ledger decides; the keeper only names candidates, and the ledger re-reads the leases by the store's clock in the
deciding transaction. What the keeper must not do is to act on leases that ran out because *this* machine stood still:
then every worker's heartbeat may be waiting to be read. So a server's keeper acts only after a full lease in which
its own loop was never late.
"""

from __future__ import annotations

from typing import Final
from uuid import uuid4

from runfold_events.clock import Clock
from runfold_events.contract import limits
from runfold_events.contract.commands import MarkFound, MarkLost
from runfold_events.contract.ids import split_stream
from runfold_events.contract.submission import Accepted, Actor, Submission
from runfold_events.ledger import Ledger

KEEPER_ACTOR: Final = Actor("lease-keeper", "system")
STREAMS_PER_PASS_MAX: Final = 1_000
LATE_S_MAX: Final = limits.HEARTBEAT_INTERVAL_S


class KeeperGuard:
    """Says when a keeper may act: after a full lease without its own loop being late.

    Call :meth:`tick` from the loop, about once every ``interval_s`` seconds of a monotonic clock.
    """

    def __init__(self, lease_s: float = limits.LEASE_S, late_s_max: float = LATE_S_MAX) -> None:
        self._lease_s = lease_s
        self._late_s_max = late_s_max
        self._on_time_since: float | None = None
        self._expected_at: float | None = None

    def tick(self, now_s: float, interval_s: float) -> bool:
        """Note that the loop ran at ``now_s`` and will run again ``interval_s`` later; True when it may act now."""
        late = self._expected_at is not None and now_s - self._expected_at > self._late_s_max
        if self._on_time_since is None or late:
            self._on_time_since = now_s
        self._expected_at = now_s + interval_s
        return now_s - self._on_time_since >= self._lease_s


class Keeper:
    """Marks runs lost and found through the ledger."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock

    async def pass_over(self) -> int:
        """Look once at all leases; returns how many runs changed."""
        store = self._ledger.store
        lost = await store.without_live_holder(STREAMS_PER_PASS_MAX)
        found = await store.lost_with_live_holder(STREAMS_PER_PASS_MAX)
        return await self.mark(lost, MarkLost) + await self.mark(found, MarkFound)

    async def mark(self, streams: list[str], command: type[MarkLost] | type[MarkFound]) -> int:
        """Send one command for each stream; returns how many of them changed something."""
        if not streams:
            return 0
        writer_id, now = uuid4(), self._clock.now_us()
        submissions: list[Submission] = []
        for stream in streams:
            workspace, _, run_id = split_stream(stream)
            submissions.append(
                Submission(
                    workspace=workspace,
                    command=command(run_id=run_id),
                    writer_id=writer_id,
                    writer_seq=1,
                    occurred_at=now,
                    actor=KEEPER_ACTOR,
                    door="keeper",
                )
            )
        outcomes = await self._ledger.handle(submissions)
        return sum(1 for outcome in outcomes if isinstance(outcome, Accepted) and outcome.events)
