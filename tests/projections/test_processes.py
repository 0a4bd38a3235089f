"""Views in one file, used by several processes, forked ones among them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from runfold_events.sync import run_sync
from runfold_projections.model import RunQuery
from runfold_projections.testing.history import WORKSPACE, MemorySource
from tests.projections.support import Folded, refolded

FORKING = """
import os, sys
from runfold_events.sync import run_sync
from runfold_projections.model import RunQuery
from runfold_projections.stores.sqlite import SqliteViewStore
from runfold_projections.testing.history import History, MemorySource
from runfold_projections.views import EmbeddedViews

source = MemorySource()
history = History(source)
history.experiment()
history.create("before")
views = EmbeddedViews(source, SqliteViewStore(sys.argv[1]))
assert run_sync(views.count("default", RunQuery())) == 1
history.create("after")
child = os.fork()
assert run_sync(views.count("default", RunQuery())) == 2
assert run_sync(views.rebuild()) >= 0
assert run_sync(views.run("default", "after")).status == "Running"
if not child:
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
run_sync(views.close())
"""

FOLDING = """
import sys
from runfold_events.sync import run_sync
from runfold_projections.stores.sqlite import SqliteViewStore
from runfold_projections.views import EmbeddedViews
from tests.projections.test_processes import some_history

source = some_history()
views = EmbeddedViews(source, SqliteViewStore(sys.argv[1]), batch_events_max=3)
run_sync(views.catch_up())
run_sync(views.rebuild(["metrics"]))
run_sync(views.close())
"""


def some_history() -> MemorySource:
    """The same for every process, as one store would be."""
    folded = Folded()
    folded.history.experiment()
    for i in range(40):
        folded.history.create(f"r{i}")
        folded.history.log(f"r{i}", "m", [float(i)] * 200)
        folded.history.complete(f"r{i}")
    return folded.source


def start(program: str, path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [
            sys.executable,
            "-W",
            "ignore",
            "-c",
            f"import sys; sys.path[:] = {sys.path!r}\n{program}",
            str(path),
        ],
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )


@pytest.mark.parametrize("times", range(3))
def test_parent_and_child_of_a_fork_both_go_on(tmp_path: Path, times: int) -> None:
    done = start(FORKING, tmp_path / "views.db")
    assert done.communicate(timeout=60)[1] == ""
    assert done.returncode == 0


def test_several_processes_fold_and_rebuild_at_once(tmp_path: Path) -> None:
    """Whoever comes late finds the work done; nobody folds an event twice, nobody is told of a lock."""
    path = tmp_path / "views.db"
    running = [start(FOLDING, path) for _ in range(3)]
    for process in running:
        assert process.communicate(timeout=60)[1] == ""
        assert process.returncode == 0

    folded = Folded(some_history(), path)
    assert folded.dump() == refolded(folded.source)
    assert run_sync(folded.views.count(WORKSPACE, RunQuery())) == 40
    folded.close()
