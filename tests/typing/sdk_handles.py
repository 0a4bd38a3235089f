"""What type checkers make of the public calls. Checked by ``./dev types``; never run."""

from collections.abc import Iterator
from typing import Any, assert_type

from runfold import Experiment, Metric, Rejection, Run, Workspace
from runfold.errors import Invalid, PropertyImmutable, Unavailable
from runfold.exceptions import UserErrorException
from runfold.testing import memory_workspace
from runfold_events.contract.commands import ParamValue
from runfold_events.ports import WriterMark
from runfold_projections.model import ChildCounts, HistoryEntry, RunView

workspace = Workspace.from_config()
assert_type(workspace, Workspace)
assert_type(Workspace(), Workspace)
assert_type(Workspace("subscription", "group", "name"), Workspace)
assert_type(Workspace(url="http://127.0.0.1:8765", token="t", strict=True), Workspace)
assert_type(workspace.experiments, dict[str, Experiment])
assert_type(workspace.get_run("id"), Run)
assert_type(workspace.get_details(), dict[str, Any])
assert_type(workspace.query("status = 'Running'", fields=["metrics.loss"], limit=5), Iterator[RunView])

experiment = Experiment(workspace, "e")
assert_type(Experiment.list(workspace), list[Experiment])
assert_type(experiment.id, str)
assert_type(experiment.tags, dict[str, str | None])
assert_type(experiment.get_runs(tags={"k": 1}, properties="p"), Iterator[Run])
assert_type(experiment.query(order_by="-metrics.loss"), Iterator[RunView])

run = experiment.start_logging(name="n", tags={"k": None}, resume=True)
assert_type(run, Run)
assert_type(Run(experiment, "id"), Run)
assert_type(Run.get(workspace, "id"), Run)
assert_type(Run.list(experiment, status="Running"), Iterator[Run])
assert_type(run.id, str)
assert_type(run.number, int)
assert_type(run.name, str | None)
assert_type(run.status, str)
assert_type(run.parent, Run | None)
assert_type(run.tags, dict[str, str | None])
assert_type(run.cancel_requested, bool)
run.display_name = "text"
run.description = None

with run as entered:
    assert_type(entered, Run)
with run.child_run() as child:
    assert_type(child, Run)
assert_type(run.create_children(count=3), list[Run])
assert_type(run.get_children(recursive=True), Iterator[Run])
assert_type(run.child_counts(), ChildCounts)

run.log("loss", 0.5, step=1)
run.log_list("list", range(3))
run.log_row("row", x=1, y="two")
run.log_table("table", {"x": [1, 2]})
run.log_params({"lr": 0.1, "depth": 3, "name": "tree", "deep": True, "seed": None})
assert_type(run.get_metrics(), dict[str, Any])
assert_type(run.metrics("loss"), dict[str, Metric])
assert_type(run.metrics(recursive=True), dict[str, dict[str, Metric]])
assert_type(run.metrics()["loss"].steps, list[int | None])

assert_type(run.get_status(), str)
assert_type(run.get_details(), dict[str, Any])
assert_type(run.wait_for_completion(), dict[str, Any])
assert_type(run.get_tags(), dict[str, str | None])
assert_type(run.get_properties(), dict[str, str | None])
assert_type(run.get_params(), dict[str, ParamValue])
assert_type(run.summary(), RunView)
assert_type(run.history(), list[HistoryEntry])
assert_type(run.writers(), list[WriterMark])
assert_type(run.rejections(), list[Rejection])

try:
    run.complete()
except PropertyImmutable as error:
    assert_type(error.facts, dict[str, Any])
except UserErrorException as error:
    assert_type(error, Invalid)
except Unavailable as error:
    assert_type(error.retry_after, float)

with memory_workspace() as in_memory:
    assert_type(in_memory, Workspace)
