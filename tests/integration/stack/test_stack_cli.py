"""`runfold stack` from a terminal."""

from __future__ import annotations

import subprocess
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from msgspec import json

from tests.support.repository import script


def runfold_stack(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(script("runfold")), "stack", *arguments, "--home", str(home)]
    return subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)


def answer(done: subprocess.CompletedProcess[str]) -> Any:
    return json.decode(done.stdout)


@pytest.fixture
def home(tmp_path: Path) -> Generator[Path]:
    yield tmp_path
    runfold_stack(tmp_path, "down", "--wipe")


def test_up_status_and_down_from_a_terminal(home: Path) -> None:
    absent = runfold_stack(home, "status")
    assert (absent.returncode, answer(absent)["state"]) == (4, "absent")

    up = runfold_stack(home, "up")
    assert up.returncode == 0, up.stderr
    addresses = answer(up)["addresses"]
    following = f"runfold up --kafka {addresses['kafka']} --postgres {addresses['postgres']}"
    assert f"go on with: {following}\n" in up.stderr

    there = runfold_stack(home, "status", "-o", "table")
    assert there.returncode == 0
    assert addresses["kafka"] in there.stdout

    down = runfold_stack(home, "down", "--wipe")
    assert (answer(down)["stopped"], answer(down)["wiped"]) == (["kafka", "postgres"], True)
    assert runfold_stack(home, "status").returncode == 4


def test_a_wrong_setting_is_one_line(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNFOLD_STACK", "podman")

    done = runfold_stack(home, "up")

    assert done.returncode == 2
    assert done.stderr.startswith("runfold: RUNFOLD_STACK must be one of auto, containers, packages")
    assert done.stderr.count("\n") == 1
