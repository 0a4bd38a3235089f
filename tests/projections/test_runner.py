"""The runner: rivals, projections that stop, sources that are not what was folded, positions."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from uuid import UUID

import pytest

from runfold_events.contract import events as e
from runfold_events.contract.envelope import LedgerDamaged
from runfold_events.contract.errors import Invalid, NotFound, PositionNotReached, RunfoldError, Unavailable
from runfold_events.contract.events import METRICS_LOGGED
from runfold_events.contract.tokens import Token
from runfold_events.failpoints import arm, disarm_all
from runfold_events.sync import run_sync
from runfold_projections.model import RunQuery
from runfold_projections.projection import FoldEvents, Move, Projection, ViewTransaction
from runfold_projections.runs.fold import RunsProjection
from runfold_projections.stores.sqlite import SqliteSession, SqliteViewStore
from runfold_projections.testing.history import WORKSPACE, MemorySource
from runfold_projections.views import all_projections
from tests.projections.support import Folded, refolded


@pytest.fixture
def folded() -> Folded:
    folded = Folded()
    folded.history.experiment()
    folded.history.create("r")
    return folded


# Rivals


def test_of_two_runners_one_folds_and_the_other_finds_it_done(tmp_path: Path) -> None:
    source = MemorySource()
    one = Folded(source, tmp_path / "views.db")
    two = Folded(source, tmp_path / "views.db")
    one.history.experiment()
    one.history.create("r")
    two.history = one.history
    for round_ in range(5):
        one.history.log("r", "m", [float(round_)], round_)
        assert (one if round_ % 2 else two).catch_up() > 0
        assert (two if round_ % 2 else one).catch_up() == 0
    assert one.dump() == two.dump() == refolded(source)
    one.close()
    two.close()


def test_a_rival_between_reading_and_folding_costs_a_reload_and_nothing_else(tmp_path: Path) -> None:
    """The other one commits the same batch, and more, after the events were read: compare-and-set says so."""
    source = MemorySource()
    rival = Folded(source, tmp_path / "views.db")
    rival.history.experiment()
    rival.history.create("r")
    rival.catch_up()

    class Slow(MemorySource):
        async def read_public(self, partition: int, from_pos: int, events_max: int) -> list[object]:  # type: ignore[override]
            events = await source.read_public(partition, from_pos, events_max)
            if len(source.events[0]) < 10:
                rival.history.log("r", "m", [1.0], len(source.events[0]))
                rival.catch_up()
            return list(events)

        async def ends(self) -> tuple[int, ...]:
            return await source.ends()

    slow = Folded(Slow(), tmp_path / "views.db", batch_events_max=2)
    rival.history.log("r", "m", [1.0], 100)
    slow.catch_up()

    assert slow.dump() == refolded(source)
    slow.close()
    rival.close()


def test_without_compare_and_set_the_same_events_are_folded_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: with the protection off, the damage that it prevents must show."""

    async def always(self: object, moves: Sequence[Move]) -> bool:
        return True

    folded = Folded(path=tmp_path / "views.db")
    folded.history.experiment()
    folded.history.create("r", tags={"a": "1"})
    folded.history.create("child", "r")
    run_sync(folded.views.catch_up(Token(folded.source.epoch, {})))
    monkeypatch.setattr(SqliteSession, "advance", always)
    events = FoldEvents(folded.source.events[0])

    async def fold() -> None:
        async with folded.store.transaction() as session:
            checkpoints = (await session.catalogue()).checkpoints
            for projection in folded.projections[:2]:
                (checkpoint,) = [c for (g, _), c in checkpoints.items() if g.projection == projection.name]
                assert await session.advance([Move(checkpoint, len(events))])
                await projection.apply(events, session.of(checkpoint.generation))

    run_sync(fold())
    with pytest.raises(LedgerDamaged, match="UNIQUE"):
        run_sync(fold())


@pytest.mark.parametrize("protected", [True, False])
def test_a_fold_that_dies_half_way_is_undone_because_it_is_one_transaction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protected: bool
) -> None:
    """And its control: with the transaction taken away, what is left half done must show."""

    @asynccontextmanager
    async def without_transaction(self: SqliteViewStore) -> AsyncGenerator[SqliteSession, None]:
        with closing(sqlite3.connect(tmp_path / "views.db", isolation_level=None)) as connection:
            yield SqliteSession(connection)

    folded = Folded(path=tmp_path / "views.db")
    folded.history.experiment()
    folded.history.create("r")
    folded.history.log("r", "m", [1.0])
    run_sync(folded.views.catch_up(Token(folded.source.epoch, {})))
    if not protected:
        monkeypatch.setattr(SqliteViewStore, "transaction", without_transaction)

    def die() -> None:
        raise KeyboardInterrupt

    arm("views.write_tail", die)
    try:
        with pytest.raises(KeyboardInterrupt):
            folded.catch_up()
    finally:
        disarm_all()
        monkeypatch.undo()

    states = {state.projection: state.position for state in run_sync(folded.views.states())}
    assert set(states.values()) == ({0} if protected else {4})
    assert (folded.dump() == refolded(folded.source)) is protected
    folded.close()


def test_many_threads_fold_and_ask_at_once(tmp_path: Path) -> None:
    source = MemorySource()
    views = [Folded(source, tmp_path / "views.db", batch_events_max=7) for _ in range(3)]
    views[0].history.experiment()
    for i in range(20):
        views[0].history.create(f"r{i}")
        views[0].history.log(f"r{i}", "m", [float(i)])
    errors: list[BaseException] = []

    def work(folded: Folded) -> None:
        try:
            for _ in range(5):
                folded.catch_up()
                assert run_sync(folded.views.count(WORKSPACE, RunQuery())) == 20
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(folded,)) for folded in views for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert errors == []
    assert views[0].dump() == refolded(source)
    for folded in views:
        folded.close()


# Projections that stop


class Fragile:
    """A projection that cannot read some events."""

    name = "runs"
    version = RunsProjection.version
    tables = RunsProjection.tables

    def __init__(self, bad: str) -> None:
        self.inner = RunsProjection()
        self.bad: str | None = bad

    async def apply(self, events: FoldEvents, tx: ViewTransaction) -> None:
        await self.inner.apply(events, tx)
        for event in events.recorded:
            if event.type == self.bad:
                raise ValueError("cannot read this")


@pytest.mark.parametrize("batch_events_max", [1, 4, 100])
def test_a_projection_that_raises_stops_alone_and_skips_nothing(batch_events_max: int) -> None:
    fragile = Fragile("run.archived")
    others = all_projections()[1:]
    folded = Folded(projections=[fragile, *others], batch_events_max=batch_events_max)
    folded.history.experiment()
    for i in range(5):
        folded.history.create(f"r{i}")
    bad = folded.history.run("r3", e.RunArchived())
    folded.history.log("r3", "m", [1.0, 2.0])
    folded.history.complete("r4")

    folded.catch_up()

    states = {state.projection: state for state in run_sync(folded.views.states())}
    end = len(folded.source.events[0])
    assert states["runs"].position == bad.pos
    # Not the error's own text: it could quote what is erased later.
    assert states["runs"].error == f"run.archived {bad.id}: ValueError"
    assert {name: state.position for name, state in states.items() if name != "runs"} == dict.fromkeys(
        ("children", "metrics", "experiments", "history", "artifacts"), end
    )
    with pytest.raises(Unavailable, match=r"view runs stopped at position \d+ of partition 0") as caught:
        run_sync(folded.views.runs(WORKSPACE, RunQuery()))
    assert {key: caught.value.facts[key] for key in ("projection", "partition", "pos")} == {
        "projection": "runs",
        "partition": 0,
        "pos": bad.pos,
    }
    assert run_sync(folded.views.experiment(WORKSPACE, "exp")).runs
    assert run_sync(folded.views.reach(folded.source.token())).ends == {0: end}

    # A program that can read the event goes on from there.
    repaired = Fragile("nothing")
    mended = Folded(folded.source, projections=[repaired, *others])
    mended.close()
    mended.views = type(folded.views)(folded.source, folded.store, [repaired, *others])
    mended.store = folded.store
    assert mended.dump() == refolded(folded.source)
    assert run_sync(mended.views.run(WORKSPACE, "r3")).archived


def test_only_the_partition_with_the_bad_event_stops() -> None:
    source = MemorySource(partitions=4)
    fragile = Fragile("run.archived")
    folded = Folded(source, projections=[fragile, *all_projections()[1:]])
    folded.history.experiment()
    for i in range(12):
        folded.history.create(f"r{i}")
    bad = folded.history.run("r0", e.RunArchived())
    for i in range(12):
        folded.history.complete(f"r{i}")

    def ask(run_id: str) -> str:
        try:
            return run_sync(folded.views.run(WORKSPACE, run_id)).status
        except RunfoldError as error:
            return error.code

    from runfold_events.contract.ids import partition_of

    for i in range(12):
        here = partition_of(folded.history.stream(f"r{i}"), 4) == bad.partition
        assert ask(f"r{i}") == ("unavailable" if here else "Completed")


def test_a_rebuild_does_not_replace_a_view_by_one_that_stops() -> None:
    fragile = Fragile("nothing")
    folded = Folded(projections=[fragile, *all_projections()[1:]])
    folded.history.experiment()
    folded.history.create("r")
    folded.history.run("r", e.RunArchived())
    live = folded.dump()

    fragile.bad = "run.archived"
    with pytest.raises(Unavailable, match="cannot be rebuilt: it stops at position 3"):
        run_sync(folded.views.rebuild())
    assert folded.dump() == live

    fragile.bad = None
    run_sync(folded.views.rebuild())
    assert folded.dump() == live


def test_an_unreadable_body_stops_only_who_must_read_it(folded: Folded) -> None:
    folded.history.append_body(
        folded.history.stream("r"), METRICS_LOGGED, b"\xc1", content_type="application/msgpack"
    )
    folded.history.run("r", e.TagsSet(tags={"x": "1"}))
    folded.catch_up()

    stopped = {state.projection for state in run_sync(folded.views.states()) if state.error}

    assert stopped == {"runs", "metrics"}
    assert len(run_sync(folded.views.experiments(WORKSPACE))) == 1


def test_an_engine_that_cannot_answer_stops_nothing(folded: Folded, monkeypatch: pytest.MonkeyPatch) -> None:
    folded.catch_up()
    broken = RunsProjection.apply

    async def full(self: Projection, events: FoldEvents, tx: ViewTransaction) -> None:
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        raise error

    folded.history.complete("r")
    monkeypatch.setattr(RunsProjection, "apply", full)
    with pytest.raises(Unavailable, match="disk is full"):
        folded.catch_up()
    monkeypatch.setattr(RunsProjection, "apply", broken)

    assert [state.error for state in run_sync(folded.views.states())] == [None] * len(all_projections())
    assert folded.dump() == refolded(folded.source)


# Sources that are not what was folded


def test_a_checkpoint_beyond_the_end_of_the_store_is_damage(folded: Folded) -> None:
    folded.catch_up()
    del folded.source.events[0][-1]
    with pytest.raises(LedgerDamaged, match="the store ends at 2"):
        folded.catch_up()
    run_sync(folded.views.rebuild())
    assert folded.dump() == refolded(folded.source)


def test_another_epoch_stops_until_a_rebuild(folded: Folded) -> None:
    folded.catch_up()
    folded.source.epoch = UUID(int=0xF)
    with pytest.raises(Unavailable, match="run `runfold rebuild`"):
        folded.catch_up()
    with pytest.raises(Unavailable):
        run_sync(folded.views.run(WORKSPACE, "r"))
    run_sync(folded.views.rebuild())
    assert folded.dump() == refolded(folded.source)


@pytest.mark.parametrize("missing", [0, 1, -1])
def test_missing_positions_are_damage(folded: Folded, missing: int) -> None:
    """Whatever the place: at the front, between, or at the end of what was read."""
    ends = run_sync(folded.source.ends())
    del folded.source.events[0][missing]

    async def same_ends() -> tuple[int, ...]:
        return ends

    folded.source.ends = same_ends  # type: ignore[method-assign]
    with pytest.raises(LedgerDamaged, match="positions 0 to 2 are not all there"):
        folded.catch_up()


# Positions


def test_reach_folds_and_says_where_the_views_are(folded: Folded) -> None:
    token = folded.source.token()
    assert run_sync(folded.views.reach(token)) == token
    folded.history.complete("r")
    assert run_sync(folded.views.reach(token)) == folded.source.token()
    assert run_sync(folded.views.reach(None)) == folded.source.token()


def test_a_token_beyond_the_end_or_of_another_epoch_is_not_reached(folded: Folded) -> None:
    with pytest.raises(PositionNotReached) as caught:
        run_sync(folded.views.reach(Token(folded.source.epoch, {0: 4})))
    assert caught.value.facts["position"] == str(folded.source.token())
    with pytest.raises(PositionNotReached):
        run_sync(folded.views.reach(Token(folded.source.epoch, {7: 1})))
    with pytest.raises(PositionNotReached) as caught:
        run_sync(folded.views.reach(Token(UUID(int=1), {0: 1})))
    assert caught.value.facts["epoch"] == str(folded.source.epoch)


def test_folding_can_stop_at_a_token() -> None:
    folded = Folded(MemorySource(2))
    folded.history.experiment()
    for i in range(6):
        folded.history.create(f"r{i}")
    ends = {partition: end // 2 for partition, end in folded.source.token().ends.items()}

    assert run_sync(folded.views.catch_up(Token(folded.source.epoch, ends))) == sum(ends.values())
    assert {state.partition: state.position for state in run_sync(folded.views.states())} == ends
    assert run_sync(folded.views.catch_up(Token(folded.source.epoch, {0: 1_000}))) > 0
    assert run_sync(folded.views.reach(None)) == folded.source.token()


def test_whoever_asks_folds_first(folded: Folded) -> None:
    assert run_sync(folded.views.run(WORKSPACE, "r")).status == "Running"
    folded.history.complete("r")
    assert run_sync(folded.views.run(WORKSPACE, "r")).status == "Completed"


def test_closed_views_say_so(folded: Folded) -> None:
    folded.close()
    folded.close()
    with pytest.raises(Unavailable, match="closed"):
        folded.catch_up()


def test_unknown_things_are_not_found(folded: Folded) -> None:
    views = folded.views
    for question in (
        views.run(WORKSPACE, "x"),
        views.run("elsewhere", "r"),
        views.history(WORKSPACE, "x"),
        views.metrics(WORKSPACE, "x"),
        views.metrics(WORKSPACE, "x", recursive=True),
        views.series(WORKSPACE, "x"),
        views.child_counts(WORKSPACE, "x"),
        views.experiment(WORKSPACE, "x"),
        views.run(WORKSPACE, "\ud800"),
        views.run("\ud800", "r"),
        views.experiment("\ud800", "x"),
        views.experiment(WORKSPACE, "a\0b"),
    ):
        with pytest.raises(NotFound):
            run_sync(question)
    for bad in (
        views.metrics(WORKSPACE, "r", points_max=0),
        views.history(WORKSPACE, "r", limit=0),
        views.history(WORKSPACE, "r", limit=10**30),
        views.history(WORKSPACE, "r", from_seq=10**30),
        views.history(WORKSPACE, "r", from_seq=0),
    ):
        with pytest.raises(Invalid) as caught:
            run_sync(bad)
        assert caught.value.field in ("points_max", "limit", "from_seq")
