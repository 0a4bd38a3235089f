"""Rows of the parity table: what a run is called and how it stands. Over both transports."""

from __future__ import annotations

import re
from datetime import datetime

import pytest

from runfold import (
    Experiment,
    Invalid,
    Run,
    RunFailed,
    Workspace,
)
from runfold.exceptions import ActivityFailedException, ServiceException
from runfold_events.contract.statuses import TERMINAL, Status
from tests.support.sdk_handles import ids

UUID_TEXT = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")


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
