"""Followers are told each step once, after it is committed, and a slow one is told to load anew."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from runfold_events.contract.commands import CreateRun
from runfold_events.contract.ids import run_stream
from runfold_events.contract.tokens import Token
from runfold_services.api.live import QUEUED_GROUPS_MAX, Follower, Group, Live, StreamEnded
from runfold_services.threads import Threads
from tests.support.fake_backend import FakeBackend, run_view
from tests.unit.services.test_changes import record


def scenario(play: Callable[[FakeBackend, Live], Awaitable[None]]) -> None:
    async def run() -> None:
        backend = FakeBackend()
        backend.fake.run_views["w", "r"] = run_view(CreateRun(run_id="r", experiment="e"), "w")
        threads = Threads(1)
        try:
            await play(backend, Live(backend, threads))
        finally:
            await threads.stop()

    asyncio.run(run())


def happen(backend: FakeBackend, live: Live, run_id: str = "r") -> Token:
    """An event, folded."""
    record(backend, run_stream("w", run_id), "run.tags_set")
    token = Token(backend.epoch, {0: len(backend.recorded)})
    live.advance(token)
    return token


async def told(follower: Follower) -> Group:
    group = await follower.next(5.0)
    assert group is not None, "nothing was told"
    return group


def test_a_follower_starts_where_views_stand_and_hears_what_comes_after() -> None:
    async def play(backend: FakeBackend, live: Live) -> None:
        early = happen(backend, live)
        follower = Follower("w", "r")
        live.join(follower)
        assert await follower.start == early
        later = happen(backend, live)
        group = await told(follower)
        assert (group.token, [message.event for message in group.messages]) == (later, ["run", "history"])
        assert await follower.next(0.01) is None

    scenario(play)


def test_a_follower_that_joins_before_the_first_fold_waits_for_it() -> None:
    async def play(backend: FakeBackend, live: Live) -> None:
        follower = Follower("w", None)
        live.join(follower)
        await asyncio.sleep(0.01)
        assert not follower.start.done()
        assert happen(backend, live) == await follower.start

    scenario(play)


def test_what_does_not_concern_a_follower_is_not_told() -> None:
    async def play(backend: FakeBackend, live: Live) -> None:
        backend.fake.run_views["w", "s"] = run_view(CreateRun(run_id="s", experiment="e"), "w")
        happen(backend, live)
        one, whole, elsewhere = Follower("w", "r"), Follower("w", None), Follower("v", None)
        for follower in (one, whole, elsewhere):
            live.join(follower)
        await elsewhere.start
        last = happen(backend, live, "s")
        assert [message.run_id for message in (await told(whole)).messages] == ["s"]
        assert await one.next(0.01) is None
        assert await elsewhere.next(0.01) is None
        assert live.told == last

    scenario(play)


def test_steps_add_up_while_one_is_being_worked_out() -> None:
    async def play(backend: FakeBackend, live: Live) -> None:
        happen(backend, live)
        follower = Follower("w", "r")
        live.join(follower)
        await follower.start
        for _ in range(50):
            happen(backend, live)
        groups = [await told(follower)]
        while groups[-1].token.ends[0] < len(backend.recorded):
            groups.append(await told(follower))
        assert len(groups) < 5

    scenario(play)


def test_a_slow_follower_gets_one_resync_in_place_of_all_it_missed() -> None:
    async def play(backend: FakeBackend, live: Live) -> None:
        follower = Follower("w", "r")
        for number in range(QUEUED_GROUPS_MAX + 1):
            follower.offer(Group(Token(backend.epoch, {0: number})))
        group = await told(follower)
        assert group.resync
        assert group.token.ends == {0: QUEUED_GROUPS_MAX}
        assert await follower.next(0.01) is None

    scenario(play)


def test_what_was_missed_can_be_asked_for() -> None:
    async def play(backend: FakeBackend, live: Live) -> None:
        before = happen(backend, live)
        after = happen(backend, live)
        group = await live.changes(before, after, Follower("w", "r"))
        assert [message.event for message in group.messages] == ["run", "history"]
        assert (await live.changes(after, after, Follower("w", "r"))).messages == ()
        assert (await live.changes(Token(FakeBackend().epoch, {0: 1}), after, Follower("w", "r"))).resync

    scenario(play)


def test_a_step_that_cannot_be_worked_out_makes_everybody_load_anew() -> None:
    async def play(backend: FakeBackend, live: Live) -> None:
        happen(backend, live)
        follower = Follower("w", "r")
        live.join(follower)
        await follower.start

        async def broken(workspace: str, run_id: str) -> None:
            raise ValueError("a bug")

        backend.fake.run = broken  # type: ignore[method-assign, assignment]
        happen(backend, live)
        assert (await told(follower)).resync

    scenario(play)


def test_streams_end_when_the_server_stops() -> None:
    async def play(backend: FakeBackend, live: Live) -> None:
        happen(backend, live)
        inside, waiting, late = Follower("w", "r"), Follower("w", "r"), Follower("w", "r")
        live.join(inside)
        await inside.start
        live.join(waiting)
        live.end()
        live.join(late)
        assert not live.has_room
        assert await late.start is None
        for follower in (inside, waiting, late):
            try:
                await follower.next(1.0)
            except StreamEnded:
                continue
            raise AssertionError("the stream went on")

    scenario(play)
