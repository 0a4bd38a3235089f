"""The example services know the published contract and nothing else of runfold."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.integration.examples.world import EXAMPLES
from tests.support.repository import PACKAGES

FOLDERS: Final = sorted(path for path in EXAMPLES.iterdir() if path.is_dir() and path.name != "__pycache__")


def imported(source: str) -> set[str]:
    """The top packages that a module imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").partition(".")[0])
    return found


def foreign(folder: Path) -> set[str]:
    """What the modules of a folder import that is neither theirs nor Python's."""
    modules = sorted(folder.glob("*.py"))
    own = {path.stem for path in modules}
    everything = set[str]().union(*(imported(path.read_text("utf-8")) for path in modules))
    return everything - own - set(sys.stdlib_module_names)


def test_there_are_two() -> None:
    assert [folder.name for folder in FOLDERS] == ["completed_runs", "nightly_evaluator"]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_an_example_imports_what_its_requirements_say_and_nothing_of_ours(folder: Path) -> None:
    lines = (folder / "requirements.txt").read_text("utf-8").splitlines()
    required = {re.split(r"[<>=]", line)[0].replace("-", "_") for line in lines}
    assert foreign(folder) == required == {"confluent_kafka"}


@pytest.mark.parametrize("name", PACKAGES)
def test_an_import_of_ours_would_be_seen(name: str) -> None:
    assert name in imported(f"def f():\n    from {name}.contract import limits")
    assert name in imported(f"import {name}.contract as contract")


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_an_example_says_how_to_start_it(folder: Path) -> None:
    page = (folder / "README.md").read_text("utf-8")
    assert "pip install -r requirements.txt" in page
    assert any(f"python {path.name}" in page for path in folder.glob("*.py"))
