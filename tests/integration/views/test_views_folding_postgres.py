"""Folds on Postgres: the same rows as on SQLite, rivals, stops, engine failures, rebuilds beside readers, erasure."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Generator, Sequence
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runfold_events.contract import events as e
from runfold_events.contract.errors import PositionNotReached, RunfoldError, Unavailable
from runfold_events.contract.ids import partition_of
from runfold_events.contract.tokens import Token
from runfold_events.failpoints import arm, disarm_all
from runfold_projections.model import RunQuery
from runfold_projections.projection import FoldEvents, Move, ViewTransaction
from runfold_projections.rebuild import prepare
from runfold_projections.runs.fold import RunsProjection
from runfold_projections.server_views import ServerViews
from runfold_projections.stores.postgres.session import PostgresSession
from runfold_projections.testing.history import WORKSPACE, History, MemorySource
from runfold_projections.views import all_projections
from runfold_services.stack import Stack
from tests.projections.histories import Player, Step, play, steps
from tests.projections.support import refolded
from tests.projections.test_erasure import SECRET, tell_secrets
from tests.projections.test_rebuild import LONG
from tests.support.postgres_store import as_service
from tests.support.postgres_views import TEMPLATE, Fold, Folded
from tests.support.stack import StackForTest

CHEAP = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


class Killed(BaseException):
    """Stands for a process that is gone: nothing may handle it."""


@pytest.fixture(autouse=True)
def nothing_stays_armed() -> Generator[None]:
    yield
    disarm_all()


@pytest.fixture(scope="module")
def scratch(run_stack: Stack) -> Generator[str]:
    """A database whose views a test drops when it begins."""
    mine = StackForTest(run_stack)
    yield mine.database(TEMPLATE)
    mine.close()


def drop_views(folded: Folded) -> None:
    async def drop() -> None:
        async with folded.store.transaction(alone=True) as session:
            catalogue = await session.catalogue()
            for generation in [*catalogue.active.values(), *catalogue.building.values()]:
                await session.drop(generation)
        await folded.store.drop_retired(0.0)

    folded.run(drop())


def generations(folded: Folded) -> set[str]:
    """Which generations of which views have tables."""

    async def names() -> set[str]:
        async with folded.store.snapshot() as session:
            view = session.of((await session.catalogue()).active["runs"])
            rows = await view.fetch_compiled("SELECT relname FROM pg_class WHERE relkind = 'r'", ())
        return {"_".join(name.split("_")[1:4]) for (name,) in rows if re.search(r"_v\d+_g", name)}

    return folded.run(names())


# The same rows


@given(st.lists(steps(12), min_size=1, max_size=4), st.sampled_from([1, 3]), st.sampled_from([2, 7, 2_048]))
@settings(CHEAP, max_examples=12)
def test_what_is_folded_live_equals_sqlite_and_a_rebuild(
    scratch: str, parts: list[list[Step]], partitions: int, batch_events_max: int
) -> None:
    folded = Folded(scratch, MemorySource(partitions), batch_events_max=batch_events_max)
    drop_views(folded)
    player = Player(folded.history)
    for part in parts:
        player.play(part)
        folded.catch_up()
    live = folded.dump()

    assert live == refolded(folded.source)
    folded.run(folded.views.rebuild())
    assert folded.dump() == live
    folded.close()


# Rivals


def test_rivals_on_all_partitions_fold_every_event_once(fold: Fold) -> None:
    source = play(LONG * 2, partitions=4)
    rivals = [fold(source, batch_events_max=3) for _ in range(4)]

    async def race() -> list[int]:
        return await asyncio.gather(*(rival.views.catch_up() for rival in rivals))

    counts = rivals[0].run(race())
    assert sum(counts) == sum(len(events) for events in source.events)
    assert rivals[0].dump() == refolded(source)


def test_without_compare_and_set_the_same_events_are_folded_twice(
    fold: Fold, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: with the protection off, the damage that it prevents must show."""

    async def always(self: object, moves: Sequence[Move]) -> bool:
        return True

    folded = fold(play(LONG))
    folded.run(prepare(folded.source, folded.store, folded.views.projections))
    monkeypatch.setattr(PostgresSession, "advance", always)
    events = FoldEvents(folded.source.events[0])
    children = folded.views.projections[1]

    async def fold_all() -> None:
        async with folded.store.transaction() as session:
            catalogue = await session.catalogue()
            generation = catalogue.active[children.name]
            assert await session.advance([Move(catalogue.checkpoints[generation, 0], len(events))])
            await children.apply(events, session.of(generation))

    async def counted() -> int:
        async with folded.store.snapshot() as session:
            view = session.of((await session.catalogue()).active[children.name])
            return int((await view.fetch_compiled("SELECT sum(direct) FROM {p}count", ()))[0][0])

    folded.run(fold_all())
    once = folded.run(counted())
    folded.run(fold_all())
    assert folded.run(counted()) > once


def test_many_processes_may_make_the_first_tables_at_once(fold: Fold) -> None:
    source = MemorySource(4)
    opened = [fold(source) for _ in range(4)]

    async def all_prepare() -> None:
        await asyncio.gather(*(prepare(source, f.store, f.views.projections) for f in opened))

    opened[0].run(all_prepare())
    assert generations(opened[0]) == {f"{view.name}_v{view.version}_g1" for view in all_projections()}


# Stops and failures


class Fragile:
    """A projection that cannot read some events."""

    name = "runs"
    version = RunsProjection.version
    tables = RunsProjection.tables

    def __init__(self, bad: str) -> None:
        self.inner = RunsProjection()
        self.bad = bad

    async def apply(self, events: FoldEvents, tx: ViewTransaction) -> None:
        await self.inner.apply(events, tx)
        for event in events.recorded:
            if event.type == self.bad:
                raise ValueError("cannot read this")


@pytest.mark.parametrize("batch_events_max", [2, 2_048])
def test_only_the_projection_and_the_partition_with_the_bad_event_stop(
    fold: Fold, batch_events_max: int
) -> None:
    source = MemorySource(4)
    fragile = Fragile("run.archived")
    projections = [fragile, *all_projections()[1:]]
    folded = fold(source, projections, batch_events_max=batch_events_max)
    folded.history.experiment()
    for i in range(12):
        folded.history.create(f"r{i}")
    bad = folded.history.run("r0", e.RunArchived())
    for i in range(12):
        folded.history.complete(f"r{i}")

    def ask(run_id: str) -> str:
        try:
            return folded.run(folded.views.run(WORKSPACE, run_id)).status
        except RunfoldError as error:
            return error.code

    for i in range(12):
        here = partition_of(folded.history.stream(f"r{i}"), 4) == bad.partition
        assert ask(f"r{i}") == ("unavailable" if here else "Completed")
    stopped = [s for s in folded.run(folded.views.states()) if s.error is not None]
    assert [(s.projection, s.partition, s.position) for s in stopped] == [("runs", bad.partition, bad.pos)]
    assert folded.run(folded.views.experiment(WORKSPACE, "exp")).runs
    assert folded.run(folded.views.reach(source.token())) == source.token()

    mended = fold(source)
    assert mended.dump() == refolded(source)


@pytest.mark.parametrize(
    "place", ["views.advance", "views.write_run", "views.write_tail", "views.commit.before"]
)
def test_a_connection_that_dies_in_a_fold_stops_nothing(dsn: str, fold: Fold, place: str) -> None:
    folded = fold(play(LONG))
    left = [1]

    async def terminate() -> None:
        owner = await asyncpg.connect(dsn)
        await owner.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND application_name = 'runfold views'"
        )
        await owner.close()

    def cut() -> None:
        if left:
            left.pop()
            from tests.support.stack import run_apart

            run_apart(terminate)

    arm(place, cut)
    with pytest.raises(Unavailable):
        folded.catch_up()
    assert folded.dump() == refolded(folded.source)
    assert all(state.error is None for state in folded.run(folded.views.states()))


# Reading beside writing


def test_a_snapshot_stays_at_its_position_while_others_fold(fold: Fold) -> None:
    source = MemorySource(4)
    folded = fold(source)
    folded.history.experiment()
    folded.history.create("r")
    folded.catch_up()

    async def look() -> tuple[int, int, int]:
        async with folded.store.snapshot() as session:
            catalogue = await session.catalogue()
            for i in range(10):
                folded.history.create(f"later-{i}")
            await folded.views.catch_up()
            runs = session.of(catalogue.active["runs"])
            count = int((await runs.fetch_compiled("SELECT count(*) FROM {p}run", ()))[0][0])
            again = await session.catalogue()
        now = await folded.views.count(WORKSPACE, RunQuery())
        assert again.checkpoints == catalogue.checkpoints
        return count, now, len(again.active)

    assert folded.run(look()) == (1, 11, 6)


def test_a_rebuild_beside_folds_and_readers_hides_nothing(fold: Fold) -> None:
    """No answer is older than the one before it, none fails, and no half-built table is ever seen."""
    source = play(LONG, partitions=4)
    history = History(source)
    live = fold(source)
    live.catch_up()
    building = fold(source, batch_events_max=2)
    reader = fold(source)
    is_done = asyncio.Event()

    async def write() -> int:
        number = 0
        while not is_done.is_set():
            history.create(f"new-{number}")
            number += 1
            await live.views.catch_up()
            await asyncio.sleep(0.001)
        return number

    async def read() -> int:
        views = ServerViews(source, reader.store, reader.views.projections)
        seen = answers = 0
        position = Token(source.epoch, {})
        while not is_done.is_set():
            reached = await views.reach(position)
            found = await views.count(WORKSPACE, RunQuery(include_children=True, include_archived=True))
            assert found >= seen
            assert position.merge(reached) == reached
            seen, position, answers = found, reached, answers + 1
        return answers

    async def rebuild() -> None:
        try:
            for _ in range(2):
                await building.views.rebuild()
        finally:
            is_done.set()

    async def together() -> tuple[int, int, None]:
        return await asyncio.gather(write(), read(), rebuild())

    written, answers, _ = live.run(together())
    assert written > 5
    assert answers > 5
    # Tables that were replaced stay for those who may still read them; then they go.
    assert {name.rpartition("_")[2] for name in generations(live)} == {"g1", "g2", "g3"}
    assert live.run(live.store.drop_retired()) == 0
    assert live.run(live.store.drop_retired(0.0)) == 2 * len(all_projections())
    assert {name.rpartition("_")[2] for name in generations(live)} == {"g3"}
    assert live.dump() == refolded(source)


PLACES = {"views.advance": 2, "views.write_tail": 1, "views.commit.before": 2, "views.commit.after": 2}


@pytest.mark.parametrize("place", PLACES)
def test_a_rebuild_that_is_killed_goes_on_where_it_stood(fold: Fold, place: str) -> None:
    source = play(LONG)
    folded = fold(source, batch_events_max=4)
    live = folded.dump()
    left = PLACES[place]

    def die() -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise Killed

    arm(place, die)
    dying = fold(source, batch_events_max=4)
    with pytest.raises(Killed):
        dying.run(dying.views.rebuild())
    disarm_all()

    seen: list[tuple[int, int]] = []

    def note(done: int, total: int) -> None:
        seen.append((done, total))

    assert folded.dump() == live  # the old tables serve meanwhile
    folded.run(folded.views.rebuild(progress=note))
    assert folded.dump() == live
    assert seen[0][0] > 0
    assert seen[-1][0] == seen[-1][1] == len(all_projections()) * len(source.events[0])


# Erasure


@pytest.mark.parametrize("folded_before", [True, False])
def test_no_row_of_an_erased_run_is_left_and_a_rebuild_equals(fold: Fold, folded_before: bool) -> None:
    folded = fold()
    folded.history.experiment()
    folded.history.create("root")
    tell_secrets(folded.history, "r")
    if folded_before:
        assert SECRET in repr(folded.dump())
    folded.history.erase("r")

    dump = folded.dump()
    assert SECRET not in repr(dump)
    assert dump == refolded(folded.source)
    folded.run(folded.views.rebuild())
    assert folded.dump() == dump


# Positions


def test_who_waits_for_a_position_is_told_when_it_comes_and_where_views_are_if_not(fold: Fold) -> None:
    folded = fold(MemorySource(4))
    folded.history.experiment()
    folded.history.create("r")
    folded.catch_up()
    before = folded.source.token()
    folded.history.complete("r")
    wanted = folded.source.token()
    views = ServerViews(folded.source, folded.store, folded.views.projections)

    async def wait_in_vain() -> None:
        with pytest.raises(PositionNotReached) as caught:
            await views.reach(wanted, 0.05)
        assert caught.value.facts["position"] == str(before)

    async def wait(do: Callable[[], Awaitable[Any]]) -> list[Token]:
        waiting = [asyncio.ensure_future(views.reach(wanted, 10.0)) for _ in range(50)]
        waiting[0].cancel()  # one who gives up takes nobody along
        await asyncio.sleep(0.02)
        assert not any(task.done() for task in waiting[1:])
        await do()
        return await asyncio.gather(*waiting[1:])

    folded.run(wait_in_vain())
    assert set(map(str, folded.run(wait(folded.views.catch_up)))) == {str(wanted)}


def test_the_service_role_alone_suffices(dsn: str, fold: Fold) -> None:
    """Everything above ran as the role of services; its own tables are all that it owns."""

    async def owned() -> set[str]:
        connection = await asyncpg.connect(as_service(dsn))
        rows = await connection.fetch(
            "SELECT DISTINCT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
            "WHERE c.relowner = current_user::regrole AND n.nspname NOT LIKE 'pg\\_%'"
        )
        await connection.close()
        return {row[0] for row in rows}

    folded = fold()
    folded.catch_up()
    assert folded.run(owned()) == {"runfold_views"}
