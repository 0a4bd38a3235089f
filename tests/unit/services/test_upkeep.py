"""Folds follow appends; the keeper acts only when it can trust its own clock."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from runfold_events.clock import elapsed_s
from runfold_events.contract.errors import Unavailable
from runfold_events.contract.tokens import Token
from runfold_services import upkeep as upkeep_module
from runfold_services.settings import ServerSettings
from runfold_services.threads import Threads
from runfold_services.upkeep import Upkeep
from tests.support.fake_backend import FakeBackend

QUICK = ServerSettings(fold_delay_s=0.02, fold_poll_s=0.1, lease_s=0.4)


STEP_S = QUICK.lease_s / 4  # less than a keeper may be late


class Clock:
    """Stands still until it is told to move."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


async def until(condition: Callable[[], bool], each: Callable[[], None] = lambda: None) -> None:
    """Wait for ``condition``, doing ``each`` about as often as a keeper looks."""
    async with asyncio.timeout(20):
        while not condition():
            each()
            await asyncio.sleep(STEP_S)


class CountingBackend(FakeBackend):
    """Counts what upkeep asks of it."""

    def __init__(self) -> None:
        super().__init__()
        self.folds = 0
        self.keeper_passes = 0
        self.threads_of_upkeep: Threads | None = None
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
        backend.threads_of_upkeep = threads
        upkeep = Upkeep(backend, threads, QUICK, clock)
        tasks = upkeep.start()
        try:
            await play(backend, upkeep, clock)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await threads.stop()

    asyncio.run(run())


def test_a_burst_of_appends_becomes_few_folds_and_silence_is_polled() -> None:
    async def play(backend: CountingBackend, upkeep: Upkeep, clock: Clock) -> None:
        heard: list[Token] = []
        upkeep.on_fold(heard.append)
        began = time.monotonic()
        for _ in range(50):
            upkeep.wake()
            await asyncio.sleep(0.002)
        assert 1 <= backend.folds <= (time.monotonic() - began) / QUICK.fold_delay_s + 2
        before = backend.folds
        await until(lambda: backend.folds >= before + 3)
        assert len(heard) >= 3

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
        def step() -> None:
            clock.now_s += STEP_S

        await until(lambda: backend.keeper_passes > 0, step)
        assert clock.now_s >= QUICK.lease_s

    scenario(play)


def test_a_keeper_that_slept_waits_for_another_full_lease() -> None:
    async def play(backend: CountingBackend, upkeep: Upkeep, clock: Clock) -> None:
        def step() -> None:
            clock.now_s += STEP_S

        await until(lambda: backend.keeper_passes > 0, step)
        clock.now_s += 60.0
        awake_at = clock.now_s
        await asyncio.sleep(3 * STEP_S)  # it notices
        before = backend.keeper_passes
        await until(lambda: backend.keeper_passes > before, step)
        assert clock.now_s - awake_at >= QUICK.lease_s

    scenario(play)


def test_a_keeper_that_waited_for_the_commit_thread_judges_nobody() -> None:
    """Heartbeats waited for the same thread; they are read first, and the next pass judges."""

    async def play(backend: CountingBackend, upkeep: Upkeep, clock: Clock) -> None:
        def step() -> None:
            clock.now_s += STEP_S

        held, free = asyncio.Event(), asyncio.Event()

        async def held_up(work: Callable[[], Awaitable[int]]) -> int:
            held.set()
            await free.wait()
            return await work()

        assert backend.threads_of_upkeep is not None
        backend.threads_of_upkeep.commit = held_up  # type: ignore[method-assign, assignment]
        await until(held.is_set, step)
        clock.now_s += QUICK.lease_s
        free.set()
        await asyncio.sleep(STEP_S)
        assert backend.keeper_passes == 0

    scenario(play)


def test_the_clock_goes_on() -> None:
    first = elapsed_s()
    time.sleep(0.01)
    assert 0.005 < elapsed_s() - first < 5.0


def test_the_file_store_is_swept_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep_module, "SWEEP_INTERVAL_S", 0.02)
    sweeps: list[int] = []

    async def sweep_files() -> int:
        sweeps.append(1)
        raise Unavailable("the bucket does not answer")

    async def play(backend: CountingBackend, upkeep: Upkeep, clock: Clock) -> None:
        backend.sweep_files = sweep_files  # type: ignore[method-assign]
        await until(lambda: len(sweeps) >= 3)

    scenario(play)
