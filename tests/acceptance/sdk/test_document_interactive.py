"""The interactive examples of "Start, monitor and cancel training runs" run as they are written there.

``document_blocks.txt`` holds the document's Python blocks word for word and in their order. They are run one after the
other in one namespace, over each transport; :data:`EDITS` lists every change that is made to them: the import lines,
and what needs submitted scripts, which this version does not have.
"""

from __future__ import annotations

import re
import types
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

import runfold
from runfold import Experiment, PropertyImmutable, Run, Workspace
from tests.support.markdown import blocks

PAGE: Final = Path(__file__).with_name("document_blocks.txt")


class Edit(NamedTuple):
    """In block ``block``, ``old`` (which must stand there once) becomes ``new``."""

    block: int
    old: str
    new: str
    why: str


IMPORT: Final = "the import line"
SUBMITTED: Final = "needs a submitted script; an interactive run stands in"

EDITS: Final = (
    Edit(1, "azureml.core.VERSION", "runfold.VERSION", IMPORT),
    Edit(2, "import azureml.core\n", "import runfold\n", IMPORT),
    Edit(2, "from azureml.core import Workspace", "from runfold import Workspace", IMPORT),
    Edit(2, "from azureml.core import ScriptRunConfig\n", "", IMPORT),
    Edit(
        8,
        "run_config = ScriptRunConfig(source_directory='.', script='hello_with_delay.py')\n",
        "",
        SUBMITTED,
    ),
    Edit(8, "exp.submit(run_config)", "exp.start_logging()", SUBMITTED),
    Edit(9, "exp.submit(run_config)", "exp.start_logging()", SUBMITTED),
    Edit(
        10,
        "!more hello_with_children.py\n"
        "run_config = ScriptRunConfig(source_directory='.', script='hello_with_children.py')\n"
        "\n"
        "local_script_run = exp.submit(run_config)\n"
        "local_script_run.wait_for_completion(show_output=True)\n"
        "print(local_script_run.get_status())\n",
        "",
        SUBMITTED,
    ),
)
LEFT_OUT: Final = {
    11: "parent.py, a script that is submitted",
    12: "a part of a script that is submitted: Run.get_context()",
}


def code(number: int) -> str:
    """A block with its edits."""
    text = blocks(PAGE)[number - 1].text
    for edit in EDITS:
        if edit.block == number:
            assert text.count(edit.old) == 1, edit
            text = text.replace(edit.old, edit.new)
    return text


class Document:
    """The reader's session."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.names: dict[str, Any] = {"runfold": runfold}

    def run(self, number: int) -> list[str]:
        """Run one block; returns the lines it printed."""
        self._capsys.readouterr()
        exec(compile(code(number), f"block {number}", "exec"), self.names)
        return self._capsys.readouterr().out.splitlines()


@pytest.fixture
def document(
    workspace: Workspace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Document:
    """A reader in a folder whose configuration names the test's workspace."""
    if not workspace.location.startswith("http"):
        monkeypatch.setenv("RUNFOLD_HOME", workspace.location)
    workspace.write_config(tmp_path)
    monkeypatch.chdir(tmp_path)
    return Document(capsys)


def test_the_interactive_examples_in_order(document: Document) -> None:
    assert document.run(1) == [runfold.VERSION]
    _start_monitor_and_complete(document)
    _cancel_and_fail(document)
    _children(document)
    _tags_and_properties(document)
    _find(document)


def _start_monitor_and_complete(document: Document) -> None:
    document.run(2)
    document.run(3)
    run: Run = document.names["notebook_run"]
    assert isinstance(run, Run)
    assert document.run(4) == ["Running"]
    (details,) = document.run(5)
    assert f"'runId': '{run.id}'" in details
    assert "'status': 'Running'" in details
    assert "endTimeUtc" not in details
    assert document.run(6) == ["Completed"]
    assert run.get_metrics() == {"message": "Hello from run!"}
    assert document.run(7) == ["Running", "Completed"]
    assert document.names["notebook_run"].get_metrics() == {"message": "Hello from run!"}


def _cancel_and_fail(document: Document) -> None:
    assert document.run(8) == ["Running", "Canceled"]
    assert document.run(9) == ["Failed"]
    assert document.names["local_script_run"].get_details()["error"] == {"error": {"code": "UserError"}}


def _children(document: Document) -> None:
    document.run(10)
    parent: Run = document.names["parent_run"]
    children = list(parent.get_children())

    assert parent.get_status() == "Completed"
    assert [child.get_status() for child in children] == ["Completed"] * 5
    assert [child.get_metrics() for child in reversed(children)] == [
        {"Hello from child run": n} for n in range(5)
    ]
    assert {child.parent.id for child in children if child.parent} == {parent.id}
    (shown,) = document.run(13)
    assert re.match(r"<generator object .*>$", shown)
    assert isinstance(parent.get_children(recursive=True), types.GeneratorType)


def _tags_and_properties(document: Document) -> None:
    assert document.run(14) == ["{'author': 'azureml-user'}"]
    (refusal,) = document.run(15)
    assert "'azureml-user'" in refusal
    assert "'different-user'" in refusal
    run: Run = document.names["local_script_run"]
    with pytest.raises(PropertyImmutable):
        run.add_properties({"author": "different-user"})
    assert document.run(16) == ["{'quality': 'great run'}", "{'quality': 'fantastic run'}"]
    assert document.run(17) == ["{'quality': 'fantastic run', 'worth another look': None}"]


def _find(document: Document) -> None:
    document.run(18)
    experiment: Experiment = document.names["exp"]
    run: Run = document.names["local_script_run"]
    expressions = [line for line in code(18).splitlines() if line.strip()]

    assert len(expressions) == 2
    for expression in expressions:
        found = eval(expression, document.names)
        assert [each.id for each in found] == [run.id]
    assert len(list(experiment.get_runs())) == 5


def test_every_block_is_run_or_left_out_for_a_reason() -> None:
    source = Path(__file__).read_text("utf-8")
    run = {int(number) for number in re.findall(r"document\.run\((\d+)\)", source)}

    assert run | set(LEFT_OUT) == set(range(1, len(blocks(PAGE)) + 1))
    assert run & set(LEFT_OUT) == set()
    assert {edit.block for edit in EDITS} <= run
