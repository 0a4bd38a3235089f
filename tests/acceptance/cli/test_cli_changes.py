"""Changing runs from a terminal, over both transports."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
import time

import pytest

from runfold import Experiment, Run, Workspace
from tests.support.command_line import Cli


@pytest.fixture
def experiment(fresh: Workspace) -> Experiment:
    return Experiment(fresh, "changes")


def test_tags_are_added_changed_and_removed(fresh_cli: Cli, experiment: Experiment) -> None:
    with experiment.start_logging(tags={"old": "1", "gone": "x"}) as run:
        pass

    tags = fresh_cli(
        "run", "tag", run.id, "old=2", "quality=fantastic run", "reviewed", "empty=", "--remove", "gone"
    ).json

    assert tags == {"old": "2", "quality": "fantastic run", "reviewed": None, "empty": ""}
    assert Run(experiment, run.id).get_tags() == tags
    assert fresh_cli("run", "tag", "-r", run.id, "a=b=c").json["a"] == "b=c"
    assert fresh_cli("run", "tag", run.id, "--remove", "never-there").json["a"] == "b=c"


@pytest.mark.parity("CL-06")
def test_cancel_as_azure_writes_it(fresh_cli: Cli, experiment: Experiment) -> None:
    """-w and -e are accepted; the run must be in that experiment."""
    with experiment.start_logging() as run:
        fresh_cli.apart("run", "cancel", "-r", run.id, "-e", "another", expect=3)
        assert run.get_status() == "Running"
        stopper = threading.Thread(target=_end_when_asked, args=(run,))
        stopper.start()
        answer = fresh_cli.apart("run", "cancel", "-r", run.id, "-e", experiment.name).json
        stopper.join()

    assert answer["status"] == "Canceled"
    assert answer["run_id"] == run.id


def _end_when_asked(run: Run) -> None:
    deadline = time.monotonic() + 30
    while run.get_status() != "CancelRequested" and time.monotonic() < deadline:
        time.sleep(0.02)
    run.cancel()


def test_cancel_of_a_run_that_nobody_holds_ends_it_at_once(fresh_cli: Cli, experiment: Experiment) -> None:
    run = abandoned(experiment)
    began = time.monotonic()

    answer = fresh_cli("run", "cancel", run, "--reason", "worker is gone").json

    assert time.monotonic() - began < 5
    assert (answer["status"], answer["cancel_reason"]) == ("Canceled", "worker is gone")
    assert "worker is gone" in fresh_cli("run", "history", run, "-o", "table").out


def test_cancel_of_an_ended_run_is_refused_and_says_where_to_look(
    fresh_cli: Cli, experiment: Experiment
) -> None:
    with experiment.start_logging() as run:
        pass

    said = fresh_cli("run", "cancel", run.id, expect=1)

    assert said.out == ""
    assert "is Completed since event" in said.err
    assert f"runfold run history {run.id}" in said.err


def test_cascade_cancels_what_is_below_as_one_deed(fresh_cli: Cli, experiment: Experiment) -> None:
    with experiment.start_logging() as root:
        child = root.child_run("child")
        grandchild = child.child_run("grandchild")
        done = root.child_run("done")
        done.complete()
        holders = [threading.Thread(target=_end_when_asked, args=(run,)) for run in (root, child, grandchild)]
        for holder in holders:
            holder.start()
        answer = fresh_cli.apart("run", "cancel", root.id, "--cascade", "--reason", "enough").json
        for holder in holders:
            holder.join()

    assert answer["status"] == "Canceled"
    assert [run.get_status() for run in (child, grandchild, done)] == ["Canceled", "Canceled", "Completed"]
    for run in (root, child, grandchild):
        assert any("'enough'" in entry.words for entry in run.history())


def test_archived_runs_are_listed_on_demand(fresh_cli: Cli, experiment: Experiment) -> None:
    with experiment.start_logging() as run:
        pass

    assert fresh_cli("run", "archive", run.id).json["archived"] is True
    assert fresh_cli("run", "list").json == []
    assert [one["run_id"] for one in fresh_cli("run", "list", "--archived").json] == [run.id]
    assert fresh_cli("run", "restore", run.id).json["archived"] is False
    assert len(fresh_cli("run", "list").json) == 1


def test_erase_asks_first(fresh_cli: Cli, experiment: Experiment, monkeypatch: pytest.MonkeyPatch) -> None:
    with experiment.start_logging(tags={"person": "someone"}) as run:
        run.log("loss", 1.0)

    monkeypatch.setattr(sys, "stdin", io.StringIO("n\n"))
    said = fresh_cli("run", "erase", run.id, expect=1)
    assert said.err.endswith("runfold: nothing was erased\n")
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    assert "--yes" in fresh_cli("run", "erase", run.id, expect=2).err
    assert fresh_cli("run", "show", run.id).json["tags"] == {"person": "someone"}

    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    assert fresh_cli("run", "erase", run.id, "--reason", "asked for").json["erased"] is True


def test_erase_leaves_a_stub_and_later_commands_are_refused(fresh_cli: Cli, experiment: Experiment) -> None:
    with experiment.start_logging(tags={"person": "someone"}) as run:
        run.log("loss", 1.0)

    answer = fresh_cli("run", "erase", run.id, "--yes").json

    assert answer | {"erased": True, "status": "Completed", "tags": {}, "metrics": {}} == answer
    assert "was erased" in fresh_cli("run", "tag", run.id, "a=b", expect=1).err
    assert "erased" in fresh_cli("run", "show", run.id, "-o", "table").out


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("run", "tag", "RUN", "k" * 257), 2, "256"),
        (("run", "tag", "RUN", "k=" + "v" * 5_001), 2, "Limit=5000, Size=5001"),
        (("run", "tag", "RUN", "k=\ud800"), 2, "surrogate"),
        (("run", "cancel", "RUN", "--reason", "r" * 4_097), 2, "Limit=4096, Size=4097"),
        (("run", "tag", "nosuch", "a=b"), 3, "there is no run 'nosuch'"),
        (("run", "erase", "nosuch", "--yes"), 3, "there is no run 'nosuch'"),
        (("run", "archive", "a\nb"), 2, "A-Z a-z 0-9"),
    ],
    ids=lambda value: "",
)
def test_what_is_over_a_limit_changes_nothing_and_is_named(
    fresh_cli: Cli, experiment: Experiment, arguments: tuple[str, ...], code: int, said: str
) -> None:
    with experiment.start_logging() as run:
        pass
    named = [run.id if word == "RUN" else word for word in arguments]

    answer = fresh_cli(*named, expect=code)

    assert said in answer.err
    assert answer.err.count("\n") == 1
    assert Run(experiment, run.id).get_tags() == {}


def abandoned(experiment: Experiment) -> str:
    """A run whose process has gone without a word."""
    program = (
        "import os, pickle, sys\n"
        "experiment = pickle.loads(bytes.fromhex(sys.argv[1]))\n"
        "print(experiment.start_logging().id)\n"
    )
    import pickle

    done = subprocess.run(
        [sys.executable, "-c", program, pickle.dumps(experiment).hex()],
        capture_output=True,
        text=True,
        check=True,
        env=dict(os.environ),
    )
    return done.stdout.strip()
