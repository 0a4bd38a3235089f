"""The projector: events from the store into the views, for as long as it runs.

Any number of projectors share the partitions by leases. One that does not know yet that its lease ended does no harm:
of two that fold the same events, the checkpoint's compare-and-set lets one pass. An event that a projection cannot fold
stops that projection on that partition, where everybody can see it; the others go on.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Final, Protocol
from uuid import UUID, uuid4

import structlog
from msgspec import Struct, field
from msgspec.structs import replace

from runfold_events.contract.errors import RunfoldError
from runfold_projections.projection import Catalogue, Checkpoint, Projection, SharedEventSource, ViewStore
from runfold_projections.rebuild import Rebuild, prepare
from runfold_projections.runner import Folder, Rival, active_checkpoint, check_checkpoint
from runfold_services.tally import ITEMS, Distribution
from runfold_services.tasks import end_tasks

ROLE: Final = "projector"

Place = tuple[str, int]  # projection and partition
_log = structlog.stdlib.get_logger(__name__)


class Share(Protocol):
    """Divides partitions among the members of a role; see ``runfold_events.log_ports.LogStore``."""

    async def share_partitions(self, role: str, member: UUID, lease_us: int) -> frozenset[int]:
        """Join or stay; the partitions that are the member's for the length of a lease."""
        ...

    async def leave_role(self, role: str, member: UUID) -> None:
        """Let others have them at once."""
        ...


class SweepingViewStore(ViewStore, Protocol):
    """A store that keeps tables which were replaced for a while."""

    async def drop_retired(self) -> int:
        """Drop those that nobody can be reading any more."""
        ...


class ProjectorSettings(Struct, frozen=True, kw_only=True):
    """Bounds of one projector. It holds at most ``batches_at_once`` times ``batch_body_bytes_max`` of bodies."""

    batch_events_max: int = 2_048
    batch_body_bytes_max: int = 4 * 1024 * 1024
    together_events_max: int = 256  # partitions with at most so much news are folded in one transaction
    gather_s_per_event: float = 0.01  # passes that find so little begin so far apart for each event found …
    gather_s: float = 0.05  # … at most: what comes meanwhile costs no more
    batches_at_once: int = 2  # while one waits for the database another computes
    lease_s: float = 10.0  # a partition of a projector that is gone waits so long
    poll_s: float = 0.002  # after news; each look without any takes half as long again …
    idle_poll_s: float = 0.02  # … up to this
    look_again_s: float = 0.5  # how long what is known of the views is believed without a look
    retry_s_min: float = 0.1
    retry_s_max: float = 5.0
    sweep_s: float = 60.0

    def gathering_s(self, events: int) -> float:
        """How long after a pass that found ``events`` began the next one may begin.

        What waiting saves are the passes that each event would get for itself. There are none to save as long as events
        come further apart than passes take, and the more, the faster events come: which is what the last pass shows.
        """
        if events > self.together_events_max:
            return 0.0
        return min(events * self.gather_s_per_event, self.gather_s)


class Lag(Struct, frozen=True, kw_only=True):
    """How far a view is behind the store on one partition."""

    projection: str
    partition: int
    positions: int
    seconds: float  # since the first event that is missing was recorded
    stopped: str | None = None


class ProjectorStatus(Struct):
    """What a projector knows of itself, for metrics and health."""

    served: frozenset[int] = frozenset()
    events: int = 0  # folded, each once whatever the number of views
    batches: int = 0
    batch_events: Distribution = field(default_factory=lambda: Distribution(ITEMS))
    rivals: int = 0  # batches that somebody else had folded first
    retries: int = 0
    alarms: dict[Place, str] = field(default_factory=dict)  # what is wrong with which view where


class Projector:
    """Folds the partitions that it has a lease on; without a ``share``, all of them."""

    def __init__(
        self,
        source: SharedEventSource,
        store: SweepingViewStore,
        projections: Sequence[Projection],
        share: Share | None = None,
        settings: ProjectorSettings | None = None,
        *,
        member: UUID | None = None,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self.status = ProjectorStatus()
        self._settings = settings or ProjectorSettings()
        self._source = source
        self._store = store
        self._projections = tuple(projections)
        self._share = share
        self._member = member or uuid4()
        self._now_s = now_s
        self._folder = Folder(
            source,
            store,
            projections,
            batch_events_max=self._settings.batch_events_max,
            batch_body_bytes_max=self._settings.batch_body_bytes_max,
        )
        self._at_once = asyncio.Semaphore(self._settings.batches_at_once)
        self._retried: set[Checkpoint] = set()
        self._known: Catalogue | None = None  # where views stand, if that is known without looking
        self._nothing_at: tuple[frozenset[int], tuple[int, ...]] | None = None  # where no view was behind
        self._look_again_at = 0.0
        self._woken = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Make the tables that are missing, take a share of the partitions, begin to fold.

        Raises:
            Unavailable: the database does not answer, or its views are of a newer version.
        """
        importlib.import_module("numpy")  # not by the first fold that needs it, while it holds a checkpoint
        outdated = await prepare(self._source, self._store, self._projections)
        await self._renew()
        work = [self._fold_for_ever(), self._renew_for_ever(), self._sweep_for_ever()]
        if outdated:
            work.append(self._upgrade(outdated))
        self._tasks = [asyncio.get_running_loop().create_task(one) for one in work]

    async def stop(self) -> None:
        """End; what was being folded is undone, and others have the partitions at once."""
        tasks, self._tasks = self._tasks, []
        await end_tasks(tasks)
        self.status.served = frozenset()
        if self._share is not None:
            with contextlib.suppress(RunfoldError):
                await self._share.leave_role(ROLE, self._member)

    def wake(self) -> None:
        """A hint that the store has news."""
        self._woken.set()

    async def lag(self) -> list[Lag]:
        """How far every view is behind, on all partitions."""
        catalogue = await self._folder.catalogue()
        ends = await self._source.ends()  # after the checkpoints, so that none seems to lie beyond
        found: list[Lag] = []
        for generation in catalogue.active.values():
            for partition, end in enumerate(ends):
                checkpoint = catalogue.checkpoints.get((generation, partition))
                if checkpoint is not None:
                    found.append(await self._lag_of(checkpoint, end))
        return found

    async def _lag_of(self, checkpoint: Checkpoint, end: int) -> Lag:
        behind = max(0, end - checkpoint.pos)
        first = await self._source.read_public(checkpoint.partition, checkpoint.pos, min(behind, 1))
        return Lag(
            projection=checkpoint.generation.projection,
            partition=checkpoint.partition,
            positions=behind,
            seconds=max(0.0, self._now_s() - first[0].recorded_at / 1_000_000) if first else 0.0,
            stopped=checkpoint.stopped,
        )

    # Leases, and tables that come and go

    async def _renew(self) -> None:
        if self._share is None:
            self.status.served = frozenset(range(self._source.partitions))
            return
        lease_us = round(self._settings.lease_s * 1_000_000)
        self.status.served = await self._share.share_partitions(ROLE, self._member, lease_us)

    async def _renew_for_ever(self) -> None:
        while True:
            await asyncio.sleep(self._settings.lease_s / 3)
            try:
                await self._renew()
            except RunfoldError as error:
                _log.warning("lease not renewed", why=error.message)

    async def _sweep_for_ever(self) -> None:
        while True:
            try:
                dropped = await self._store.drop_retired()
                if dropped:
                    _log.info("replaced tables dropped", generations=dropped)
            except RunfoldError as error:
                _log.warning("replaced tables not dropped; will try again", why=error.message)
            await asyncio.sleep(self._settings.sweep_s)

    async def _upgrade(self, outdated: Sequence[Projection]) -> None:
        """Build what an older version of the program left, beside it; other views are folded meanwhile."""
        names = [projection.name for projection in outdated]
        wait_s = self._settings.retry_s_min
        while True:
            try:
                _log.info("rebuilding views of an older version", projections=names)
                await Rebuild(self._source, self._store, self._folder, outdated).run()
            except RunfoldError as error:
                _log.error("rebuild failed; will go on", projections=names, why=error.message)
                await asyncio.sleep(wait_s)
                wait_s = min(2 * wait_s, self._settings.retry_s_max)
            else:
                _log.info("views rebuilt", projections=names)
                return

    # Folding

    async def _fold_for_ever(self) -> None:
        settings, loop = self._settings, asyncio.get_running_loop()
        retry_s, wait_s = settings.retry_s_min, settings.poll_s
        while True:
            began = loop.time()
            self._woken.clear()
            try:
                folded = await self._pass()
            except Exception as error:
                self.status.retries += 1
                if isinstance(error, RunfoldError):
                    _log.warning("folding waits", why=error.message, code=error.code)
                else:
                    _log.exception("folding failed; will try again")
                await asyncio.sleep(retry_s)
                retry_s = min(2 * retry_s, settings.retry_s_max)
                continue
            retry_s = settings.retry_s_min
            if folded:
                wait_s = settings.poll_s
                await asyncio.sleep(max(0.0, began + settings.gathering_s(folded) - loop.time()))
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._woken.wait()
            wait_s = min(1.5 * wait_s, settings.idle_poll_s)

    async def _pass(self) -> int:
        """Fold one batch of every partition that has news; returns the number of events."""
        before = (self.status.served, await self._source.ends())
        if before == self._nothing_at and asyncio.get_running_loop().time() < self._look_again_at:
            return 0
        folded, is_through = await self._fold_behind(before[1])
        self._nothing_at = before if is_through else None
        return folded

    async def _fold_behind(self, ends: Sequence[int]) -> tuple[int, bool]:
        """Fold where views stand behind; returns the number of events, and whether none did."""
        loop = asyncio.get_running_loop()
        catalogue, self._known = self._known, None
        if catalogue is None or loop.time() >= self._look_again_at:
            catalogue = await self._folder.catalogue()
            ends = await self._source.ends()  # after the checkpoints, so that none seems to lie beyond
            self._look_again_at = loop.time() + self._settings.look_again_s
        behind = {
            partition: checkpoints
            for partition in sorted(self.status.served)
            if (checkpoints := self._behind(catalogue, partition, ends[partition]))
        }
        together = {p: c for p, c in behind.items() if self._is_little(c, ends[p])}
        folded = await self._fold_together(together, ends) if len(together) > 1 else {}
        work = [self._fold_batch(behind[p], ends[p]) for p in behind if p not in folded]
        if not work:
            # All views stand where this pass has moved them; who has moved them elsewhere is found a rival.
            moved = {
                (one.generation, p): replace(one, pos=one.pos + count)
                for p, count in folded.items()
                for one in behind[p]
            }
            self._known = replace(catalogue, checkpoints=catalogue.checkpoints | moved)
        return sum(folded.values()) + await self._fold_apart(work), not behind

    async def _fold_apart(self, work: Sequence[Coroutine[Any, Any, int]]) -> int:
        failures: list[Exception] = []
        folded = 0
        for result in await asyncio.gather(*work, return_exceptions=True):
            if isinstance(result, int):
                folded += result
            elif isinstance(result, Exception):
                failures.append(result)
            else:
                raise result
        if failures and not folded:
            raise failures[0]
        return folded

    def _is_little(self, checkpoints: Sequence[Checkpoint], end: int) -> bool:
        """Whether a partition's news can be folded with those of others: all views stand at one place, not far back."""
        places = {checkpoint.pos for checkpoint in checkpoints if checkpoint.stopped is None}
        is_whole = len(checkpoints) == len(self._projections) and len(places) == 1
        return is_whole and end - min(places) <= self._settings.together_events_max

    async def _fold_together(
        self, behind: Mapping[int, Sequence[Checkpoint]], ends: Sequence[int]
    ) -> dict[int, int]:
        try:
            folded = await self._folder.fold_together(self._source, behind, ends)
        except Rival:
            self.status.rivals += 1
            return {}
        for count in folded.values():
            self._count(count)
        return folded

    def _behind(self, catalogue: Catalogue, partition: int, end: int) -> list[Checkpoint]:
        """Where views stand that are to be folded; those that cannot be raise an alarm instead."""
        found: list[Checkpoint] = []
        for projection in self._projections:
            place = (projection.name, partition)
            try:
                checkpoint = active_checkpoint(catalogue, projection, partition)
                check_checkpoint(checkpoint, self._source.epoch, end)
            except RunfoldError as error:
                self._alarm(place, error.message)
                continue
            if checkpoint.stopped is None or checkpoint not in self._retried:
                if checkpoint.pos < end:
                    found.append(checkpoint)
                if checkpoint.stopped is not None:  # this program may know what another did not
                    self._retried.add(checkpoint)
                self.status.alarms.pop(place, None)
            else:
                self._alarm(place, f"stopped at position {checkpoint.pos}: {checkpoint.stopped}")
        return found

    def _alarm(self, place: Place, message: str) -> None:
        if self.status.alarms.get(place) != message:
            self.status.alarms[place] = message
            _log.error("view alarm", projection=place[0], partition=place[1], message=message)

    async def _fold_batch(self, checkpoints: Sequence[Checkpoint], end: int) -> int:
        async with self._at_once:
            try:
                count, _ = await self._folder.fold_batch(checkpoints, end)
            except Rival:
                self.status.rivals += 1
                return 0
        self._count(count)
        return count

    def _count(self, events: int) -> None:
        self.status.events += events
        self.status.batches += 1
        self.status.batch_events.add(events)
