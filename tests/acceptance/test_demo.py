"""The demo does what it says, and notices when what it reads back is wrong."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from runfold_services.compose import ledger_path
from tests.support.replay import check_views_equal_a_replay
from tests.support.repository import ROOT, script

DEMO = ROOT / "deploy" / "demo"
CHILDREN, EPOCHS = 5, 6


def runfold(home: Path, *arguments: str) -> list[dict[str, object]]:
    """What the command line answers, as data."""
    done = subprocess.run(
        [str(script("runfold")), *arguments, "--home", str(home), "-o", "json"],
        capture_output=True,
        text=True,
        check=True,
    )
    found: list[dict[str, object]] = json.loads(done.stdout)
    return found


@pytest.mark.timeout(180)
def test_the_demo_records_reads_back_and_checks_itself(tmp_path: Path) -> None:
    home = tmp_path / "home"
    sizes = ["--children", str(CHILDREN), "--epochs", str(EPOCHS), "--workers", "2"]
    done = subprocess.run(
        [sys.executable, str(DEMO / "sweep.py"), "--home", str(home), *sizes],
        env={**os.environ, "COLUMNS": "120"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    _check_what_was_shown(done.stdout)
    (parent,) = runfold(home, "run", "list")
    sweep = str(parent["run_id"])
    children = runfold(home, "run", "children", sweep)
    statuses = sorted(str(child["status"]) for child in children)
    assert statuses == sorted(["Completed"] * CHILDREN + ["Failed", "Canceled"])
    assert len({json.dumps(child["properties"], sort_keys=True) for child in children}) == 1
    refused = [entry for child in children for entry in _refusals(home, str(child["run_id"]))]
    assert [(fact["current"] != fact["attempted"]) for fact in refused] == [True]
    assert check_views_equal_a_replay(ledger_path(home)) > EPOCHS * CHILDREN
    _check_that_it_would_notice(home, sweep)


def _check_what_was_shown(text: str) -> None:
    """Statuses by name, a table, a curve, both values of the refusal, commands."""
    assert f"{CHILDREN} Completed, 1 Failed, 1 Canceled" in text
    assert re.search(rf"children +⊘ 1 Canceled +✓ {CHILDREN} Completed +✗ 1 Failed", text)
    assert "ValueError" in text
    assert "it would never end by itself" in text
    assert "└┬" in text
    assert "0" * 64 in text
    assert "✗ " in text
    assert "was refused: property dataset.sha256" in " ".join(text.split())
    assert "runfold up" in text


def _refusals(home: Path, run_id: str) -> list[dict[str, object]]:
    entries = runfold(home, "run", "history", run_id, "--refused")
    return [entry["body"]["facts"] for entry in entries]  # type: ignore[index]


def _check_that_it_would_notice(home: Path, sweep: str) -> None:
    """The demo's own check, told that other things were done than were."""
    program = (
        "import sys, dataclasses; sys.path.insert(0, sys.argv[1])\n"
        "from runfold import Workspace\n"
        "from sweep_report import problems\n"
        "from sweep_training import load, plans\n"
        "parent = Workspace(home=sys.argv[2]).get_run(sys.argv[3])\n"
        f"done, digest = plans({CHILDREN}, {EPOCHS}), load().sha256\n"
        "assert problems(parent, done, digest) == []\n"
        "print(*problems(parent, done[1:], digest), sep='\\n')\n"
        "print(*problems(parent, [dataclasses.replace(p, epochs=p.epochs + 1) for p in done], digest), sep='\\n')\n"
        "print(*problems(parent, done, 'another'), sep='\\n')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(DEMO), str(home), sweep],
        capture_output=True,
        text=True,
        check=True,
    )

    assert "children by status are" in done.stdout
    assert f"values of val_loss, expected {EPOCHS + 1}" in done.stdout
    assert "the property dataset.sha256 is" in done.stdout
    assert "expected one with both values" in done.stdout
