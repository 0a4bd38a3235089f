"""Where a server does what: the event loop speaks HTTP, and nothing that touches a disk runs on it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

from runfold_events.contract.submission import Outcome, Submission
from runfold_events.contract.tokens import Token
from runfold_events.sync import run_sync

T = TypeVar("T")


class Places(Protocol):
    """Where the work of requests is done: appends, folds, and questions with the encoding of their answers."""

    async def commit(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run ``work``, which writes to the store."""
        ...

    async def fold(self, work: Callable[[], Coroutine[Any, Any, Token]]) -> Token:
        """Run ``work``, which brings the views up to date, or waits until they are; where they stand then."""
        ...

    async def query(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run ``work``, which asks."""
        ...

    async def submit(
        self, submissions: Sequence[Submission], here: Callable[[], Coroutine[Any, Any, list[Outcome]]]
    ) -> list[Outcome]:
        """Have ``submissions`` committed: by running ``here`` as :meth:`commit` would, or by somebody else."""
        ...

    @property
    def submits_at_once(self) -> int:
        """How many calls of :meth:`submit` may be under way; they are handled in the order in which they came."""
        ...

    async def stop(self) -> None:
        """Finish what was begun."""
        ...


class OnLoop:
    """For a backend that waits for the network and never for a disk: everything runs on the event loop."""

    async def commit(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """See :class:`Places`."""
        return await work()

    async def fold(self, work: Callable[[], Coroutine[Any, Any, Token]]) -> Token:
        """See :class:`Places`."""
        return await work()

    async def query(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """See :class:`Places`."""
        return await work()

    async def submit(
        self, submissions: Sequence[Submission], here: Callable[[], Coroutine[Any, Any, list[Outcome]]]
    ) -> list[Outcome]:
        """See :class:`Places`."""
        return await here()

    @property
    def submits_at_once(self) -> int:
        """See :class:`Places`."""
        return 1

    async def stop(self) -> None:
        """See :class:`Places`. Nothing is left to finish."""


class Threads:
    """The threads beside the event loop, for a backend that never suspends.

    ``commit``: one thread; appends and everything else that writes to the store, so that the loop keeps answering
    while a commit waits for the disk. ``fold``: one thread; brings the views up to date. ``query``: a few threads;
    questions, and the encoding of their answers.
    """

    def __init__(self, query_threads: int = 4) -> None:
        self._commit = ThreadPoolExecutor(1, "runfold-commit")
        self._fold = ThreadPoolExecutor(1, "runfold-fold")
        self._query = ThreadPoolExecutor(query_threads, "runfold-query")

    async def commit(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run ``work`` on the commit thread."""
        return await _run(self._commit, work)

    async def fold(self, work: Callable[[], Coroutine[Any, Any, Token]]) -> Token:
        """Run ``work`` on the fold thread."""
        return await _run(self._fold, work)

    async def query(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run ``work`` on one of the query threads."""
        return await _run(self._query, work)

    async def submit(
        self, submissions: Sequence[Submission], here: Callable[[], Coroutine[Any, Any, list[Outcome]]]
    ) -> list[Outcome]:
        """Run ``here`` on the commit thread."""
        return await self.commit(here)

    @property
    def submits_at_once(self) -> int:
        """See :class:`Places`."""
        return 1

    async def stop(self) -> None:
        """Finish what was begun, then end the threads."""
        await asyncio.to_thread(self._shut_down)

    def _shut_down(self) -> None:
        for executor in (self._query, self._fold, self._commit):
            executor.shutdown(wait=True, cancel_futures=True)


class Beside:
    """:class:`Places` that are those of ``places`` but for what a subclass has a helper process for."""

    def __init__(self, places: Places) -> None:
        self._places = places

    async def commit(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """See :class:`Places`."""
        return await self._places.commit(work)

    async def fold(self, work: Callable[[], Coroutine[Any, Any, Token]]) -> Token:
        """See :class:`Places`."""
        return await self._places.fold(work)

    async def query(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """See :class:`Places`."""
        return await self._places.query(work)

    async def submit(
        self, submissions: Sequence[Submission], here: Callable[[], Coroutine[Any, Any, list[Outcome]]]
    ) -> list[Outcome]:
        """See :class:`Places`."""
        return await self._places.submit(submissions, here)

    @property
    def submits_at_once(self) -> int:
        """See :class:`Places`."""
        return self._places.submits_at_once

    async def stop(self) -> None:
        """See :class:`Places`."""
        await self._places.stop()


class FileThreads:
    """Threads for what blocks on contents of files: a disk, or an object store far away. Apart from all others."""

    def __init__(self, threads: int = 8) -> None:
        self._executor = ThreadPoolExecutor(threads, "runfold-files")

    async def run(self, work: Callable[[], T]) -> T:
        """Run ``work`` on one of them."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    def stop(self) -> None:
        """Finish what was begun, then end the threads. Blocks."""
        self._executor.shutdown(wait=True, cancel_futures=True)


async def _run(executor: ThreadPoolExecutor, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(executor, lambda: run_sync(work()))
