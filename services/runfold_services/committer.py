"""Group commit by natural batching: whatever has queued while the last commit ran goes into the next one."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import structlog
from msgspec import Struct

from runfold_events.contract.errors import RunfoldError, Unavailable
from runfold_events.contract.ids import partition_of
from runfold_events.contract.submission import Outcome, Submission

BATCH_COMMANDS_MAX: Final = 4_000  # a commit stops taking requests at this many commands …
BATCH_BYTES_MAX: Final = 16 * 1024 * 1024  # … or bytes; the first request is always taken whole
QUEUE_COMMANDS_MAX: Final = 40_000
QUEUE_BYTES_MAX: Final = 128 * 1024 * 1024
RETRY_AFTER_S: Final = 1.0

Submit = Callable[[Sequence[Submission]], Awaitable[list[Outcome]]]
_log = structlog.stdlib.get_logger("runfold.committer")


class _Request:
    """The commands of one request: committed together, answered together."""

    __slots__ = ("answer", "bytes", "submissions")

    def __init__(self, submissions: Sequence[Submission], size: int, answer: asyncio.Future[list[Outcome]]):
        self.submissions = submissions
        self.bytes = size
        self.answer = answer


class Queued(Struct):
    """What waits for its commit, in all queues of a server together."""

    commands: int = 0
    bytes: int = 0


class Committer:
    """The queue in front of one ledger. Lives on the event loop; ``submit`` it is given runs on the commit thread.

    There is no waiting window: an idle committer commits a lone command at once, a busy one commits everything that
    came meanwhile. One commit is in flight at a time.
    """

    def __init__(
        self,
        submit: Submit,
        *,
        batch_commands_max: int = BATCH_COMMANDS_MAX,
        batch_bytes_max: int = BATCH_BYTES_MAX,
        queue_commands_max: int = QUEUE_COMMANDS_MAX,
        queue_bytes_max: int = QUEUE_BYTES_MAX,
        queued: Queued | None = None,
        on_commit: Callable[[int], None] = lambda commands: None,
    ) -> None:
        """``queued``: shared by committers that share the bounds. ``on_commit`` is told the number of commands."""
        self._submit = submit
        self._batch_commands_max = batch_commands_max
        self._batch_bytes_max = batch_bytes_max
        self._queue_commands_max = queue_commands_max
        self._queue_bytes_max = queue_bytes_max
        self._on_commit = on_commit
        self._queue: deque[_Request] = deque()
        self._queued = Queued() if queued is None else queued
        self._drain_task: asyncio.Task[None] | None = None
        self._is_closed = False

    async def submit(self, submissions: Sequence[Submission], size_bytes: int) -> list[Outcome]:
        """Queue the commands of one request and wait for their outcomes.

        A caller that goes away does not take its commands along: what was queued is committed.

        Raises:
            Unavailable: the queue is full, or the server is stopping; nothing was queued. Or the store could not
                answer; then some commands may have been committed, and the same numbers give the true answers.
        """
        self._admit(len(submissions), size_bytes)
        answer: asyncio.Future[list[Outcome]] = asyncio.get_running_loop().create_future()
        self._queue.append(_Request(submissions, size_bytes, answer))
        self._queued.commands += len(submissions)
        self._queued.bytes += size_bytes
        if self._drain_task is None:
            self._drain_task = asyncio.create_task(self._drain(), name="runfold-committer")
        return await answer

    async def close(self) -> None:
        """Take nothing more, and wait until what was queued is committed and answered."""
        self._is_closed = True
        if self._drain_task is not None:
            await self._drain_task

    def _admit(self, commands: int, size_bytes: int) -> None:
        if self._is_closed:
            raise Unavailable("the server is stopping", facts={"retry_after": RETRY_AFTER_S})
        # An empty queue takes any request: each is bounded by the limits on requests.
        queued = self._queued
        if queued.commands and (
            queued.commands + commands > self._queue_commands_max
            or queued.bytes + size_bytes > self._queue_bytes_max
        ):
            raise Unavailable(
                f"{queued.commands} commands wait to be committed; send again later",
                facts={"retry_after": RETRY_AFTER_S, "queued_commands": queued.commands},
            )

    async def _drain(self) -> None:
        try:
            while self._queue:
                await self._commit(self._take())
        finally:
            self._drain_task = None

    def _take(self) -> list[_Request]:
        taken: list[_Request] = []
        commands = size = 0
        while self._queue:
            request = self._queue[0]
            commands += len(request.submissions)
            size += request.bytes
            if taken and (commands > self._batch_commands_max or size > self._batch_bytes_max):
                break
            taken.append(self._queue.popleft())
        self._queued.commands -= sum(len(request.submissions) for request in taken)
        self._queued.bytes -= sum(request.bytes for request in taken)
        return taken

    async def _commit(self, requests: list[_Request]) -> None:
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
        start = 0
        for request in requests:
            end = start + len(request.submissions)
            if not request.answer.done():
                request.answer.set_result(outcomes[start:end])
            start = end
        self._on_commit(len(submissions))


class Lanes:
    """A committer for each partition of a store that commits several side by side.

    A partition whose row somebody else holds keeps only its own commands waiting. Requests that concern more than one
    partition share a lane of their own. A sender's order is not at stake: it sends on once it has its answer.
    """

    def __init__(
        self, submit: Submit, partitions: int, *, on_commit: Callable[[int], None] = lambda commands: None
    ) -> None:
        self._submit = submit
        self._partitions = partitions
        self._on_commit = on_commit
        self._lanes: dict[int | None, Committer] = {}
        self.queued = Queued()

    async def submit(self, submissions: Sequence[Submission], size_bytes: int) -> list[Outcome]:
        """See :meth:`Committer.submit`."""
        concerned = {partition_of(submission.stream, self._partitions) for submission in submissions}
        return await self._lane(concerned.pop() if len(concerned) == 1 else None).submit(
            submissions, size_bytes
        )

    async def close(self) -> None:
        """See :meth:`Committer.close`."""
        for number in (None, *range(self._partitions)):
            self._lane(number)
        await asyncio.gather(*(lane.close() for lane in self._lanes.values()))

    def _lane(self, number: int | None) -> Committer:
        lane = self._lanes.get(number)
        if lane is None:
            lane = self._lanes[number] = Committer(
                self._submit, queued=self.queued, on_commit=self._on_commit
            )
        return lane


def _fail(requests: list[_Request], error: Exception) -> None:
    for request in requests:
        if not request.answer.done():
            request.answer.set_exception(error)
