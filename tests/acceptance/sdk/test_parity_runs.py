"""Rows of the parity table: workspace, experiments, runs, lifecycle, children. Over both transports."""

from __future__ import annotations

import inspect
import re
import sys
import types
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from runfold import (
    Conflict,
    Experiment,
    Invalid,
    NotFound,
    Run,
    RunEnded,
    RunFailed,
    RunRejected,
    Workspace,
)
from runfold._run_children import BATCH_NUMBER_TAG
from runfold.exceptions import ActivityFailedException, ServiceException, UserErrorException
from runfold_events.contract.limits import CHILDREN_PER_REQUEST_MAX
from runfold_events.contract.statuses import TERMINAL, Status

UUID_TEXT = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")


def ids(runs: Any) -> list[str]:
    return [run.id for run in runs]


# ── workspace ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parity("WS-04")
def test_experiments_of_a_workspace_by_name_active_only(workspace: Workspace) -> None:
    assert workspace.experiments == {}
    for name in ("first", "second", "third"):
        Experiment(workspace, name)
    Experiment(workspace, "second").archive()

    assert set(workspace.experiments) == {"first", "third"}
    assert workspace.experiments["first"].workspace is workspace


@pytest.mark.parity("WS-05")
def test_a_run_of_any_experiment(workspace: Workspace, experiment: Experiment) -> None:
    run = experiment.start_logging()
    other = Experiment(workspace, "other").start_logging()

    assert workspace.get_run(run.id).experiment.name == "explore-runs"
    assert Run.get(workspace, other.id).experiment.name == "other"
    with pytest.raises(ServiceException, match="no run 'missing'"):
        workspace.get_run("missing")
    with pytest.raises(NotFound):
        Run.get(workspace, "missing")


def test_details_of_a_workspace(workspace: Workspace) -> None:
    details = workspace.get_details()

    assert details["name"] == workspace.name
    assert details["location"] == workspace.location
    assert repr(workspace).startswith(f"Workspace(Name: {workspace.name}")


# ── experiment ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parity("EX-01")
def test_an_experiment_is_gotten_or_created(workspace: Workspace) -> None:
    first, second = Experiment(workspace, "e"), Experiment(workspace, "e")

    assert first.id == second.id
    assert UUID_TEXT.match(first.id)
    assert list(workspace.experiments) == ["e"]
    assert repr(first) == f"Experiment(Name: e,\nWorkspace: {workspace.name})"
    assert first.workspace_object is first.workspace is workspace


@pytest.mark.parity("EX-02")
@pytest.mark.parametrize("name", ["", "a b", "a.b", "-a", "_a", "a" * 256, "a\n", "é", "a/b", "a\x00"])
def test_a_name_that_cannot_be(workspace: Workspace, name: str) -> None:
    with pytest.raises(UserErrorException, match="Experiment name must be between 1 and 255 characters long"):
        Experiment(workspace, name)
    assert workspace.experiments == {}


@pytest.mark.parity("EX-02")
@pytest.mark.parametrize("name", ["a", "0", "a" * 255, "a-b_c", "Aé"])
def test_a_name_that_can_be(workspace: Workspace, name: str) -> None:
    Experiment(workspace, name)
    assert list(workspace.experiments) == [name]


@pytest.mark.parity("EX-03")
def test_start_logging_gives_a_running_run(experiment: Experiment) -> None:
    run = experiment.start_logging()

    assert run.status == "NotStarted"
    assert run.get_status() == "Running"
    assert UUID_TEXT.match(run.id)
    assert run.get_details()["target"] == "local"


@pytest.mark.parity("EX-04")
def test_start_logging_takes_azures_options(experiment: Experiment) -> None:
    run = experiment.start_logging(
        run_id="my-run_1.0",
        name="a name",
        display_name="For people",
        description="What it is about",
        tags={"k": "v", "bare": None, "number": 1},
        properties={"p": 2},
        outputs=False,
        snapshot_directory=None,
    )
    again = Run(experiment, "my-run_1.0")

    assert (again.id, again.name) == ("my-run_1.0", "a name")
    assert (run.display_name, run.description) == ("For people", "What it is about")
    assert run.tags == again.tags == {"k": "v", "bare": None, "number": "1"}
    assert run.properties == again.properties == {"p": "2"}


@pytest.mark.parity("EX-04")
def test_start_logging_refuses_what_it_does_not_know_or_cannot_do(experiment: Experiment) -> None:
    with pytest.raises(TypeError):
        experiment.start_logging(colour="red")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    for asked in ({"outputs": "./out"}, {"outputs": True}, {"snapshot_directory": "."}):
        with pytest.raises(Invalid, match=next(iter(asked))):
            experiment.start_logging(**asked)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    for run_id in ("", "a/b", "a b", "é", "a" * 257, "..", "a\n"):
        with pytest.raises(Invalid):
            experiment.start_logging(run_id=run_id)
    assert list(experiment.get_runs()) == []


def test_the_same_id_and_content_is_the_same_run_and_other_content_is_a_conflict(
    experiment: Experiment,
) -> None:
    experiment.start_logging(run_id="x", tags={"k": "v"})
    again = experiment.start_logging(run_id="x", tags={"k": "v"})
    with pytest.raises(Conflict, match="exists with other content: tags"):
        experiment.start_logging(run_id="x", tags={"k": "w"})

    again.log("loss", 1.0)
    assert ids(experiment.get_runs()) == ["x"]
    assert again.get_metrics() == {"loss": 1.0}


def test_resume_opens_a_run_that_has_not_ended(experiment: Experiment) -> None:
    first = experiment.start_logging(run_id="x", tags={"k": "v"})
    resumed = experiment.start_logging(run_id="x", resume=True)
    resumed.log("loss", 1.0)
    fresh = experiment.start_logging(run_id="y", resume=True)

    assert resumed.get_tags() == {"k": "v"}
    assert fresh.get_status() == "Running"
    first.complete()
    with pytest.raises(RunEnded):
        experiment.start_logging(run_id="x", resume=True)
    first.tag("still", "reachable")
    assert first.get_tags() == {"k": "v", "still": "reachable"}


@pytest.mark.parity("EX-06")
def test_get_runs_is_lazy_newest_first_and_roots_only(experiment: Experiment) -> None:
    runs = [experiment.start_logging() for _ in range(3)]
    runs[0].child_run()
    found = experiment.get_runs()

    assert isinstance(found, types.GeneratorType)
    assert ids(found) == ids(reversed(runs))
    assert ids(experiment.get_runs(include_children=True))[1:] == ids(reversed(runs))


def test_get_runs_goes_on_over_pages(experiment: Experiment) -> None:
    parent = experiment.start_logging()
    children = parent.create_children(count=120)

    assert len(ids(parent.get_children())) == len(set(ids(parent.get_children()))) == 120
    assert set(ids(parent.get_children())) == set(ids(children))
    assert len(list(experiment.query(include_children=True, limit=75))) == 75


@pytest.fixture
def labelled(experiment: Experiment) -> dict[str, Run]:
    """Runs with tags and properties to be found by."""
    return {
        "great": experiment.start_logging(
            tags={"quality": "great run"}, properties={"author": "azureml-user"}
        ),
        "fantastic": experiment.start_logging(
            tags={"quality": "fantastic run", "worth another look": None},
            properties={"author": "azureml-user", "n": 1},
        ),
        "other": experiment.start_logging(tags={"quality": None, "n": 1}, properties={"author": "different"}),
    }


@pytest.mark.parity("EX-07")
@pytest.mark.parity("EX-08")
@pytest.mark.parity("EX-09")
@pytest.mark.parity("EX-10")
@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"properties": {"author": "azureml-user"}}, {"great", "fantastic"}),
        ({"properties": {"author": "azureml-user", "n": "1"}}, {"fantastic"}),
        ({"properties": {"author": "azureml-user", "n": 1}}, {"fantastic"}),
        ({"properties": "n"}, {"fantastic"}),
        ({"tags": {"quality": "great run"}}, {"great"}),
        ({"tags": {"quality": "fantastic run", "worth another look": None}}, {"fantastic"}),
        ({"tags": {"quality": None}}, {"other"}),
        ({"tags": {"n": 1}}, {"other"}),
        ({"tags": {"n": "1"}}, {"other"}),
        ({"tags": "quality"}, {"great", "fantastic", "other"}),
        ({"tags": "worth another look"}, {"fantastic"}),
        ({"tags": "nobody has it"}, set()),
        ({"tags": {}}, {"great", "fantastic", "other"}),
        ({"tags": "quality", "properties": {"author": "different"}}, {"other"}),
        ({"tags": {"quality": "great run"}, "properties": {"author": "different"}}, set()),
        ({"tags": {'"; drop table runs; --': "x' or 1=1"}}, set()),
    ],
)
def test_filters(
    experiment: Experiment, labelled: dict[str, Run], filters: dict[str, Any], expected: set[str]
) -> None:
    parent = experiment.start_logging(name="parent of copies")
    found = [run for run in experiment.get_runs(**filters) if run.id != parent.id]

    assert {name for name, run in labelled.items() if run.id in ids(found)} == expected
    assert len(found) == len(expected)
    assert list(parent.get_children(**filters)) == []
    assert ids(Run.list(experiment, **filters)) == ids(experiment.get_runs(**filters))


@pytest.mark.parity("EX-11")
def test_get_runs_by_type(workspace: Workspace, experiment: Experiment) -> None:
    run = experiment.start_logging()

    assert list(experiment.get_runs(type="azureml.scriptrun")) == []
    assert list(experiment.get_runs(type="azureml.scriptrun", include_children=True)) == []
    assert ids(experiment.get_runs(type=None)) == [run.id]


@pytest.mark.parity("EX-12")
def test_list_archive_reactivate(workspace: Workspace) -> None:
    first, second = Experiment(workspace, "first"), Experiment(workspace, "second")
    first.tag("k", "v")
    second.archive()

    def names(**arguments: Any) -> list[str]:
        return sorted(experiment.name for experiment in Experiment.list(workspace, **arguments))

    assert names() == ["first"]
    assert names(view_type="ArchivedOnly") == ["second"]
    assert names(view_type="All") == ["first", "second"]
    assert names(view_type="All", experiment_name="second") == ["second"]
    assert names(tags={"k": "v"}) == names(tags="k") == ["first"]
    assert names(tags={"k": "w"}) == []
    with pytest.raises(Invalid, match="view_type"):
        Experiment.list(workspace, view_type="Some")
    with pytest.raises(UserErrorException, match="Cannot rename an experiment"):
        second.reactivate(new_name="third")
    second.reactivate()
    second.refresh()
    assert not second.archived
    assert names() == ["first", "second"]


@pytest.mark.parity("EX-13")
def test_an_experiments_tags_are_merged_and_seen_after_refresh(experiment: Experiment) -> None:
    assert experiment.tags == {}
    experiment.tag("k", "v")
    experiment.set_tags({"bare": None, "n": 1})

    assert experiment.tags == {}
    experiment.refresh()
    assert experiment.tags == {"k": "v", "bare": None, "n": "1"}
    experiment.remove_tags(["k", "unknown"])
    experiment.refresh()
    assert experiment.tags == {"bare": None, "n": "1"}
    experiment.description = "what it is for"
    assert experiment.description == "what it is for"


@pytest.mark.parity("EX-14")
@pytest.mark.parametrize("filters", [["k"], 1, {"k"}])
def test_a_filter_of_a_wrong_type_is_an_error_at_the_call(experiment: Experiment, filters: Any) -> None:
    run = experiment.start_logging()
    calls: list[Callable[..., object]] = [experiment.get_runs, run.get_children]
    for call in calls:
        for what in ("tags", "properties"):
            with pytest.raises(ValueError, match=f"Unknown filter type for run {what}: <class "):
                call(**{what: filters})
    with pytest.raises(Invalid, match="no status 'running'"):
        run.get_children(status="running")


# ── identity ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parity("RN-01")
def test_what_a_run_is_called(experiment: Experiment) -> None:
    first, second = experiment.start_logging(), experiment.start_logging(name="called so")

    assert first.name == f"run_{first.id}"
    assert second.name == "called so"
    assert first.type is None
    assert first.experiment.name == "explore-runs"
    assert isinstance(first.number, int)
    assert 0 < first.number < second.number
    assert first.get_portal_url() == first.portal_url
    assert first.portal_url.endswith(f"/runs/{first.id}")
    assert experiment.portal_url.endswith("/experiments/explore-runs")


@pytest.mark.parity("RN-02")
def test_a_handle_on_a_run_that_is_there(workspace: Workspace, experiment: Experiment) -> None:
    run = experiment.start_logging(tags={"k": "v"})
    run.log("loss", 0.5)
    run.complete()
    again = Run(experiment, run.id)

    assert (again.id, again.number, again.name, again.tags) == (run.id, run.number, run.name, {"k": "v"})
    assert again.status == again.get_status() == "Completed"
    assert again.get_metrics() == {"loss": 0.5}
    for experiment_, run_id in ((experiment, "missing"), (Experiment(workspace, "other"), run.id)):
        with pytest.raises(ServiceException, match="no run"):
            Run(experiment_, run_id)


@pytest.mark.parity("RN-03")
def test_repr_has_four_lines(experiment: Experiment) -> None:
    run = experiment.start_logging()
    run.get_status()

    assert repr(run) == f"Run(Experiment: explore-runs,\nId: {run.id},\nType: None,\nStatus: Running)"


@pytest.mark.parity("RN-04")
def test_display_name_and_description_can_be_set(experiment: Experiment) -> None:
    run = experiment.start_logging()
    assert (run.display_name, run.description) == (None, None)
    run.display_name = "Nice"
    run.description = "Text"

    again = Run(experiment, run.id)
    assert (run.display_name, run.description) == (again.display_name, again.description) == ("Nice", "Text")
    run.display_name = None
    assert again.display_name is None
    with pytest.raises(Invalid):
        run.description = "x" * 20_001


@pytest.mark.parity("RN-05")
def test_runs_by_status(experiment: Experiment) -> None:
    running, completed = experiment.start_logging(), experiment.start_logging()
    completed.complete()

    assert ids(Run.list(experiment, status="Running")) == [running.id]
    assert ids(Run.list(experiment, status="Completed")) == [completed.id]
    assert list(Run.list(experiment, status="Failed")) == []
    with pytest.raises(Invalid, match="no status"):
        Run.list(experiment, status="completed")


# ── status ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parity("ST-01")
@pytest.mark.parity("ST-02")
def test_fifteen_statuses_three_of_them_final() -> None:
    assert len(Status) == 15
    assert {str(status) for status in TERMINAL} == {"Completed", "Failed", "Canceled"}


@pytest.mark.parity("ST-03")
def test_get_status_is_read_anew_until_it_is_final(experiment: Experiment) -> None:
    run = experiment.start_logging()
    other = Run(experiment, run.id)

    assert other.get_status() == "Running"
    run.complete()
    assert other.status == "Running"
    assert other.get_status() == other.status == "Completed"
    assert type(other.get_status()) is str


@pytest.mark.parity("ST-04")
def test_detailed_status(experiment: Experiment) -> None:
    assert experiment.start_logging().get_detailed_status() == {"status": "Running", "details": None}


@pytest.mark.parity("ST-05")
def test_details_have_azures_keys(experiment: Experiment) -> None:
    run = experiment.start_logging(properties={"p": "v"})
    details = run.get_details()

    assert list(details) == [
        "runId",
        "target",
        "status",
        "startTimeUtc",
        "properties",
        "inputDatasets",
        "outputDatasets",
        "logFiles",
        "submittedBy",
    ]
    assert details["properties"] == {"p": "v"}
    assert details["logFiles"] == {}
    assert details["submittedBy"]
    run.complete()
    ended = run.get_details()
    assert set(ended) - set(details) == {"endTimeUtc"}
    started, stopped = (datetime.fromisoformat(ended[key]) for key in ("startTimeUtc", "endTimeUtc"))
    assert started <= stopped


@pytest.mark.parity("ST-07")
def test_wait_for_completion(experiment: Experiment) -> None:
    completed, canceled, failed = (experiment.start_logging() for _ in range(3))
    completed.complete()
    canceled.cancel()
    failed.fail("out of memory")

    assert completed.wait_for_completion() == completed.get_details()
    assert canceled.wait_for_completion()["status"] == "Canceled"
    with pytest.raises(ActivityFailedException, match="Activity Failed:\n") as caught:
        failed.wait_for_completion()
    assert isinstance(caught.value, RunFailed)
    assert caught.value.facts["error"]["error"]["message"] == "out of memory"


@pytest.mark.parity("ST-08")
def test_wait_shows_a_header_and_a_summary(
    experiment: Experiment, capsys: pytest.CaptureFixture[str]
) -> None:
    run = experiment.start_logging()
    run.complete()
    run.wait_for_completion(show_output=True)
    shown = capsys.readouterr().out

    assert shown.startswith(f"RunId: {run.id}\nWeb View: {run.portal_url}\n")
    assert f"Execution Summary\n=================\nRunId: {run.id}\nWeb View: {run.portal_url}\n" in shown


@pytest.mark.parity("ST-09")
def test_wait_options(experiment: Experiment) -> None:
    failed, bare = experiment.start_logging(), experiment.start_logging()
    failed.fail("no")
    bare.fail()

    details = failed.wait_for_completion(raise_on_error=False, wait_post_processing=True)
    assert details["error"] == {"error": {"code": "UserError", "message": "no"}}
    with pytest.raises(RunFailed, match="Detailed error not set on the Run"):
        bare.wait_for_completion()


# ── lifecycle ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parity("LC-01")
def test_complete(experiment: Experiment) -> None:
    run = experiment.start_logging()
    run.log("loss", 1.0)
    assert run.complete() is None
    assert run.get_status() == "Completed"
    assert Run(experiment, run.id).get_metrics() == {"loss": 1.0}

    left_running = experiment.start_logging()
    left_running.complete(_set_status=False)
    assert left_running.get_status() == "Running"


def _raised(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as caught:
        return caught


@pytest.mark.parity("LC-02")
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), {"code": "UserError"}),
        (("out of memory",), {"code": "UserError", "message": "out of memory"}),
        (("out of memory", "OOM"), {"code": "OOM", "message": "out of memory"}),
        (
            (_raised(ValueError("boom")),),
            {"code": "UserError", "message": "User program failed with ValueError: boom"},
        ),
    ],
)
def test_fail(experiment: Experiment, arguments: tuple[Any, ...], expected: dict[str, str]) -> None:
    run = experiment.start_logging()
    run.fail(*arguments)
    error = run.get_details()["error"]["error"]
    debug = error.pop("debugInfo", None)

    assert run.get_status() == "Failed"
    assert error == expected
    assert (debug is not None) == (bool(arguments) and isinstance(arguments[0], BaseException))
    if debug is not None:
        assert debug["type"] == "ValueError"
        assert "test_parity_runs.py" in debug["stackTrace"]


@pytest.mark.parity("LC-02")
def test_fail_with_what_no_store_can_hold(experiment: Experiment) -> None:
    class Silent(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    messages: list[str | BaseException] = ["\x00\ud800", "x" * 100_000, Silent()]
    for message in messages:
        run = experiment.start_logging()
        run.fail(message)
        assert run.get_details()["error"]["error"]["message"]


@pytest.mark.parity("LC-03")
def test_fail_with_a_wrong_type_sends_nothing(experiment: Experiment) -> None:
    run = experiment.start_logging()
    with pytest.raises(TypeError, match=r"error_details must be instance of string or BaseException\."):
        run.fail(404)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert run.get_status() == "Running"


@pytest.mark.parity("LC-04")
def test_cancel(experiment: Experiment) -> None:
    run = experiment.start_logging()
    run.cancel()

    assert run.get_status() == "Canceled"
    assert [entry.type for entry in run.history()][-1] == "run.canceled"


@pytest.mark.parity("LC-07")
def test_the_first_end_stands(experiment: Experiment) -> None:
    run = experiment.start_logging()
    run.complete()
    run.complete()
    for end in (run.fail, run.cancel):
        with pytest.raises(RunEnded) as caught:
            end()
        assert caught.value.facts["status"] == "Completed"
    with pytest.raises(RunRejected):
        run.start()

    assert run.get_status() == "Completed"
    assert [entry.type for entry in run.history()].count("run.completed") == 1
    assert [entry.type for entry in run.history()].count("run.command_rejected") == 3


@pytest.mark.parity("LC-08")
def test_with_completes(experiment: Experiment) -> None:
    with experiment.start_logging() as run:
        assert isinstance(run, Run)
        assert run.get_status() == "Running"
    assert run.get_status() == "Completed"


@pytest.mark.parity("LC-09")
def test_with_an_exception_fails_and_raises_it(experiment: Experiment) -> None:
    boom = ValueError("boom")
    with pytest.raises(ValueError, match="boom") as caught, experiment.start_logging() as run:
        raise boom

    assert caught.value is boom
    assert run.get_status() == "Failed"
    error = run.get_details()["error"]["error"]
    assert error["message"] == "User program failed with ValueError: boom"


@pytest.mark.parity("LC-10")
@pytest.mark.parametrize(
    ("ending", "status"),
    [
        (KeyboardInterrupt(), "Failed"),
        (SystemExit(1), "Failed"),
        (SystemExit("message"), "Failed"),
        (SystemExit(0), "Completed"),
        (SystemExit(), "Completed"),
        (GeneratorExit(), "Failed"),
    ],
    ids=repr,
)
def test_with_what_is_no_exception(experiment: Experiment, ending: BaseException, status: str) -> None:
    with pytest.raises(type(ending)) as caught, experiment.start_logging() as run:
        raise ending

    assert caught.value is ending
    assert run.get_status() == status


@pytest.mark.parity("LC-11")
@pytest.mark.parametrize(
    ("end", "status"), [("complete", "Completed"), ("fail", "Failed"), ("cancel", "Canceled")]
)
@pytest.mark.parametrize("raises", [False, True])
def test_an_end_inside_with_stands(experiment: Experiment, end: str, status: str, raises: bool) -> None:
    try:
        with experiment.start_logging() as run:
            getattr(run, end)()
            if raises:
                raise ZeroDivisionError
    except ZeroDivisionError:
        assert raises

    assert run.get_status() == status
    assert "run.command_rejected" not in [entry.type for entry in run.history()]


def test_with_may_be_entered_again_and_nested(experiment: Experiment) -> None:
    with experiment.start_logging() as run, run:
        pass
    with run:
        run.log("late", 1)

    assert run.get_status() == "Completed"
    assert run.get_metrics() == {"late": 1}


def test_an_end_that_is_refused_does_not_hide_the_blocks_own_exception(
    experiment: Experiment, caplog: pytest.LogCaptureFixture
) -> None:
    run = experiment.start_logging()
    elsewhere = run_in_another_connection(run)
    with pytest.raises(ZeroDivisionError), run:
        elsewhere.complete()
        raise ZeroDivisionError
    assert "was not recorded" in caplog.text
    assert run.get_status() == "Completed"

    other = experiment.start_logging()
    with pytest.raises(RunEnded), other:
        run_in_another_connection(other).fail()


def run_in_another_connection(run: Run) -> Run:
    """The same run as another process would see it."""
    from runfold import _process
    from runfold._connection import Connection

    connection: Connection = run._connection  # pyright: ignore[reportPrivateUsage]
    other = _process.register(Connection(connection._open_transport))  # pyright: ignore[reportPrivateUsage]
    workspace = Workspace._over(other, run.experiment.workspace.name)  # pyright: ignore[reportPrivateUsage]
    return workspace.get_run(run.id)


@pytest.mark.parity("LC-12")
def test_start_and_flush(experiment: Experiment) -> None:
    run = experiment.start_logging()
    run.start()
    run.log("loss", 1.0)
    assert run.flush() is None
    assert run_in_another_connection(run).get_metrics() == {"loss": 1.0}


def test_a_cancel_from_another_process_reaches_the_holder(experiment: Experiment) -> None:
    """The other one asks and waits; the holder hears of it with a heartbeat and its block ends as Canceled."""
    import threading

    run = experiment.start_logging()
    elsewhere = run_in_another_connection(run)
    asking = threading.Thread(target=elsewhere.cancel)
    with run:
        asking.start()
        while elsewhere.get_status() == "Running":
            pass
        assert run.get_status() == "CancelRequested"
        run._connection.leases._due_at = 0.0  # pyright: ignore[reportPrivateUsage]  # not to wait for 5 s
        run.tag("wake", "up")
        assert run.cancel_requested
    asking.join(10)

    assert not asking.is_alive()
    assert elsewhere.get_status() == "Canceled"


def test_a_cancel_may_interrupt_the_main_thread(experiment: Experiment) -> None:
    import time

    run = experiment.start_logging(interrupt_on_cancel=True)
    elsewhere = run_in_another_connection(run)
    elsewhere._call(_request_cancel(run))  # pyright: ignore[reportPrivateUsage]
    with pytest.raises(KeyboardInterrupt), run:
        run._connection.leases._due_at = 0.0  # pyright: ignore[reportPrivateUsage]  # not to wait for 5 s
        run.tag("wake", "up")
        time.sleep(30)

    assert run.get_status() == "Canceled"


def _request_cancel(run: Run) -> Any:
    from runfold_events.contract.commands import RequestCancel

    return RequestCancel(run_id=run.id)


# ── children ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parity("CH-01")
def test_child_runs(experiment: Experiment) -> None:
    with experiment.start_logging() as parent:
        with parent.child_run() as child:
            assert child.get_status() == "Running"
        named = parent.child_run(name="alpha0.1", run_id="my-child")

    assert child.name == f"{parent.name}>"
    assert (named.id, named.name) == ("my-child", f"{parent.name}>alpha0.1")
    assert Run(experiment, "my-child").child_run("x").name == f"{parent.name}>alpha0.1>x"
    assert parent.get_status() == child.get_status() == "Completed"
    assert named.get_status() == "Running"


@pytest.mark.parity("CH-02")
def test_create_children_by_count(experiment: Experiment) -> None:
    parent = experiment.start_logging()
    children = parent.create_children(count=5)

    assert isinstance(children, list)
    assert [child.tags for child in children] == [{BATCH_NUMBER_TAG: str(n)} for n in range(5)]
    assert {child.status for child in children} == {"NotStarted"}
    assert {child.get_status() for child in children} == {"Running"}
    assert [child.name for child in children] == [None] * 5
    assert [child.parent.id for child in children if child.parent] == [parent.id] * 5
    assert parent.create_children(count=0) == parent.create_children(count=-1) == []
    assert len({child.number for child in children}) == 5


@pytest.mark.parity("CH-03")
def test_create_children_by_tag_values(experiment: Experiment) -> None:
    parent = experiment.start_logging()
    children = parent.create_children(tag_key="lr", tag_values=[0.1, "big", None])

    assert [child.get_tags() for child in children] == [{"lr": "0.1"}, {"lr": "big"}, {"lr": None}]
    assert parent.create_children(tag_key="lr", tag_values=[]) == []


@pytest.mark.parity("CH-04")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "Either count or tag_key and tag_values must be set"),
        ({"count": 1, "tag_key": "k"}, "count can not be set when tag_key and tag_values are set"),
        ({"count": 1, "tag_values": ["v"]}, "count can not be set when tag_key and tag_values are set"),
        ({"tag_key": "k"}, "tag_values must not be null when tag_key is set"),
        ({"tag_values": ["v"]}, "tag_key must not be null when tag_values is set"),
        (
            {"count": CHILDREN_PER_REQUEST_MAX + 1},
            f"create_children can not create more than {CHILDREN_PER_REQUEST_MAX} runs",
        ),
        ({"count": "five"}, "count must be a whole number"),
    ],
)
def test_create_children_errors(experiment: Experiment, arguments: dict[str, Any], message: str) -> None:
    parent = experiment.start_logging()
    with pytest.raises(UserErrorException, match=message):
        parent.create_children(**arguments)
    assert list(parent.get_children()) == []


@pytest.mark.parity("CH-06")
@pytest.mark.parity("CH-07")
@pytest.mark.parity("CH-09")
@pytest.mark.parity("CH-11")
def test_a_tree_of_runs(experiment: Experiment) -> None:
    root = experiment.start_logging()
    child, sibling = root.child_run(), root.child_run()
    grandchild = child.child_run()
    again = Run(experiment, grandchild.id)

    assert isinstance(root.get_children(), types.GeneratorType)
    assert ids(root.get_children()) == [sibling.id, child.id]
    assert set(ids(root.get_children(recursive=True))) == {child.id, sibling.id, grandchild.id}
    assert ids(child.get_children(recursive=True)) == [grandchild.id]
    assert list(sibling.get_children()) == []
    assert root.parent is None
    assert again.parent is not None
    assert again.parent.id == child.id
    assert again.parent.parent is not None
    assert again.parent.parent.id == root.id
    assert Run(experiment, root.id).parent is None
    assert again.summary().root_run_id == root.id
    assert again.summary().path == (root.id, child.id, grandchild.id)


@pytest.mark.parity("CH-08")
def test_children_by_filter(experiment: Experiment) -> None:
    parent = experiment.start_logging()
    one, two, three = parent.create_children(tag_key="n", tag_values=[1, 2, None])
    two.add_properties({"author": "me"})
    two.complete()

    def found(**filters: Any) -> set[str]:
        direct = set(ids(parent.get_children(**filters)))
        assert set(ids(parent.get_children(recursive=True, **filters))) == direct
        return direct

    assert found() == {one.id, two.id, three.id}
    assert found(tags="n") == {one.id, two.id, three.id}
    assert found(tags={"n": 1}) == found(tags={"n": "1"}) == {one.id}
    assert found(tags={"n": None}) == {three.id}
    assert found(properties={"author": "me"}) == {two.id}
    assert found(status="Running") == {one.id, three.id}
    assert found(status="Completed", tags="n", properties="author") == {two.id}
    assert found(type="azureml.scriptrun") == set()


@pytest.mark.parity("CH-10")
def test_statuses_of_parent_and_child_are_independent(experiment: Experiment) -> None:
    with experiment.start_logging() as parent:
        failed = parent.child_run()
        failed.fail("no")
        running = parent.child_run()
    late = parent.child_run()

    assert parent.get_status() == "Completed"
    assert (failed.get_status(), running.get_status(), late.get_status()) == ("Failed", "Running", "Running")
    counts = parent.child_counts()
    assert counts.direct == {Status.FAILED: 1, Status.RUNNING: 2}


# ── signatures ────────────────────────────────────────────────────────────────────────────────────────────


# As `inspect` shows them for azureml-core 1.61; ours may add keyword-only arguments.
AZURE_SIGNATURES = {
    Run: {
        "add_properties": "(self, properties)",
        "cancel": "(self)",
        "child_run": "(self, name=None, run_id=None, outputs=None)",
        "complete": "(self, _set_status=True)",
        "create_children": "(self, count=None, tag_key=None, tag_values=None)",
        "fail": "(self, error_details=None, error_code=None, _set_status=True)",
        "flush": "(self, timeout_seconds=300)",
        "get": "(workspace, run_id)",
        "get_children": (
            "(self, recursive=False, tags=None, properties=None, type=None, status=None, _rehydrate_runs=True)"
        ),
        "get_detailed_status": "(self)",
        "get_details": "(self)",
        "get_metrics": "(self, name=None, recursive=False, run_type=None, populate=False)",
        "get_portal_url": "(self)",
        "get_properties": "(self)",
        "get_status": "(self)",
        "get_tags": "(self)",
        "list": (
            "(experiment, type=None, tags=None, properties=None, status=None, include_children=False, "
            "_rehydrate_runs=True)"
        ),
        "log": "(self, name, value, description='', step=None)",
        "log_list": "(self, name, value, description='')",
        "log_row": "(self, name, description=None, **kwargs)",
        "log_table": "(self, name, value, description='')",
        "remove_tags": "(self, tags)",
        "set_tags": "(self, tags)",
        "start": "(self)",
        "tag": "(self, key, value=None)",
        "wait_for_completion": "(self, show_output=False, wait_post_processing=False, raise_on_error=True)",
    },
    Experiment: {
        "archive": "(self)",
        "get_portal_url": "(self)",
        "get_runs": "(self, type=None, tags=None, properties=None, include_children=False)",
        "list": "(workspace, experiment_name=None, view_type='ActiveOnly', tags=None)",
        "reactivate": "(self, new_name=None)",
        "refresh": "(self)",
        "remove_tags": "(self, tags)",
        "set_tags": "(self, tags)",
        "tag": "(self, key, value=None)",
    },
    Workspace: {
        "from_config": "(path=None, auth=None, _logger=None, _file_name=None)",
        "get_details": "(self)",
        "get_run": "(self, run_id)",
        "write_config": "(self, path=None, file_name=None)",
    },
}


@pytest.mark.parametrize(
    ("owner", "name", "expected"),
    [(owner, name, text) for owner, calls in AZURE_SIGNATURES.items() for name, text in calls.items()],
)
def test_signatures_are_azures(owner: type, name: str, expected: str) -> None:
    signature = inspect.signature(getattr(owner, name))
    bare = [
        parameter.replace(annotation=inspect.Parameter.empty)
        for parameter in signature.parameters.values()
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY
    ]
    shown = inspect.Signature(bare)

    assert str(shown) == expected


def test_nothing_of_a_later_version_is_there_yet() -> None:
    """An attribute that does nothing would be worse than none."""
    for name in (
        "upload_file",
        "log_image",
        "submit_child",
        "get_context",
        "take_snapshot",
        "register_model",
    ):
        assert not hasattr(Run, name)
    assert not hasattr(Experiment, "submit")
    assert "runfold.submit" not in sys.modules
