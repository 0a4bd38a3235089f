"""After an erasure the views hold what run.erased says, and nothing else of the run."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from runfold_events.contract import events as e
from runfold_events.contract.columns import Column
from runfold_events.contract.commands import ErrorInfo
from runfold_events.contract.statuses import Status
from runfold_events.sync import run_sync
from runfold_projections.model import RunQuery
from runfold_projections.testing.history import WORKSPACE, History, floats, table
from tests.projections.support import Folded, refolded

SECRET = "SECRET"
NUMBER = 1234.56789  # a value to look for, too


def tell_secrets(history: History, run: str) -> None:
    """Everything that a run can say, each with something to look for."""
    history.create(
        run,
        "root",
        name=f"{SECRET}-name",
        display_name=f"{SECRET}-display",
        description=f"{SECRET}-description",
        tags={f"{SECRET}-tag": f"{SECRET}-value"},
        properties={f"{SECRET}-property": f"{SECRET}-value"},
        target=f"{SECRET}-target",
        run_type=f"{SECRET}-type",
    )
    history.run(run, e.ParamsLogged(params={f"{SECRET}-param": f"{SECRET}-value", "n": NUMBER}))
    history.run(run, e.RunAdvanced(status=Status.QUEUED, details=f"{SECRET}-details"))
    history.run(run, e.RunCancelRequested(reason=f"{SECRET}-reason"))
    history.run(run, e.CommandRejected(command="run.x", code="x", message=f"{SECRET}-message"))
    history.run(run, e.ArtifactRecorded(path=f"{SECRET}-path", sha256="0" * 64, size_bytes=1))
    history.metrics(run, floats(f"{SECRET}-metric", [NUMBER] * 5_000), floats("short", [NUMBER]))
    cells: list[Any] = [f"{SECRET}-cell-{i}" for i in range(4_200)]
    history.metrics(run, table(f"{SECRET}-texts", {"texts": Column(dtype="str", values=cells)}, range(4_200)))
    history.run(run, e.RunFailed(error=ErrorInfo(message=f"{SECRET}-error")))
    history.status[run] = Status.FAILED


@pytest.fixture
def folded(tmp_path: Path) -> Folded:
    folded = Folded(path=tmp_path / "views.db")
    folded.history.experiment()
    folded.history.create("root", tags={"keep": "this"})
    tell_secrets(folded.history, "r")
    folded.history.create("below", "r")
    folded.history.log("below", "m", [1.0, 2.0])
    folded.history.experiment("kept")
    return folded


@pytest.mark.parametrize("folded_before", [True, False])
@pytest.mark.parametrize("batch_events_max", [1, 100])
def test_no_byte_of_the_bodies_is_left_and_a_rebuild_equals(
    folded: Folded, folded_before: bool, batch_events_max: int
) -> None:
    if folded_before:
        assert SECRET in repr(folded.dump())
    folded.history.erase("r")
    folded.history.run("r", e.CommandRejected(command="run.set_tags", code="conflict", message="was erased"))

    dump = folded.dump()

    assert SECRET not in repr(dump)
    assert str(NUMBER) not in repr(dump)
    assert dump == refolded(folded.source, batch_events_max=batch_events_max)
    run_sync(folded.views.rebuild())
    assert folded.dump() == dump


def test_no_byte_is_left_in_the_file_after_a_vacuum(folded: Folded, tmp_path: Path) -> None:
    folded.catch_up()
    folded.history.erase("r")
    folded.catch_up()
    folded.close()
    connection = sqlite3.connect(tmp_path / "views.db")
    connection.execute("VACUUM")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()

    content = (tmp_path / "views.db").read_bytes()

    assert SECRET.encode() not in content
    assert b"keep" in content


def test_what_is_left_is_the_stub(folded: Folded) -> None:
    before = run_sync(folded.views.run(WORKSPACE, "r"))
    folded.history.erase("r", "asked")
    erased = folded.source.events[0][-1]

    run = run_sync(folded.views.run(WORKSPACE, "r"))

    assert run.erased
    assert (run.status, run.number, run.path) == (Status.FAILED, before.number, ("root", "r"))
    assert (run.experiment, run.experiment_id) == (before.experiment, before.experiment_id)
    assert (run.tags, run.properties, run.params, run.metrics) == ({}, {}, {}, {})
    assert (run.name, run.error, run.cancel_reason, run.rejections) == (None, None, None, 0)
    assert round(run.updated_at.timestamp() * 1e6) == erased.recorded_at
    assert run_sync(folded.views.metrics(WORKSPACE, "r")) == []
    assert run_sync(folded.views.series(WORKSPACE, "r")) == []
    below = run_sync(folded.views.runs(WORKSPACE, RunQuery(ancestor_run_id="root", order_by="run_id"))).rows
    assert [row.run_id for row in below] == ["below", "r"]
    assert [x.count for x in run_sync(folded.views.metrics(WORKSPACE, "root", recursive=True))] == [2]


def test_the_others_stay_as_they_were(folded: Folded) -> None:
    views = folded.views
    before = [run_sync(views.run(WORKSPACE, run)) for run in ("root", "below")]
    counts = run_sync(views.child_counts(WORKSPACE, "root"))
    experiment = run_sync(views.experiment(WORKSPACE, "exp")).runs
    folded.history.erase("r")

    assert [run_sync(views.run(WORKSPACE, run)) for run in ("root", "below")] == before
    assert run_sync(views.child_counts(WORKSPACE, "root")) == counts
    assert run_sync(views.experiment(WORKSPACE, "exp")).runs == experiment
    assert run_sync(views.experiment(WORKSPACE, "kept")).experiment == "kept"


def test_created_and_erased_within_one_batch() -> None:
    """A follower that read the bodies just before they went leaves what one leaves that came too late for them."""
    folded = Folded()
    folded.history.experiment()
    folded.history.create("root")
    tell_secrets(folded.history, "r")
    unread = list(folded.source.events[0])
    folded.history.erase("r")
    erased = list(folded.source.events[0])

    folded.source.events[0][: len(unread)] = unread
    live = folded.dump()
    folded.source.events[0][:] = erased

    assert SECRET not in repr(live)
    assert refolded(folded.source) == live
