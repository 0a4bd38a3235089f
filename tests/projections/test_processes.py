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


DYING = """
import os, sys
from runfold_events.failpoints import arm
from runfold_events.sync import run_sync
from runfold_projections.stores.sqlite import SqliteViewStore
from runfold_projections.views import EmbeddedViews
from tests.projections.test_processes import some_history

left = 4

def die():
    global left
    left -= 1
    if not left:
        os._exit(9)

views = EmbeddedViews(some_history(), SqliteViewStore(sys.argv[1]), batch_events_max=10)
arm(sys.argv[2], die)
run_sync(views.catch_up())
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


def start(program: str, path: Path, *more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [
            sys.executable,
            "-W",
            "ignore",
            "-c",
            f"import sys; sys.path[:] = {sys.path!r}\n{program}",
            str(path),
            *more,
        ],
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )


PLACES = ["views.advance", "views.write_run", "views.write_tail", "views.write_entry", "views.commit.before"]


@pytest.mark.parametrize("place", [*PLACES, "views.commit.after"])
def test_a_process_that_dies_while_folding_leaves_what_the_next_one_needs(tmp_path: Path, place: str) -> None:
    dying = start(DYING, tmp_path / "views.db", place)
    assert dying.communicate(timeout=60)[1] == ""
    assert dying.returncode == 9

    folded = Folded(some_history(), tmp_path / "views.db")
    positions = {state.position for state in run_sync(folded.views.states())}
    assert len(positions) == 1
    assert folded.dump() == refolded(folded.source)
    folded.close()


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
