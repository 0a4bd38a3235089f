"""Delivers what dead processes have left: each spool by one process at a time, in the order in which it was logged.

What a drainer has delivered it writes down as the owner would have done, so a drainer may be killed too.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final
from uuid import UUID

from msgspec import Struct

from runfold._leases import Leases
from runfold._left_calls import LeftCalls
from runfold._sender import Sender
from runfold._spool import lock_spool, read_owner, spools_in
from runfold._spool_kept import keep_receipts, keep_refused
from runfold._streams import Pending
from runfold._transport import Transport
from runfold_events.clock import elapsed_s
from runfold_events.contract.commands import LogMetrics
from runfold_events.contract.errors import RunfoldError, Unavailable

PATIENCE_S: Final = 10.0  # with a server that does not answer
_PAUSE_S_MAX: Final = 0.25  # between looks at whether to stop
Progress = Callable[[int, int], None]
_log = logging.getLogger("runfold")


class Drained(Struct, kw_only=True):
    """What became of one spool.

    Attributes:
        values: logged values that arrived. commands: other commands.
        refused: commands that will never be accepted: kept in ``refused.jsonl``.
        in_doubt: commands of which it is not known whether they arrived; what was lost of them is declared.
        damaged_bytes: of its files; declared too.
        left_values: not delivered this time, with the reason in ``problem``.
    """

    folder: Path
    writer_id: UUID | None = None
    program: str = ""
    values: int = 0
    commands: int = 0
    refused: int = 0
    in_doubt: int = 0
    damaged_bytes: int = 0
    left_values: int = 0
    problem: str = ""

    @property
    def is_done(self) -> bool:
        return not self.problem


def drain(
    folder: Path,
    transport: Callable[[], Transport],
    *,
    patience_s: float = PATIENCE_S,
    stop: Callable[[], bool] = lambda: False,
    progress: Progress = lambda done, total: None,
) -> Iterator[Drained]:
    """Deliver the spools of one destination whose processes are gone, the oldest first.

    Args:
        folder: of the destination.
        patience_s: how long a server may be gone before the rest is left for another time.
        stop: asked between requests.
        progress: told how many values of the present spool have arrived, and how many there are.
    """
    for spool in spools_in(folder):
        if stop():
            return
        drained = drain_spool(spool, transport, patience_s=patience_s, stop=stop, progress=progress)
        if drained is not None:
            yield drained
            if not drained.is_done:
                return


def drain_spool(
    folder: Path,
    transport: Callable[[], Transport],
    *,
    patience_s: float = PATIENCE_S,
    stop: Callable[[], bool] = lambda: False,
    progress: Progress = lambda done, total: None,
) -> Drained | None:
    """Deliver one spool; None when its process lives, or somebody else is at it."""
    lock = lock_spool(folder)
    if lock is None:
        return None
    owner = read_owner(folder)
    calls = LeftCalls(folder, lock)
    try:
        delivery = _Delivery(calls, transport, progress)
        delivery.drained.program = "" if owner is None else owner.program
        delivery.run(patience_s, stop)
        return delivery.drained
    finally:
        calls.spool.leave()


class _Delivery:
    """One spool's way to its destination."""

    def __init__(self, calls: LeftCalls, transport: Callable[[], Transport], progress: Progress) -> None:
        self._calls = calls
        self._values = calls.values
        self._progress = progress
        self._folder = calls.folder
        streams = {stream.name: stream for stream in calls.streams.values()}
        self._leases = Leases(transport, streams, elapsed_s)
        self._sender = Sender(
            calls,
            transport,
            clock=time.monotonic,
            settled=self._settled,
            before_hold=self._leases.ensure,
            keep_refused=self._refused,
            accepted=self._arrived,
        )
        self._sender.deliveries.begin(calls.state.upto, calls.state.ordinal, calls.streams)
        self._sender.resume(calls.queue)
        self.drained = Drained(
            folder=self._folder, writer_id=calls.writer_id, damaged_bytes=calls.damaged_bytes
        )
        self._keep_doubts()

    def _keep_doubts(self) -> None:
        for pending in self._calls.in_doubt:
            if not isinstance(pending.command, LogMetrics):
                self.drained.in_doubt += 1
                keep_refused(self._folder.parent, pending, Unavailable("it is not known whether it arrived"))

    def run(self, patience_s: float, stop: Callable[[], bool]) -> None:
        """Until everything is delivered, or the other side is gone for too long."""
        if self.drained.damaged_bytes:
            _log.warning("runfold: %d bytes of %s are damaged", self.drained.damaged_bytes, self._folder)
        sender = self._sender
        while not sender.is_idle and not stop():
            sender.deliver()
            if sender.outage_since is None:
                sender.hurry()
                time.sleep(min(sender.wait_s(), _PAUSE_S_MAX))
                continue
            if time.monotonic() - sender.outage_since > patience_s:
                self.drained.problem = sender.problem
                break
            time.sleep(min(sender.wait_s(), _PAUSE_S_MAX))
        self._leases.end({})
        if sender.is_idle:
            keep_receipts(self._folder.parent, sender.deliveries.streams)
            self._calls.spool.remove()
        elif not self.drained.problem:
            self.drained.problem = "stopped"
        self.drained.left_values = self._calls.values

    def _settled(self, token: str | None) -> None:
        self._progress(self.drained.values, self._values)

    def _arrived(self, pending: Pending) -> None:
        if isinstance(pending.command, LogMetrics):
            self.drained.values += pending.values
        else:
            self.drained.commands += 1

    def _refused(self, pending: Pending, error: RunfoldError) -> None:
        self.drained.refused += 1
        keep_refused(self._folder.parent, pending, error)
