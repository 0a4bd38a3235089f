"""A rebuild equals the live view, row for row, whatever the batches were and however often it was interrupted."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runfold_events.contract import events as e
from runfold_events.contract.errors import Unavailable
from runfold_events.failpoints import arm, disarm_all
from runfold_events.sync import run_sync
from runfold_projections.runs.fold import RunsProjection
from runfold_projections.testing.history import History, MemorySource
from runfold_projections.views import all_projections
from tests.projections.histories import Player, Step, play, steps
from tests.projections.support import Folded, refolded


class Killed(BaseException):
    """Stands for a process that is gone: nothing may handle it."""


@given(steps(), st.sampled_from([1, 3]), st.lists(st.integers(1, 9), min_size=1, max_size=3))
@settings(max_examples=40)
def test_batches_leave_no_trace(happened: list[Step], partitions: int, sizes: list[int]) -> None:
    source = play(happened, partitions)
    expected = refolded(source)
    for size in sizes:
        assert refolded(source, batch_events_max=size) == expected
    assert refolded(source, batch_body_bytes_max=300) == expected


@given(st.lists(steps(12), min_size=1, max_size=5), st.sampled_from([1, 3]))
@settings(max_examples=40)
def test_what_was_folded_live_equals_a_rebuild(parts: list[list[Step]], partitions: int) -> None:
    """Folded part by part, also before erasures that a rebuild finds done already."""
    folded = Folded(MemorySource(partitions))
    player = Player(folded.history)
    for part in parts:
        player.play(part)
        folded.catch_up()
    live = folded.dump()

    run_sync(folded.views.rebuild())

    assert folded.dump() == live
    assert refolded(folded.source) == live
    folded.close()


LONG = [
    Step(kind, (i, i * 7, i * 3))
    for i in range(6)
    for kind in ("create", "child", "metrics", "many", "tags", "end")
]


# Where the process dies, and after how many times of passing there: each attempt gets a little further.
PLACES = {"views.advance": 2, "views.write_tail": 1, "views.commit.before": 2, "views.commit.after": 2}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("times", [1, 3])
def test_a_rebuild_that_is_killed_goes_on_where_it_stood(tmp_path: Path, place: str, times: int) -> None:
    source = play(LONG)
    path = tmp_path / "views.db"
    folded = Folded(source, path, batch_events_max=4)
    live = folded.dump()
    folded.close()

    for _ in range(times):
        _kill_at(place, PLACES[place])
        dying = Folded(source, path, batch_events_max=4)
        with pytest.raises(Killed):
            run_sync(dying.views.rebuild())
        disarm_all()
        dying.close()

    seen: list[tuple[int, int]] = []
    folded = Folded(source, path, batch_events_max=4)
    assert folded.dump() == live  # the old tables serve meanwhile
    run_sync(folded.views.rebuild(progress=lambda done, total: seen.append((done, total))))

    assert folded.dump() == live
    assert seen[0][0] > 0
    assert seen == sorted(seen)
    assert seen[-1][0] == seen[-1][1] == len(all_projections()) * len(source.events[0])
    assert _tables(folded) == {"g2"}
    folded.close()


def _kill_at(place: str, after: int) -> None:
    left = after

    def die() -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise Killed

    arm(place, die)


def _tables(folded: Folded) -> set[str]:
    """Which generations have tables."""

    async def names() -> set[str]:
        async with folded.store.snapshot() as session:
            view = session.of((await session.catalogue()).active["runs"])
            rows = await view.fetch_compiled("SELECT name FROM sqlite_master WHERE type = 'table'", ())
        return {name.split("_")[3] for (name,) in rows if name.count("_") >= 3}

    return run_sync(names())


@pytest.fixture(autouse=True)
def nothing_stays_armed() -> None:
    disarm_all()


@pytest.mark.parametrize("at_once", [1, 3_000])
def test_events_that_come_during_a_rebuild_are_in_it(tmp_path: Path, at_once: int) -> None:
    """The new tables go to use only when they have come as far as the ones they replace.

    Events come whenever the rebuild is about to end: a few are folded in with the switch, many in one more round.
    """
    source = play(LONG)
    folded = Folded(source, tmp_path / "views.db", batch_events_max=4)
    other = Folded(source, tmp_path / "views.db")
    other.catch_up()
    rounds = 0

    def meanwhile(done: int, total: int) -> None:
        nonlocal rounds
        if done == total and rounds < 3:
            rounds += 1
            for _ in range(at_once):
                History(source).run("run-0", e.RunArchived(), stream_seq=1_000 + len(source.events[0]))
            other.catch_up()

    run_sync(folded.views.rebuild(progress=meanwhile))

    assert rounds == (1 if at_once == 1 else 3)
    assert folded.dump() == other.dump() == refolded(source)
    folded.close()
    other.close()


def test_one_view_alone_can_be_rebuilt(tmp_path: Path) -> None:
    source = play(LONG)
    folded = Folded(source, tmp_path / "views.db")
    live = folded.dump()
    assert run_sync(folded.views.rebuild(["metrics"])) == len(source.events[0])
    assert folded.dump() == live
    assert _tables(folded) == {"g1", "g2"}
    folded.close()


def test_tables_of_an_older_version_are_built_anew_when_views_are_first_used(tmp_path: Path) -> None:
    source = play(LONG)
    old = Folded(source, tmp_path / "views.db")
    live = old.dump()
    old.close()

    class NewRuns(RunsProjection):
        version = RunsProjection.version + 1

    projections = [NewRuns(), *all_projections()[1:]]
    new = Folded(source, tmp_path / "views.db", projections)
    assert new.dump() == live
    assert {state.version for state in run_sync(new.views.states()) if state.projection == "runs"} == {
        NewRuns.version
    }
    new.close()

    again = Folded(source, tmp_path / "views.db")
    with pytest.raises(Unavailable, match="newer runfold"):
        again.catch_up()
    again.close()
