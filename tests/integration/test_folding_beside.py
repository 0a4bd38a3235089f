"""A helper process folds for a busy server, and nobody depends on it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any, cast
from uuid import UUID, uuid4

import pytest

from runfold_events.contract.commands import EnsureExperiment
from runfold_events.contract.submission import Actor, Outcome, Submission
from runfold_events.contract.tokens import Token
from runfold_events.sync import run_sync
from runfold_services.compose import open_embedded
from runfold_services.compose.embedded import EmbeddedTracker
from runfold_services.folding import BULK_COMMANDS_MIN, TASK, FoldingBeside, ask_to_fold
from runfold_services.helper_on_loop import HelperOnLoop
from runfold_services.helper_process import helper_command
from runfold_services.threads import OnLoop, Threads
from tests.support.failing_helpers import BABBLES, ENDS_AT_ONCE, HANGS, helper_that_answers

START_S_MAX = 60.0
ALWAYS_BUSY_S = -1.0


@pytest.fixture
def tracker(tmp_path: Path) -> Iterator[EmbeddedTracker]:
    """A server's ledger, which folds only when somebody says so."""
    tracker = open_embedded(tmp_path, background=False)
    yield tracker
    run_sync(tracker.close())


def _append(tracker: EmbeddedTracker) -> None:
    command = EnsureExperiment(experiment=f"e-{uuid4()}")
    run_sync(
        tracker.submit(
            [
                Submission(
                    workspace="default",
                    command=command,
                    writer_id=uuid4(),
                    writer_seq=1,
                    occurred_at=time.time_ns() // 1_000,
                    actor=Actor("tester", "anonymous"),
                    door="http",
                )
            ]
        )
    )


async def _fold(places: FoldingBeside, tracker: EmbeddedTracker) -> Token:
    return await places.fold(lambda: tracker.embedded_views.reach(None))


def _left_to_fold(tracker: EmbeddedTracker) -> int:
    return run_sync(tracker.embedded_views.catch_up())


async def _until_it_folds(helper: HelperOnLoop) -> None:
    helper.start()
    end = time.monotonic() + START_S_MAX
    while await ask_to_fold(helper) is None:
        assert time.monotonic() < end
        await asyncio.sleep(0.02)


def test_the_helper_folds_what_was_appended(tmp_path: Path, tracker: EmbeddedTracker) -> None:
    async def scene() -> None:
        helper = HelperOnLoop(helper_command(TASK, tmp_path), TASK)
        try:
            await _until_it_folds(helper)
            _append(tracker)
            position = await ask_to_fold(helper)
            assert position is not None
            assert position.ends == {0: 1}
            assert _left_to_fold(tracker) == 0
            _append(tracker)
            assert _left_to_fold(tracker) == 1, "without the helper it is there to fold"
        finally:
            await helper.stop()

    asyncio.run(scene())


@pytest.mark.parametrize(
    "command",
    [ENDS_AT_ONCE, HANGS, BABBLES, helper_that_answers("b'done broken'")],
    ids=["ends", "hangs", "babbles", "names no position"],
)
def test_a_helper_that_fails_leaves_the_fold_to_the_server(
    tracker: EmbeddedTracker, command: list[str]
) -> None:
    async def scene() -> None:
        helper = HelperOnLoop(command, TASK, answer_s_max=0.2, restart_s=0.0)
        places = FoldingBeside(Threads(), helper, busy_fold_s=ALWAYS_BUSY_S)
        end = time.monotonic() + START_S_MAX
        try:
            while helper.failures < 2:
                assert time.monotonic() < end
                _append(tracker)
                await _fold(places, tracker)
                assert _left_to_fold(tracker) == 0
                await asyncio.sleep(0.01)
        finally:
            await places.stop()

    asyncio.run(scene())


def test_a_helper_that_is_killed_leaves_the_fold_to_the_server(
    tmp_path: Path, tracker: EmbeddedTracker
) -> None:
    async def scene() -> None:
        helper = HelperOnLoop(helper_command(TASK, tmp_path), TASK)
        places = FoldingBeside(Threads(), helper, busy_fold_s=ALWAYS_BUSY_S)
        try:
            await _until_it_folds(helper)
            helper.give_up("killed")
            _append(tracker)
            assert (await _fold(places, tracker)).ends == {0: 1}
            assert _left_to_fold(tracker) == 0
        finally:
            await places.stop()

    asyncio.run(scene())


def test_a_busy_server_folds_nothing_itself_and_says_how_far_its_helper_came(
    tmp_path: Path, tracker: EmbeddedTracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene() -> None:
        helper = HelperOnLoop(helper_command(TASK, tmp_path), TASK)
        places = FoldingBeside(Threads(), helper, busy_fold_s=ALWAYS_BUSY_S)
        try:
            await _fold(places, tracker)  # here: the next one is the first that is asked of a helper
            await _until_it_folds(helper)
            monkeypatch.setattr(tracker.embedded_views, "catch_up", None)
            for count in range(1, 4):
                _append(tracker)
                assert (await _fold(places, tracker)).ends == {0: count}
            assert helper.failures == 0
        finally:
            monkeypatch.undo()
            await places.stop()

    asyncio.run(scene())


def test_a_server_with_little_to_do_starts_no_helper(tmp_path: Path, tracker: EmbeddedTracker) -> None:
    async def scene() -> None:
        helper = HelperOnLoop(helper_command(TASK, tmp_path), TASK)
        places = FoldingBeside(Threads(), helper, busy_fold_s=START_S_MAX)
        _append(tracker)
        assert (await _fold(places, tracker)).ends == {0: 1}
        assert (await _fold(places, tracker)).ends == {0: 1}
        assert not helper.is_started
        await places.stop()

    asyncio.run(scene())


def test_the_helper_ends_with_its_server(tmp_path: Path) -> None:
    async def scene() -> None:
        helper = HelperOnLoop(helper_command(TASK, tmp_path), TASK)
        open_once = open_embedded(tmp_path, background=False)
        await _until_it_folds(helper)
        await helper.stop()
        assert not helper.is_started
        await open_once.close()

    asyncio.run(scene())


class _Slow(OnLoop):
    """Commits when it is told to."""

    def __init__(self) -> None:
        self.may_commit = asyncio.Event()
        self.order: list[str] = []

    async def submit(
        self, submissions: Sequence[Submission], here: Callable[[], Coroutine[Any, Any, list[Outcome]]]
    ) -> list[Outcome]:
        await self.may_commit.wait()
        self.order.append("commit")
        return []


async def _fold_beside(commands: int, bulk_wait_s_max: float) -> list[str]:
    """In which order a commit of so many commands and a fold that begins during it are done."""
    slow = _Slow()
    places = FoldingBeside(slow, HelperOnLoop([], TASK), bulk_wait_s_max=bulk_wait_s_max)

    async def work() -> Token:
        slow.order.append("fold")
        slow.may_commit.set()  # of the one that did not wait for the commit
        return Token(UUID(int=0), {})

    commit = asyncio.create_task(places.submit([cast("Any", None)] * commands, cast("Any", None)))
    await asyncio.sleep(0)
    fold = asyncio.create_task(places.fold(work))
    for _ in range(10):
        await asyncio.sleep(0)
    if not fold.done() and bulk_wait_s_max == START_S_MAX:
        slow.may_commit.set()
    await asyncio.gather(commit, fold)
    return slow.order


@pytest.mark.parametrize(
    ("commands", "bulk_wait_s_max", "order"),
    [
        (BULK_COMMANDS_MIN, START_S_MAX, ["commit", "fold"]),
        (BULK_COMMANDS_MIN, 0.05, ["fold", "commit"]),
        (BULK_COMMANDS_MIN - 1, START_S_MAX, ["fold", "commit"]),
    ],
    ids=["a bulk goes first", "for a while", "others do not"],
)
def test_folds_let_a_bulk_go_first_for_a_while(
    commands: int, bulk_wait_s_max: float, order: list[str]
) -> None:
    assert asyncio.run(_fold_beside(commands, bulk_wait_s_max)) == order
