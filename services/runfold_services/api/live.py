"""Live streams: who follows what, and what they are told after each fold. Lives on the event loop."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

import structlog
from msgspec import Struct

from runfold_events.contract.tokens import Token
from runfold_services.api.changes import Changes, Interest, Message, changes_between
from runfold_services.backend import Backend
from runfold_services.threads import Places

QUEUED_GROUPS_MAX: Final = 256  # per follower; beyond, it is told to load anew
FOLLOWERS_MAX: Final = 1_000
_log = structlog.stdlib.get_logger("runfold.live")


class Group(Struct, frozen=True):
    """What one follower is told about one step of the views. ``resync``: load anew what you show."""

    token: Token
    messages: tuple[Message, ...] = ()
    resync: bool = False


class StreamEnded(Exception):
    """The server ends its live streams."""


class Follower:
    """One client of a live stream: its subject and a bounded queue of what it has not been told yet."""

    def __init__(self, workspace: str, run_id: str | None) -> None:
        self.workspace = workspace
        self.run_id = run_id
        self.start: asyncio.Future[Token | None] = asyncio.get_running_loop().create_future()
        self._groups: deque[Group] = deque()
        self._something = asyncio.Event()
        self._is_ended = False

    def offer(self, group: Group) -> None:
        """Queue what happened; a follower that is too slow gets a single ``resync`` in place of all it missed."""
        if len(self._groups) >= QUEUED_GROUPS_MAX:
            self._groups.clear()
            group = Group(group.token, resync=True)
        self._groups.append(group)
        self._something.set()

    def end(self) -> None:
        """The server stops: ``start`` is None, or :meth:`next` raises once everything queued was told."""
        self._is_ended = True
        if not self.start.done():
            self.start.set_result(None)
        self._something.set()

    async def next(self, wait_s: float) -> Group | None:
        """What happened next; None when nothing did for ``wait_s`` seconds.

        Raises:
            StreamEnded: nothing will happen any more.
        """
        try:
            async with asyncio.timeout(wait_s):
                await self._something.wait()
        except TimeoutError:
            return None
        if not self._groups:
            raise StreamEnded
        group = self._groups.popleft()
        if not self._groups and not self._is_ended:
            self._something.clear()
        return group

    def part_of(self, token: Token, changes: Changes | None) -> Group | None:
        """What of ``changes`` concerns this follower; None when nothing does."""
        if changes is None or (self.run_id is None and self.workspace in changes.crowded):
            return Group(token, resync=True)
        mine = tuple(message for message in changes.messages if self._concerns(message))
        return Group(token, mine) if mine else None

    def _concerns(self, message: Message) -> bool:
        if message.workspace != self.workspace:
            return False
        return message.is_for_workspace if self.run_id is None else message.run_id == self.run_id


class Live:
    """Tells followers what changed, after the views have committed it.

    While one step is being worked out on a query thread further folds add up to the next step, and new followers wait
    for its end, so that each step is worked out for exactly those who are told.
    """

    def __init__(self, backend: Backend, threads: Places) -> None:
        self._backend = backend
        self._threads = threads
        self._followers: set[Follower] = set()
        self._joining: list[Follower] = []
        self._told: Token | None = None  # what every follower knows
        self._reached: Token | None = None  # what views have committed
        self._task: asyncio.Task[None] | None = None
        self._is_ended = False

    def advance(self, token: Token) -> None:
        """The views have committed ``token``; what is older than what is known already changes nothing."""
        self._reached = token if self._reached is None else self._reached.merge(token)
        if self._task is None and (self._joining or self._reached != self._told):
            self._task = asyncio.create_task(self._catch_up(), name="runfold-live")

    @property
    def has_room(self) -> bool:
        """One more may follow."""
        return not self._is_ended and self.count < FOLLOWERS_MAX

    @property
    def count(self) -> int:
        """How many follow, or wait to."""
        return len(self._followers) + len(self._joining)

    @property
    def told(self) -> Token | None:
        """The position that every follower knows, or has in its queue."""
        return self._told

    def join(self, follower: Follower) -> None:
        """Begin to tell ``follower`` what happens after the position that its ``start`` gets."""
        if self._is_ended:
            follower.end()
            return
        self._joining.append(follower)
        if self._reached is not None:
            self.advance(self._reached)

    def leave(self, follower: Follower) -> None:
        """Forget ``follower``."""
        self._followers.discard(follower)
        if follower in self._joining:
            self._joining.remove(follower)

    def end(self) -> None:
        """Let every stream end."""
        self._is_ended = True
        for follower in [*self._followers, *self._joining]:
            follower.end()

    async def changes(self, before: Token, after: Token, follower: Follower) -> Group:
        """What ``follower`` has missed between two positions."""
        interest = _interest({follower})
        changes = await self._threads.query(lambda: changes_between(self._backend, before, after, interest))
        return follower.part_of(after, changes) or Group(after)

    async def _catch_up(self) -> None:
        try:
            while self._reached is not None and (self._joining or self._reached != self._told):
                before, after = self._told or self._reached, self._reached
                self._tell(after, await self._work_out(before, after))
                self._admit(after)
        finally:
            self._task = None

    def _tell(self, position: Token, changes: Changes | None) -> None:
        self._told = position
        for follower in self._followers:
            group = follower.part_of(position, changes)
            if group is not None:
                follower.offer(group)

    def _admit(self, position: Token) -> None:
        for follower in self._joining:
            self._followers.add(follower)
            if not follower.start.done():
                follower.start.set_result(position)
        self._joining.clear()

    async def _work_out(self, before: Token, after: Token) -> Changes | None:
        if not self._followers or before == after:
            return Changes([])
        interest = _interest(self._followers)
        try:
            return await self._threads.query(lambda: changes_between(self._backend, before, after, interest))
        except Exception:
            _log.exception("what changed could not be worked out; followers load anew")
            return None


def _interest(followers: set[Follower]) -> Interest:
    return Interest(
        frozenset((f.workspace, f.run_id) for f in followers if f.run_id is not None),
        frozenset(f.workspace for f in followers if f.run_id is None),
    )
