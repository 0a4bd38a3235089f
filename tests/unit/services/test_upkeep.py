"""Folds follow appends; the keeper acts only when it can trust its own clock."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from runfold_events.contract.errors import Unavailable
from runfold_events.contract.tokens import Token
from runfold_services.settings import ServerSettings
from runfold_services.threads import Threads
from runfold_services.upkeep import Upkeep, elapsed_s
from tests.support.fake_backend import FakeBackend

QUICK = ServerSettings(fold_delay_s=0.02, fold_poll_s=0.1, lease_s=0.4)


class Clock:
    """The real one, and what a test adds to it."""

    def __init__(self) -> None:
        self.slept_s = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.slept_s


class CountingBackend(FakeBackend):
    """Counts what upkeep asks of it."""

    def __init__(self) -> None:
        super().__init__()
        self.folds = 0
        self.keeper_passes = 0
        self.fake.reach = self.reach  # type: ignore[method-assign]
        self.error: Exception | None = None

    async def reach(self, at: Token | None, wait_s: float = 5.0) -> Token:
        self.folds += 1
        if self.error is not None:
            raise self.error
        return await self.token()

    async def keeper_pass(self) -> int:
        self.keeper_passes += 1
        return 0


def scenario(play: Callable[[CountingBackend, Upkeep, Clock], Awaitable[None]]) -> None:
    async def run() -> None:
        backend, clock, threads = CountingBackend(), Clock(), Threads(1)
        upkeep = Upkeep(backend, threads, QUICK, clock)
        tasks = upkeep.start()
        try:
            await play(backend, upkeep, clock)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            threads.stop()

    asyncio.run(run())


def test_a_burst_of_appends_becomes_few_folds_and_silence_is_polled() -> None:
    async def play(backend: CountingBackend, upkeep: Upkeep, clock: Clock) -> None:
        heard: list[Token] = []
        upkeep.on_fold(heard.append)
        for _ in range(50):
            upkeep.wake()
            await asyncio.sleep(0.002)
        assert 2 <= backend.folds <= 15
        before = backend.folds
        await asyncio.sleep(0.35)
        assert 2 <= backend.folds - before <= 6
        assert len(heard) >= backend.folds - 2

    scenario(play)


def test_a_fold_that_fails_is_tried_again() -> None:
    async def play(backend: CountingBackend, upkeep: Upkeep, clock: Clock) -> None:
        heard: list[Token] = []
        upkeep.on_fold(heard.append)
        for error in (Unavailable("locked"), ValueError("a bug")):
            backend.error = error
            upkeep.wake()
            await asyncio.sleep(0.1)
        backend.error = None
        heard.clear()
        upkeep.wake()
        await asyncio.sleep(0.1)
        assert heard

    scenario(play)


def test_a_keeper_acts_after_a_full_lease_on_time() -> None:
    async def play(backend: CountingBackend, upkeep: Upkeep, clock: Clock) -> None:
        await asyncio.sleep(0.3)
        assert backend.keeper_passes == 0
        await asyncio.sleep(0.4)
        assert backend.keeper_passes > 0

    scenario(play)


def test_a_keeper_that_slept_waits_for_another_full_lease() -> None:
    async def play(backend: CountingBackend, upkeep: Upkeep, clock: Clock) -> None:
        await asyncio.sleep(0.7)
        clock.slept_s += 60.0
        await asyncio.sleep(0.12)
        before = backend.keeper_passes
        await asyncio.sleep(0.2)
        assert backend.keeper_passes == before
        await asyncio.sleep(0.5)
        assert backend.keeper_passes > before

    scenario(play)


def test_a_keeper_that_waited_for_the_commit_thread_judges_nobody() -> None:
    """Heartbeats waited for the same thread; they are read first, and the next pass judges."""

    async def play(backend: CountingBackend, upkeep: Upkeep, clock: Clock) -> None:
        real = clock.__call__

        async def slow_pass() -> int:
            raise AssertionError("acted although it was late")

        await asyncio.sleep(0.7)
        backend.keeper_pass = slow_pass  # type: ignore[method-assign]
        stepping = iter(range(0, 10_000, 10))
        upkeep._elapsed_s = lambda: real() + next(stepping)  # pyright: ignore[reportPrivateUsage]
        await asyncio.sleep(0.3)

    scenario(play)


def test_the_clock_goes_on() -> None:
    first = elapsed_s()
    time.sleep(0.01)
    assert 0.005 < elapsed_s() - first < 5.0
