"""How many children and descendants have which status."""

from __future__ import annotations

import pytest

from runfold_events.contract import events as e
from runfold_events.contract.statuses import Status
from runfold_events.sync import run_sync
from runfold_projections.model import ChildCounts
from runfold_projections.testing.history import WORKSPACE, MemorySource
from tests.projections.support import Folded

RUNNING, COMPLETED, NOT_STARTED = Status.RUNNING, Status.COMPLETED, Status.NOT_STARTED


@pytest.fixture(params=[1, 4])
def folded(request: pytest.FixtureRequest) -> Folded:
    """A root, two children, a grandchild; over one partition and over several."""
    folded = Folded(MemorySource(partitions=request.param))
    folded.history.experiment()
    folded.history.create("root")
    folded.history.create("a", "root")
    folded.history.create("b", "root", start=False)
    folded.history.create("aa", "a")
    return folded


def counts(folded: Folded, run_id: str) -> ChildCounts:
    return run_sync(folded.views.child_counts(WORKSPACE, run_id))


def test_children_and_descendants_are_counted_apart(folded: Folded) -> None:
    assert counts(folded, "root") == ChildCounts(
        direct={RUNNING: 1, NOT_STARTED: 1}, descendants={RUNNING: 2, NOT_STARTED: 1}
    )
    assert counts(folded, "a") == ChildCounts(direct={RUNNING: 1}, descendants={RUNNING: 1})
    assert counts(folded, "aa") == ChildCounts()


def test_a_status_moves_the_counts_and_leaves_no_empty_row(folded: Folded) -> None:
    folded.catch_up()
    folded.history.complete("aa")
    folded.history.start("b")

    assert counts(folded, "root") == ChildCounts(direct={RUNNING: 2}, descendants={RUNNING: 2, COMPLETED: 1})
    assert counts(folded, "a") == ChildCounts(direct={COMPLETED: 1}, descendants={COMPLETED: 1})
    assert all(direct or descendants for *_, direct, descendants in folded.rows("children.count"))


def test_an_erased_child_counts_as_it_stood(folded: Folded) -> None:
    folded.history.complete("aa")
    before = counts(folded, "root")
    folded.history.erase("aa")
    assert counts(folded, "root") == before


def test_events_that_set_no_status_count_nothing(folded: Folded) -> None:
    before = folded.rows("children.count")
    folded.history.run("a", e.TagsSet(tags={"x": "1"}))
    assert folded.rows("children.count") == before


def test_rows_are_written_by_the_partition_of_the_child() -> None:
    folded = Folded(MemorySource(partitions=8))
    folded.history.experiment()
    folded.history.create("root")
    for i in range(40):
        folded.history.create(f"c{i}", "root")
    folded.catch_up()

    partitions = [row[2] for row in folded.rows("children.count")]

    assert sorted(partitions) == sorted(set(partitions))
    assert len(partitions) > 1
    assert counts(folded, "root").direct == {RUNNING: 40}
