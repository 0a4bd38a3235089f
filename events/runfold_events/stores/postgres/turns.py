"""One transaction of this process at a time on each partition, so that the pool never fills with waiters."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager

from runfold_events.contract.errors import Unavailable
from runfold_events.stores.postgres.failures import RETRY_AFTER_S


class Turns:
    """The turns on all partitions of a store. Lives on one event loop."""

    def __init__(self, partitions: int, wait_s: float) -> None:
        """``wait_s``: how long a turn is waited for, as the lock in the engine is."""
        self._locks = [asyncio.Lock() for _ in range(partitions)]
        self._users = [0] * partitions  # who has the turn, and those who wait for it
        self._wait_s = wait_s

    @asynccontextmanager
    async def wait(self, partition: int) -> AsyncGenerator[None]:
        """Take a partition's turn, after those who came before.

        Raises:
            Unavailable: it did not come in time.
        """
        self._users[partition] += 1
        try:
            await self._acquire(partition)
            try:
                yield
            finally:
                self._locks[partition].release()
        finally:
            self._users[partition] -= 1

    @asynccontextmanager
    async def take_free(self, partitions: Iterable[int]) -> AsyncGenerator[list[int]]:
        """Take those turns that nobody has or waits for, in order; waits for none."""
        free = sorted(partition for partition in set(partitions) if not self._users[partition])
        async with AsyncExitStack() as taken:
            for partition in free:
                await taken.enter_async_context(self.wait(partition))
            yield free

    async def _acquire(self, partition: int) -> None:
        lock = self._locks[partition]
        if not self._users[partition] - 1:
            await lock.acquire()  # at once
            return
        try:
            await asyncio.wait_for(lock.acquire(), self._wait_s)
        except TimeoutError:
            raise Unavailable(
                f"another transaction of this process held partition {partition} for {self._wait_s:g} s",
                facts={"retry_after": RETRY_AFTER_S, "partition": partition},
            ) from None
