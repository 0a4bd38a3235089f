"""A helper process commits for a busy server, and nobody depends on it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from msgspec import Raw
from msgspec.structs import replace

from runfold_events.contract import commands as c
from runfold_events.contract.envelope import RecordedEvent
from runfold_events.contract.events import METRICS_LOGGED
from runfold_events.contract.submission import Accepted, Actor, Outcome, Refused, Submission
from runfold_events.ids_source import SystemIds
from runfold_events.ledger import Ledger
from runfold_events.stores.sqlite import SqliteStore
from runfold_events.sync import run_sync
from runfold_services.committing import TASK, CommittingBeside
from runfold_services.helper_on_loop import HelperOnLoop
from runfold_services.helper_process import helper_command
from runfold_services.threads import Threads
from tests.support.columns import json_batch, plain, series
from tests.support.failing_helpers import (
    BABBLES,
    ENDS,
    ENDS_AT_ONCE,
    HANGS,
    helper_that,
    helper_that_answers,
)

START_S_MAX = 60.0
PATIENT_S = 60.0
ALWAYS = 1
WRITER = UUID(int=7)
LOSES_OUTCOMES = helper_that_answers("bytes([0x92, 0x90, 0xc0])")


def that_commits_and_ends(home: Path) -> list[str]:
    """A helper that dies when it has committed the first batch, before anybody hears of it."""
    code = """
import os, sys
from pathlib import Path
from runfold_services.compose import committing
answer_to = committing.answer_to
def commits(request, handle):
    if len(request) > 1:  # there was a command in it
        answer_to(request, handle)
        os._exit(1)
    return answer_to(request, handle)
committing.answer_to = commits
committing.main(Path(sys.argv[1]))
"""
    return [*helper_that(code), str(home)]


class Beside:
    """A ledger and its helper over the file of a home."""

    def __init__(
        self,
        home: Path,
        command: Sequence[str],
        answer_s_max: float,
        busy_commands: int,
        kind: type[Committing],
    ) -> None:
        self.store = SqliteStore.open(home / "ledger.db")
        self.helper = HelperOnLoop(command, TASK, answer_s_max=answer_s_max, restart_s=0.0)
        self.committed_here: list[int] = []  # the numbers of each batch
        self.ledger = Ledger(self.store, SystemIds())
        self.places = kind(Threads(), self.helper, busy_commands=busy_commands)
        experiment, run = c.EnsureExperiment(experiment="e"), c.CreateRun(run_id="r", experiment="e")
        run_sync(self.ledger.handle([submission(1, experiment), submission(1, run)]))

    async def send(self, *submissions: Submission) -> list[Outcome]:
        async def here() -> list[Outcome]:
            self.committed_here.append(submissions[0].writer_seq)
            return await self.ledger.handle(submissions)

        return await self.places.submit(submissions, here)

    async def until_started(self) -> None:
        """Until the helper answers."""
        self.helper.start()
        end = time.monotonic() + START_S_MAX
        while not self.helper.is_ready:
            assert time.monotonic() < end
            await asyncio.sleep(0.02)

    def logged(self) -> list[RecordedEvent]:
        return [event for event in run_sync(self.store.read(0, 0, 10_000)) if event.type == METRICS_LOGGED]

    def numbers(self) -> list[int]:
        return [event.writer_seq for event in self.logged()]


class Committing(CommittingBeside):
    """What is tested; a control takes something of it away."""


class Overtaking(Committing):
    """Without the protection: what is committed here does not wait for what the helper is about."""

    async def _commit_here(
        self, turn: asyncio.Future[None], here: Callable[[], Coroutine[Any, Any, list[Outcome]]]
    ) -> list[Outcome]:
        return await self.commit(here)

    def _is_for_helper(self, submissions: Sequence[Submission]) -> bool:
        return len(submissions) >= self._busy_commands


class Renumbering(Committing):
    """Without the protection: what a helper gave no answer to goes by a new writer."""

    async def submit(
        self, submissions: Sequence[Submission], here: Callable[[], Coroutine[Any, Any, list[Outcome]]]
    ) -> list[Outcome]:
        if self._helper.is_ready and await self._ask(submissions) is None:
            ledger = Ledger(self.store, SystemIds())
            return await ledger.handle([replace(s, writer_id=uuid4(), writer_seq=1) for s in submissions])
        return await here()

    store: SqliteStore


def submission(number: int, command: c.Command, writer: UUID = WRITER) -> Submission:
    return Submission(
        workspace="default",
        command=command,
        writer_id=writer,
        writer_seq=number,
        occurred_at=time.time_ns() // 1_000,
        actor=Actor("tester", "anonymous"),
        door="http",
    )


def batch(number: int, value: int | None = None) -> Submission:
    logged = json_batch(series(plain("i64", [value or number])))
    return submission(number, c.LogMetrics(run_id="r", batch=Raw(logged)))


@asynccontextmanager
async def beside(
    home: Path,
    command: Sequence[str] | None = None,
    *,
    answer_s_max: float = PATIENT_S,
    busy_commands: int = ALWAYS,
    kind: type[Committing] = Committing,
) -> AsyncGenerator[Beside]:
    """``command``: what starts the helper; None: what should."""
    place = Beside(home, command or helper_command(TASK, home), answer_s_max, busy_commands, kind)
    try:
        yield place
    finally:
        await place.places.stop()
        assert not place.helper.is_started
        await place.store.close()


def test_the_helper_gives_the_outcomes_that_the_ledger_itself_would_give(tmp_path: Path) -> None:
    async def scenario(home: Path, *, has_helper: bool) -> list[tuple[str, object]]:
        async with beside(home, busy_commands=ALWAYS if has_helper else 100) as place:
            if has_helper:
                await place.until_started()
            first = await place.send(batch(2), batch(3), submission(1, c.StartRun(run_id="missing")))
            again = await place.send(batch(2), batch(3, 9))
            other = await place.send(submission(9, c.CompleteRun(run_id="r")))
            assert place.helper.failures == 0
            assert place.helper.is_started == has_helper
            assert bool(place.committed_here) != has_helper
            assert place.numbers() == [2, 3]
            return [_said(outcome) for outcome in (*first, *again, *other)]

    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    here = asyncio.run(scenario(tmp_path / "here", has_helper=False))
    assert here == asyncio.run(scenario(tmp_path / "there", has_helper=True))
    assert {kind for kind, _ in here} == {"accepted", "not_found", "idempotency_conflict", "sequence_gap"}


def _said(outcome: Outcome) -> tuple[str, object]:
    if isinstance(outcome, Refused):
        return outcome.code, outcome.message
    return "accepted", ([event.type for event in outcome.events], outcome.repeated, outcome.run_id)


def test_batches_are_committed_by_the_helper_and_small_ones_and_erasures_here(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with beside(tmp_path, busy_commands=2) as place:
            await place.until_started()
            await place.send(batch(2))
            assert place.committed_here == [2]
            await place.send(batch(3), batch(4))
            assert place.committed_here == [2]
            await place.send(batch(5), submission(6, c.EraseRun(run_id="r")))
            assert place.committed_here == [2, 5]
            assert place.numbers() == [2, 3, 4, 5]

    asyncio.run(scenario())


@pytest.mark.parametrize("command", [ENDS_AT_ONCE, ENDS, HANGS, BABBLES, LOSES_OUTCOMES])
def test_what_a_failing_helper_leaves_is_committed_by_the_server(tmp_path: Path, command: list[str]) -> None:
    async def scenario() -> None:
        async with beside(tmp_path, command, answer_s_max=0.2) as place:
            number = 1
            end = time.monotonic() + START_S_MAX
            while place.helper.failures < 2:
                number += 1
                (outcome,) = await place.send(batch(number))
                assert isinstance(outcome, Accepted)
                assert not outcome.repeated
                assert time.monotonic() < end
                await asyncio.sleep(0.01)
            assert place.numbers() == list(range(2, number + 1))

    asyncio.run(scenario())


@pytest.mark.parametrize("command", [None, ENDS, HANGS, BABBLES], ids=["well", "ends", "hangs", "babbles"])
def test_batches_under_way_are_handled_in_their_order_whoever_handles_them(
    tmp_path: Path, command: list[str] | None
) -> None:
    assert asyncio.run(_race(tmp_path, command, Committing)) == list(range(2, 62))


def test_control_a_batch_that_does_not_wait_for_the_helper_comes_out_of_turn(tmp_path: Path) -> None:
    assert asyncio.run(_race(tmp_path, None, Overtaking)) != list(range(2, 62))


async def _race(home: Path, command: Sequence[str] | None, kind: type[Committing]) -> list[int]:
    """Send 60 commands of one writer, in batches of three and one, without waiting for answers; what was stored."""
    async with beside(
        home, command, answer_s_max=0.2 if command else PATIENT_S, busy_commands=3, kind=kind
    ) as place:
        await place.until_started()
        tasks: list[asyncio.Task[list[Outcome]]] = []
        for number in range(2, 62, 4):
            for numbers in (range(number, number + 3), range(number + 3, number + 4)):
                tasks.append(asyncio.create_task(place.send(*map(batch, numbers))))
                await asyncio.sleep(0)
        await asyncio.gather(*tasks)
        return place.numbers()


@pytest.mark.parametrize(
    ("kind", "doubled"), [(Committing, 0), (Renumbering, 1)], ids=["numbered", "control"]
)
def test_a_batch_that_the_helper_had_committed_when_it_died_is_stored_once(
    tmp_path: Path, kind: type[Committing], doubled: int
) -> None:
    async def scenario() -> None:
        async with beside(tmp_path, that_commits_and_ends(tmp_path), kind=kind) as place:
            if isinstance(place.places, Renumbering):
                place.places.store = place.store
            await place.until_started()
            first, second = await asyncio.gather(place.send(batch(2)), place.send(batch(3)))
            assert place.helper.failures == 1
            (outcome,) = first
            assert isinstance(outcome, Accepted)
            assert outcome.repeated == (not doubled)
            assert isinstance(second[0], Accepted)
            bodies = [event.body for event in place.logged()]
            assert bodies.count(bodies[0]) == 1 + doubled
            assert len(bodies) == 2 + doubled

    asyncio.run(scenario())


def test_a_helper_that_is_stopped_answers_what_it_was_asked(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with beside(tmp_path) as place:
            await place.until_started()
            sent = [asyncio.create_task(place.send(batch(number))) for number in (2, 3)]
            await asyncio.sleep(0)
            await place.helper.stop()
            assert [type(outcome) for task in sent for outcome in await task] == [Accepted, Accepted]
            assert place.committed_here == []
            assert place.helper.failures == 0
            await place.send(batch(4))
            assert place.committed_here == [4]
            assert not place.helper.is_started

    asyncio.run(scenario())
