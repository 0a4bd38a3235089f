"""The command line as tests use it, and something to look at with it."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest
from msgspec import Struct

from runfold import Experiment, PropertyImmutable, Run, Workspace
from runfold.cli.main import main
from tests.support.repository import script

EXPERIMENT = "digits"


class Said(Struct, frozen=True):
    """What a command answered."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The answer, read as JSON."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[str]:
        """The answer, line by line, without what only fills the line."""
        return [line.rstrip() for line in self.out.splitlines()]


class Cli:
    """Runs ``runfold`` in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str], place: tuple[str, ...]) -> None:
        self._capsys = capsys
        self.place = place

    def __call__(self, *arguments: str, expect: int = 0) -> Said:
        """Run ``runfold ARGUMENTS`` and check its exit code."""
        self._capsys.readouterr()
        code = main([*arguments, *self.place])
        captured = self._capsys.readouterr()
        assert code == expect, captured.err or captured.out
        assert "Traceback" not in captured.err
        return Said(code, captured.out, captured.err)

    def apart(self, *arguments: str, expect: int = 0) -> Said:
        """Run it in a process of its own: here it would share, and give up, what this process holds."""
        command = [str(script("runfold")), *arguments, *self.place]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == expect, done.stderr
        return Said(done.returncode, done.stdout, done.stderr)


class Story(Struct, frozen=True):
    """Ids of what :func:`record_story` recorded."""

    parent: str
    completed: str
    failed: str
    canceled: str
    grandchild: str
    other: str  # another root run, older than the parent


def record_story(workspace: Workspace) -> Story:
    """Two root runs, and below the newer one a completed, a failed and a canceled child, and a grandchild."""
    experiment = Experiment(workspace, EXPERIMENT)
    with experiment.start_logging(display_name="an old one") as other:
        other.add_properties({"author": "somebody-else"})
        other.tag("quality", "poor run")
    with experiment.start_logging(display_name="the sweep", tags={"worth another look": None}) as parent:
        parent.add_properties({"author": "azureml-user"})
        parent.tag("quality", "fantastic run")
        _refused(parent)
        completed = parent.child_run("first")
        grandchild = _measured(completed)
        failed = parent.child_run("second")
        failed.fail(ValueError("loss is [bold]nan[/bold]\x1b[2J"))
        canceled = parent.child_run("third")
        canceled.cancel(reason="no longer needed")
    return Story(parent.id, completed.id, failed.id, canceled.id, grandchild.id, other.id)


def _refused(run: Run) -> None:
    with pytest.raises(PropertyImmutable):
        run.add_properties({"author": "different-user"})


def _measured(run: Run) -> Run:
    """Metrics and parameters for ``run`` and a child of it; both end well."""
    run.log_params({"lr": 0.01, "layers": 3, "model": "mlp"})
    for step in range(20):
        run.log("loss", 1.0 / (step + 1), step=step)
    run.log("odd", float("nan"))
    run.log_row("scores", f1=0.5, epoch=1)
    with run.child_run("deeper") as below:
        below.log("loss", 0.25, step=7)
    run.complete()
    return below
