"""Group commit by natural batching: whatever has queued while the last commit ran goes into the next one."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import structlog
from msgspec import Struct

from runfold_events.contract import limits
from runfold_events.contract.errors import RunfoldError, Unavailable
from runfold_events.contract.submission import Outcome, Submission

BATCH_COMMANDS_MAX: Final = 4_000  # a commit stops taking requests at this many commands …
BATCH_BYTES_MAX: Final = 16 * 1024 * 1024  # … or bytes; the first request is always taken whole
QUEUE_COMMANDS_MAX: Final = 40_000
QUEUE_BYTES_MAX: Final = 128 * 1024 * 1024
RETRY_AFTER_S: Final = 1.0
GATHER_SHARE: Final = 0.5  # of the time that the last commit took …
GATHER_S_MAX: Final = 0.01  # … and at most this: how long those who were answered together are waited for
# So many that wait while nothing is in flight are shared out to several commits.
SHARED_OUT_REQUESTS_MIN: Final = 8
SHARED_COMMANDS_MAX: Final = 100  # a request that is larger pays for a transaction of its own …
SHARED_BYTES_MAX: Final = 64 * 1024  # … and would keep small ones waiting

Submit = Callable[[Sequence[Submission]], Awaitable[list[Outcome]]]
SubmitFree = Callable[[Sequence[Submission]], Awaitable[list[Outcome | None]]]
_log = structlog.stdlib.get_logger("runfold.committer")


class Request:
    """The commands of one request: committed together, answered together."""

    __slots__ = ("answer", "bytes", "submissions")

    def __init__(self, submissions: Sequence[Submission], size: int, answer: asyncio.Future[list[Outcome]]):
        self.submissions = submissions
        self.bytes = size
        self.answer = answer


class Queued(Struct):
    """What waits for its commit, in all queues of a server together, and how much may."""

    commands: int = 0
    bytes: int = 0
    commands_max: int = QUEUE_COMMANDS_MAX
    bytes_max: int = QUEUE_BYTES_MAX


class Committer:
    """The queue in front of one ledger. Lives on the event loop; ``submit`` it is given runs on the commit thread.

    There is no fixed waiting window: an idle committer commits a lone command at once, a busy one commits everything
    that came meanwhile. Where ``submit`` takes several batches at once, the next one goes while a commit is in flight
    as soon as it is as large as the last, and many requests that find nothing in flight are shared out: so some are
    committed while others are answered and send again. Otherwise one commit is in flight at a time.

    Senders that wait for their answers send again together, once they have been answered together. Whoever of them is
    first would get a commit for himself, and the others would wait for its end: so after a commit of several requests
    the next one waits for as many again, for a part of the time that a commit takes.
    """

    def __init__(
        self,
        submit: Submit | SubmitFree,
        *,
        batch_commands_max: int = BATCH_COMMANDS_MAX,
        batch_bytes_max: int = BATCH_BYTES_MAX,
        queued: Queued | None = None,
        on_commit: Callable[[int], None] = lambda commands: None,
        on_held: Callable[[Request], None] | None = None,
        at_once_max: int = 1,
    ) -> None:
        """``queued``: shared by committers that share the bounds. ``on_commit`` is told the number of commands.
        ``on_held`` is given requests that ``submit`` left undone, with None for an outcome. ``at_once_max``: how many
        calls of ``submit`` may be under way."""
        self._submit = submit
        self._batch_commands_max = batch_commands_max
        self._batch_bytes_max = batch_bytes_max
        self._on_commit = on_commit
        self._on_held = on_held
        self._queue: deque[Request] = deque()
        self._queued = Queued() if queued is None else queued
        self._drain_task: asyncio.Task[None] | None = None
        self._is_closed = False
        self._at_once_max = at_once_max
        self._in_flight: set[asyncio.Task[None]] = set()
        self._wanted = 1  # requests that the next commit waits for, …
        self._wanted_until = 0.0  # … and until when, once no other is in flight
        self._news = asyncio.Event()

    async def submit(self, submissions: Sequence[Submission], size_bytes: int) -> list[Outcome]:
        """Queue the commands of one request and wait for their outcomes.

        A caller that goes away does not take its commands along: what was queued is committed.

        Raises:
            Unavailable: the queue is full, or the server is stopping; nothing was queued. Or the store could not
                answer; then some commands may have been committed, and the same numbers give the true answers.
        """
        self._admit(len(submissions), size_bytes)
        answer: asyncio.Future[list[Outcome]] = asyncio.get_running_loop().create_future()
        self.take_over(Request(submissions, size_bytes, answer))
        return await answer

    def take_over(self, request: Request) -> None:
        """Queue a request that was admitted, here or by another committer."""
        self._queue.append(request)
        if len(self._queue) >= self._wanted:
            self._news.set()
        self._queued.commands += len(request.submissions)
        self._queued.bytes += request.bytes
        if self._drain_task is None:
            self._drain_task = asyncio.create_task(self._drain(), name="runfold-committer")

    @property
    def is_idle(self) -> bool:
        """True when nothing is queued or being committed."""
        return self._drain_task is None

    async def close(self) -> None:
        """Take nothing more, and wait until what was queued is committed and answered."""
        self._is_closed = True
        self._news.set()
        if self._drain_task is not None:
            await self._drain_task

    def _admit(self, commands: int, size_bytes: int) -> None:
        if self._is_closed:
            raise Unavailable("the server is stopping", facts={"retry_after": RETRY_AFTER_S})
        # An empty queue takes any request: each is bounded by the limits on requests.
        queued = self._queued
        if queued.commands and (
            queued.commands + commands > queued.commands_max or queued.bytes + size_bytes > queued.bytes_max
        ):
            raise Unavailable(
                f"{queued.commands} commands wait to be committed; send again later",
                facts={"retry_after": RETRY_AFTER_S, "queued_commands": queued.commands},
            )

    async def _drain(self) -> None:
        try:
            while self._queue or self._in_flight:
                wait_s = self._wait_s()
                if wait_s is not None and wait_s <= 0:
                    self._begin()
                    continue
                self._news.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(wait_s):
                        await self._news.wait()
        finally:
            self._drain_task = None

    def _wait_s(self) -> float | None:
        """How long the next commit waits for more requests; None: until there are enough, or a commit ends."""
        if not self._queue or len(self._in_flight) >= self._at_once_max:
            return None
        if self._is_closed or len(self._queue) >= self._wanted:
            return 0.0
        return None if self._in_flight else self._wanted_until - time.monotonic()

    def _begin(self) -> None:
        """Commit what is queued, beside the commit that is in flight."""
        taken = self._take(self._share())
        self._wanted = len(taken)
        task = asyncio.create_task(self._commit(taken), name="runfold-commit")
        self._in_flight.add(task)
        began = time.monotonic()

        def end(task: asyncio.Task[None]) -> None:
            now = time.monotonic()
            self._in_flight.discard(task)
            self._wanted_until = now + min(GATHER_SHARE * (now - began), GATHER_S_MAX)
            self._news.set()

        task.add_done_callback(end)

    def _share(self) -> int:
        """How many of the queued requests the next commit may take."""
        waiting = len(self._queue)
        if self._in_flight or waiting < SHARED_OUT_REQUESTS_MIN:
            return waiting
        return waiting // self._at_once_max

    def _take(self, requests_max: int) -> list[Request]:
        taken: list[Request] = []
        commands = size = 0
        while self._queue and len(taken) < requests_max:
            request = self._queue[0]
            commands += len(request.submissions)
            size += request.bytes
            if taken and (commands > self._batch_commands_max or size > self._batch_bytes_max):
                break
            taken.append(self._queue.popleft())
        self._queued.commands -= sum(len(request.submissions) for request in taken)
        self._queued.bytes -= sum(request.bytes for request in taken)
        return taken

    async def _commit(self, requests: list[Request]) -> None:
        submissions = [submission for request in requests for submission in request.submissions]
        try:
            outcomes = await self._submit(submissions)
            if len(outcomes) != len(submissions):
                raise RuntimeError(f"{len(submissions)} commands got {len(outcomes)} outcomes")
        except Exception as error:
            if not isinstance(error, RunfoldError):
                _log.exception("a commit failed", commands=len(submissions))
            _fail(requests, error)
            return
        start = committed = 0
        for request in requests:
            answers = outcomes[start : start + len(request.submissions)]
            start += len(request.submissions)
            done = [answer for answer in answers if answer is not None]
            if len(done) < len(answers) and self._on_held is not None:
                self._on_held(request)
                continue
            committed += len(done)
            if not request.answer.done():
                request.answer.set_result(done)
        if committed:
            self._on_commit(committed)


class Lanes:
    """Committers for a store of several partitions.

    Small requests share a lane, and there one transaction for all partitions that nobody else is busy with. A partition
    whose row somebody else holds keeps only its own commands waiting, in a lane of its own. There go large requests,
    too, which gain nothing by sharing, and whatever comes while that lane is busy. Requests that concern more than one
    partition have a lane to themselves. A sender's order is not at stake: it sends on once it has its answer.
    """

    def __init__(
        self,
        submit: Submit,
        partitions: int,
        *,
        submit_free: SubmitFree | None = None,
        on_commit: Callable[[int], None] = lambda commands: None,
        at_once_max: int = 1,
    ) -> None:
        """``submit_free``: as ``submit``, but leaves undone what would wait for others; None: there is no sharing.
        ``at_once_max``: of each lane."""
        self._submit = submit
        self._partitions = partitions
        self._on_commit = on_commit
        self._at_once_max = at_once_max
        self._lanes: dict[int | None, Committer] = {}
        self.queued = Queued()
        self._shared = submit_free and Committer(
            submit_free,
            batch_commands_max=limits.TRANSACTION_COMMANDS_MAX,
            queued=self.queued,
            on_commit=on_commit,
            on_held=self._wait_apart,
        )

    async def submit(self, submissions: Sequence[Submission], size_bytes: int) -> list[Outcome]:
        """See :meth:`Committer.submit`."""
        concerned = {submission.partition(self._partitions) for submission in submissions}
        number = concerned.pop() if len(concerned) == 1 else None
        is_small = len(submissions) <= SHARED_COMMANDS_MAX and size_bytes <= SHARED_BYTES_MAX
        if self._shared is not None and is_small and number is not None and self._lane(number).is_idle:
            return await self._shared.submit(submissions, size_bytes)
        return await self._lane(number).submit(submissions, size_bytes)

    async def close(self) -> None:
        """See :meth:`Committer.close`."""
        if self._shared is not None:  # first, since it hands on what it cannot do
            await self._shared.close()
        for number in (None, *range(self._partitions)):
            self._lane(number)
        await asyncio.gather(*(lane.close() for lane in self._lanes.values()))

    def _wait_apart(self, request: Request) -> None:
        """Somebody else is busy with the partition of a request that was to share a transaction."""
        self._lane(request.submissions[0].partition(self._partitions)).take_over(request)

    def _lane(self, number: int | None) -> Committer:
        lane = self._lanes.get(number)
        if lane is None:
            lane = self._lanes[number] = Committer(
                self._submit, queued=self.queued, on_commit=self._on_commit, at_once_max=self._at_once_max
            )
        return lane


def _fail(requests: list[Request], error: Exception) -> None:
    for request in requests:
        if not request.answer.done():
            request.answer.set_exception(error)
