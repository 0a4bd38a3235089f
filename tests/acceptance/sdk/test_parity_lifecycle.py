"""Rows of the parity table: how runs end. Over both transports."""

from __future__ import annotations

import re
import threading
import time
from typing import Any

import pytest

from runfold import (
    Experiment,
    Run,
    RunEnded,
    RunRejected,
)
from tests.support.sdk_handles import ask_to_cancel, in_another_process, next_heartbeat_now

UUID_TEXT = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")


# ── lifecycle ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parity("LC-01")
def test_complete(experiment: Experiment) -> None:
    run = experiment.start_logging()
    run.log("loss", 1.0)
    run.complete()
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
        assert "test_parity_lifecycle.py" in debug["stackTrace"]


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
    run = experiment.start_logging()

    def work() -> None:
        with run:
            getattr(run, end)()
            if raises:
                raise ZeroDivisionError

    if raises:
        with pytest.raises(ZeroDivisionError):
            work()
    else:
        work()

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
    elsewhere = in_another_process(run)

    def end_elsewhere_and_fail() -> None:
        with run:
            elsewhere.complete()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        end_elsewhere_and_fail()
    assert "was not recorded" in caplog.text
    assert run.get_status() == "Completed"

    other = experiment.start_logging()
    with pytest.raises(RunEnded), other:
        in_another_process(other).fail()


@pytest.mark.parity("LC-12")
def test_start_and_flush(experiment: Experiment) -> None:
    run = experiment.start_logging()
    run.start()
    run.log("loss", 1.0)
    run.flush()
    assert in_another_process(run).get_metrics() == {"loss": 1.0}


def test_a_cancel_from_another_process_reaches_the_holder(experiment: Experiment) -> None:
    """The other one asks and waits; the holder hears of it with a heartbeat and its block ends as Canceled."""
    run = experiment.start_logging()
    elsewhere = in_another_process(run)
    asking = threading.Thread(target=elsewhere.cancel)
    with run:
        asking.start()
        while elsewhere.get_status() == "Running":
            pass
        assert run.get_status() == "CancelRequested"
        next_heartbeat_now(run)
        while not run.cancel_requested:
            time.sleep(0.005)
    asking.join(10)

    assert not asking.is_alive()
    assert elsewhere.get_status() == "Canceled"


def test_a_cancel_may_interrupt_the_main_thread(experiment: Experiment) -> None:
    run = experiment.start_logging(interrupt_on_cancel=True)
    elsewhere = in_another_process(run)
    ask_to_cancel(elsewhere)

    def sleep_in_the_run() -> None:
        with run:
            next_heartbeat_now(run)
            time.sleep(30)

    with pytest.raises(KeyboardInterrupt):
        sleep_in_the_run()

    assert run.get_status() == "Canceled"


def test_a_cancel_may_cascade(experiment: Experiment) -> None:
    """Explicit commands, one for each run below that has not ended, with one correlation id."""
    parent = experiment.start_logging()
    child, ended = parent.child_run(), parent.child_run()
    grandchild = child.child_run()
    ended.complete()
    parent.cancel(reason="enough", cascade=True)

    assert [run.get_status() for run in (parent, child, grandchild)] == ["Canceled"] * 3
    assert ended.get_status() == "Completed"
    assert parent.summary().cancel_reason == "enough"
    with pytest.raises(RunEnded):
        ended.cancel(cascade=True)


def test_a_plain_cancel_leaves_children_alone(experiment: Experiment) -> None:
    parent = experiment.start_logging()
    child = parent.child_run()
    parent.cancel()

    assert child.get_status() == "Running"
