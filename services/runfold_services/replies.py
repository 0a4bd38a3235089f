"""Answers to commands that came by Kafka: best effort, beside the partitions, never in their way.

A queue with a bound stands between: when reply topics are slow or missing, answers are dropped and counted. Senders
can always ask for the outcome by the command's key.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from typing import Final

import msgspec
import structlog
from msgspec import Struct

from runfold_events.contract.cloudevents import Record
from runfold_events.contract.envelope import JSON
from runfold_events.contract.errors import RunfoldError
from runfold_events.log_door import Reply
from runfold_events.log_ports import ReplyTopics
from runfold_services.tasks import end_tasks

QUEUE_MAX: Final = 10_000
BATCH_MAX: Final = 500
TOPICS_AGE_S_MAX: Final = 10.0  # a reply topic made later than this before an answer is known
STOP_S_MAX: Final = 2.0

_log = structlog.stdlib.get_logger(__name__)
_encode = msgspec.json.Encoder().encode


class ReplyCounts(Struct):
    """What became of answers."""

    sent: int = 0
    dropped: int = 0  # no such topic, no room, not delivered


class Replies:
    """See :class:`~runfold_events.log_ports.ReplySink`."""

    def __init__(self, topics: ReplyTopics, *, queue_max: int = QUEUE_MAX) -> None:
        self.counts = ReplyCounts()
        self._topics = topics
        self._queue: deque[Reply] = deque()
        self._queue_max = queue_max
        self._filled = asyncio.Event()
        self._known: frozenset[str] = frozenset()
        self._known_at: float | None = None
        self._task: asyncio.Task[None] | None = None
        self._is_ending = False

    def offer(self, replies: Sequence[Reply]) -> None:
        """See the port."""
        room = self._queue_max - len(self._queue)
        taken = replies[: max(0, room)]
        self.counts.dropped += len(replies) - len(taken)
        if taken:
            self._queue.extend(taken)
            self._filled.set()

    async def start(self) -> None:
        """See the port."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """See the port."""
        task, self._task = self._task, None
        if task is not None:
            self._is_ending = True
            self._filled.set()
            await asyncio.wait([task], timeout=STOP_S_MAX)
            await end_tasks([task])
        self.counts.dropped += len(self._queue)
        self._queue.clear()
        await self._topics.stop()

    async def _run(self) -> None:
        while self._queue or not self._is_ending:
            await self._filled.wait()
            batch = [self._queue.popleft() for _ in range(min(BATCH_MAX, len(self._queue)))]
            if not self._queue and not self._is_ending:
                self._filled.clear()
            if batch:
                await self._send_all(batch)

    async def _send_all(self, batch: list[Reply]) -> None:
        try:
            known = await self._existing()
        except RunfoldError as error:
            self._lose(len(batch), error.message)
            return
        wanted = [reply for reply in batch if reply.topic in known]
        self._lose(len(batch) - len(wanted), "there is no such reply topic")
        results = await asyncio.gather(
            *(self._topics.send(reply.topic, reply_record(reply)) for reply in wanted), return_exceptions=True
        )
        failed = [result for result in results if isinstance(result, BaseException)]
        self.counts.sent += len(results) - len(failed)
        if failed:
            self._lose(len(failed), str(failed[0]))

    async def _existing(self) -> frozenset[str]:
        """Topics there are. A name out of a record must not make one, nor wait for one that never comes."""
        now = time.monotonic()
        if self._known_at is None or now - self._known_at > TOPICS_AGE_S_MAX:
            self._known = await self._topics.existing()
            self._known_at = now
        return self._known

    def _lose(self, count: int, why: str) -> None:
        if count:
            self.counts.dropped += count
            _log.warning("replies dropped", count=count, why=why)


def reply_record(reply: Reply) -> Record:
    """The record that carries an answer: the outcome as JSON, under the command's key."""
    headers = [
        ("ce_writerid", str(reply.writer_id).encode()),
        ("ce_writerseq", str(reply.writer_seq).encode()),
        ("content-type", JSON.encode()),
    ]
    if reply.correlation is not None:
        headers.insert(0, ("ce_correlationid", reply.correlation))
    return Record(reply.key, _encode(reply.outcome), tuple(headers))
