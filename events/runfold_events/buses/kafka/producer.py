"""How services send commands by Kafka."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Final

from runfold_events.buses.kafka.clients import Cluster
from runfold_events.buses.kafka.sender import Sender
from runfold_events.contract import limits
from runfold_events.contract.cloudevents import Record, command_record
from runfold_events.contract.errors import Unavailable
from runfold_events.contract.submission import Submission

DEADLINE_S: Final = 30.0
IN_FLIGHT_BYTES_MAX: Final = 32 * 1024 * 1024


class CommandProducer:
    """Sends numbered commands to the partition of their stream.

    That the broker keeps a command does not mean that it was accepted: name a ``reply_to``, or ask the store by
    ``(stream, writer_id, writer_seq)``. After ``Unavailable`` send the same command under the same number again.
    """

    def __init__(
        self,
        cluster: Cluster,
        topic: str,
        partitions: int,
        *,
        deadline_s: float = DEADLINE_S,
        in_flight_bytes_max: int = IN_FLIGHT_BYTES_MAX,
    ) -> None:
        """
        Args:
            cluster: where to.
            topic: the command topic.
            partitions: P, as the store and the topic have it.
            deadline_s: how long a call may wait, for room and for the broker's answers together.
            in_flight_bytes_max: how much may wait for the broker's answers; aiokafka itself has no bound.
        """
        self._topic = topic
        self._partitions = partitions
        self._deadline_s = deadline_s
        self._sender = Sender(cluster, limits.COMMAND_BYTES_MAX, deadline_s)
        self._budget = Budget(in_flight_bytes_max)

    async def send(
        self, submissions: Sequence[Submission], *, reply_to: str | None = None
    ) -> list[tuple[int, int]]:
        """Send commands; returns when the broker keeps all of them. Those of one stream keep their order.

        Returns:
            Partition and offset of each, in the same order.

        Raises:
            LimitExceeded: a command is too large. Nothing of the call was sent.
            Invalid: ``reply_to`` is no reply topic. Nothing of the call was sent.
            Unavailable: the deadline has passed; some may have been sent.
        """
        parts: dict[int, list[Record]] = {}
        partitions: list[int] = []
        for submission in submissions:
            partitions.append(submission.partition(self._partitions))
            parts.setdefault(partitions[-1], []).append(command_record(submission, reply_to=reply_to))
        size = sum(record.size_bytes for records in parts.values() for record in records)
        try:
            async with asyncio.timeout(self._deadline_s):
                taken = await self._budget.take(size)
        except TimeoutError:
            raise Unavailable(
                f"{self._budget.taken} bytes of commands still wait for the broker's answer"
            ) from None
        try:
            results = await asyncio.gather(
                *(self._sender.send(self._topic, number, records) for number, records in parts.items()),
                return_exceptions=True,
            )
        finally:
            self._budget.give_back(taken)
        places: dict[int, Iterator[tuple[int, int]]] = {}
        for partition, result in zip(parts, results, strict=True):
            if isinstance(result, BaseException):
                raise result
            places[partition] = iter(result)
        return [next(places[partition]) for partition in partitions]

    async def stop(self) -> None:
        """Let go of everything; what is being sent ends with ``Unavailable``."""
        await self._sender.stop()


class Budget:
    """Bytes that may be in flight; whoever waits longest comes first.

    Who asks for more than there are altogether gets all of them.
    """

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._turn = asyncio.Lock()
        self._freed = asyncio.Event()
        self.taken = 0

    async def take(self, size: int) -> int:
        """Wait until there is room; returns what to give back."""
        size = min(size, self._bytes_max)
        async with self._turn:
            while self.taken + size > self._bytes_max:
                self._freed.clear()
                await self._freed.wait()
            self.taken += size
        return size

    def give_back(self, size: int) -> None:
        """Make room again."""
        self.taken -= size
        self._freed.set()
