"""Every example of "Start, monitor and cancel training runs" runs as it is written there.

``document_blocks.txt`` holds all code blocks of the document word for word and in their order. They are run one after
the other, over each transport, in the folder ``docs/examples/start-monitor-cancel``: Python blocks in one namespace,
commands by a shell. :data:`EDITS` lists every change that is made to them: the import lines (none where runfold stands
in for ``azureml``), the word ``runfold`` before ``az``, the names that the document asks its readers to replace, and
the option ``--query`` that its text asks for and its examples leave out.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import types
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

import runfold
from runfold import Experiment, PropertyImmutable, Run, RunConfiguration, Workspace, _process, azureml
from tests.support.agents import agent_for
from tests.support.http_server import await_others
from tests.support.markdown import blocks
from tests.support.repository import ROOT, script

PAGE: Final = Path(__file__).with_name("document_blocks.txt")
FOLDER: Final = ROOT / "docs" / "examples" / "start-monitor-cancel"
BLOCKS: Final = dict(enumerate(blocks(PAGE), 1))
COMMAND_S_MAX: Final = 100
NOT_BY_HAND: Final = {
    "hello_with_delay.py",
    "parent.py",
}  # sleeps for a minute; submits from the run that it is


class Edit(NamedTuple):
    """In block ``block``, ``old`` (which must stand there once) becomes ``new``."""

    block: int
    old: str
    new: str
    why: str


IMPORT: Final = "the import line"
EARLY: Final = "the document prints the version before it imports anything"
WORD: Final = "behind the word runfold"
REPLACED: Final = "the document says: replace it by yours"
QUERY: Final = "the document says: use --query; quoted for the shell"
SHELL: Final = "a line of a notebook that a shell runs"

EDITS: Final = (
    Edit(1, "print(azureml.core.VERSION)", "import azureml.core\nprint(azureml.core.VERSION)", EARLY),
    Edit(1, "import azureml.core\nprint(azureml.core.VERSION)", "import runfold\nprint(runfold.VERSION)", IMPORT),
    Edit(2, "import azureml.core\n", "import runfold\n", IMPORT),
    Edit(2, "from azureml.core import Workspace", "from runfold import Workspace", IMPORT),
    Edit(2, "from azureml.core import ScriptRunConfig", "from runfold import ScriptRunConfig", IMPORT),
    Edit(4, "az login", "runfold az login", WORD),
    Edit(5, "az ml", "runfold az ml", WORD),
    Edit(5, "myworkspace", "{workspace}", REPLACED),
    Edit(6, "az ml", "runfold az ml", WORD),
    Edit(11, "az ml", "runfold az ml", WORD),
    Edit(11, "-name experiment", "-name explore-runs", REPLACED),
    Edit(12, "az ml", "runfold az ml", WORD),
    Edit(12, "runid", "{run}", REPLACED),
    Edit(15, "az ml", "runfold az ml", WORD),
    Edit(15, "runid", "{run}", REPLACED),
    Edit(15, "workspace_name", "{workspace}", REPLACED),
    Edit(15, "experiment_name", "explore-runs", REPLACED),
    Edit(16, "!more hello_with_children.py\n", "shell('more hello_with_children.py')\n", SHELL),
    Edit(17, "from azureml.core import Run", "from runfold import Run", IMPORT),
    Edit(18, "## In child run script\n", "from runfold import Run\n## In child run script\n", IMPORT),
    Edit(24, "az ml", "runfold az ml", WORD),
    Edit(24, "runid", "{run}", REPLACED),
    *(
        edit
        for query in (
            "[?properties.author=='azureml-user']",
            "[?tags.keys(@)[?starts_with(@, 'worth another look')]]",
            "[?properties.author=='azureml-user' && tags.quality=='fantastic run']",
        )
        for edit in (
            Edit(
                26,
                f"\naz ml run list --experiment-name experiment {query}\n",
                f'\nrunfold az ml run list --experiment-name explore-runs --query "{query}"\n',
                f"{WORD}; {REPLACED}; {QUERY}",
            ),
        )
    ),
)  # fmt: skip


def code(number: int, *, unchanged_imports: bool, **names: str) -> str:
    """A block with its edits; with ``unchanged_imports`` the import lines are left as they are."""
    text = BLOCKS[number].text
    for edit in EDITS:
        if edit.block == number and not (unchanged_imports and edit.why == IMPORT):
            assert text.count(edit.old) == 1, edit
            text = text.replace(edit.old, edit.new)
    for name, value in names.items():
        text = text.replace(f"{{{name}}}", value)
    return text


class Document:
    """The reader's notebook and shell."""

    def __init__(
        self, capfd: pytest.CaptureFixture[str], workspace: Workspace, *, unchanged_imports: bool
    ) -> None:
        self._capfd = capfd
        self.workspace = workspace
        self.unchanged_imports = unchanged_imports
        self.names: dict[str, Any] = {"shell": _shell}

    def run(self, number: int) -> list[str]:
        """Run one Python block; returns the lines it printed."""
        assert BLOCKS[number].language == "python"
        self._capfd.readouterr()
        source = code(number, unchanged_imports=self.unchanged_imports)
        exec(compile(source, f"block {number}", "exec"), self.names)
        return self._capfd.readouterr().out.splitlines()

    def command(self, number: int, run: Run | None = None) -> list[subprocess.CompletedProcess[str]]:
        """Run the commands of a block by a shell, one by one."""
        assert BLOCKS[number].language == "azurecli"
        text = code(
            number, unchanged_imports=False, workspace=self.workspace.name, run="" if run is None else run.id
        )
        done = [_command(line) for line in text.splitlines() if line and not line.startswith("#")]
        await_others(self.workspace.location, self.workspace.name)
        return done

    def answer(self, number: int, run: Run | None = None) -> Any:
        """What the only command of a block answers, as JSON."""
        import json

        (done,) = self.command(number, run)
        return json.loads(done.stdout)


def _shell(line: str) -> None:
    subprocess.run(line, shell=True, check=True, stdin=subprocess.DEVNULL)


def _command(line: str) -> subprocess.CompletedProcess[str]:
    path = f"{script('runfold').parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        line,
        shell=True,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=COMMAND_S_MAX,
        check=False,
    )
    assert done.returncode == 0, f"{line}\n{done.stderr}"
    return done


@contextmanager
def reading(
    workspace: Workspace,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    *,
    unchanged_imports: bool = False,
) -> Generator[Document]:
    """A reader in the examples' folder, whose configuration names the test's workspace."""
    shutil.copytree(FOLDER, folder)
    with agent_for(workspace, monkeypatch):
        workspace.write_config(folder)
        RunConfiguration().save(folder, "sklearn.runconfig")
        monkeypatch.chdir(folder)
        yield Document(capfd, workspace, unchanged_imports=unchanged_imports)


@pytest.mark.parity(
    "WS-01", "EX-05", "ST-07", "ST-08", "LC-05", "LC-06", "CH-05", "CX-01", "SC-01", "SC-02", "SC-03"
)
@pytest.mark.parity("CL-01", "CL-02", "CL-03", "CL-05", "CL-06", "CL-07", "CL-08")
def test_the_document_in_order(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with reading(workspace, tmp_path / "training", monkeypatch, capfd) as document:
        assert document.run(1) == [runfold.VERSION]
        _read_on(document)


def test_the_document_with_its_own_imports(
    embedded_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """runfold stands in for azureml: not even the import lines change, in the scripts that are submitted neither."""
    workspace = Workspace(workspace_name="its-own-imports", home=embedded_home)
    monkeypatch.setenv("RUNFOLD_AZUREML", "1")  # for `runfold az ml run submit-script`
    azureml.install()
    try:
        with reading(
            workspace, tmp_path / "training", monkeypatch, capfd, unchanged_imports=True
        ) as document:
            for path in Path().glob("*.py"):
                path.write_text(
                    path.read_text("utf-8").replace("from runfold import", "from azureml.core import")
                )
            assert document.run(1) == [azureml.VERSION]
            _read_on(document)
    finally:
        azureml.uninstall()
        _process.close_all()


def _read_on(document: Document) -> None:
    _start(document)
    _start_by_command(document)
    _monitor(document)
    _cancel_and_fail(document)
    _children(document)
    _submitted_children(document)
    _tags_and_properties(document)
    _find(document)


def _start(document: Document) -> None:
    document.run(2)
    document.run(3)
    assert isinstance(document.names["notebook_run"], Run)


def _start_by_command(document: Document) -> None:
    (login,) = document.command(4)
    assert "nothing needs logging in" in login.stderr
    attached = document.answer(5)
    assert attached["Workspace name"] == document.workspace.name
    assert attached["Resource group"] == "myresourcegroup"
    assert Path(".azureml/config.json").is_file()
    assert {path.name for path in Path(".azureml").glob("*.runconfig")} == {
        "local.runconfig",
        "docker.runconfig",
        "sklearn.runconfig",
    }
    (submitted,) = document.command(6)
    assert "Streaming user_logs/std_log.txt" in submitted.stderr
    assert "weight 0.0461" in submitted.stderr
    (run,) = Experiment(document.workspace, "testexperiment").get_runs()
    assert f'"run_id": "{run.id}"' in submitted.stdout
    assert run.get_status() == "Completed"
    assert len(run.get_metrics()["loss"]) == 20


def _monitor(document: Document) -> None:
    run: Run = document.names["notebook_run"]
    assert document.run(7) == ["Running"]
    (details,) = document.run(8)
    assert f"'runId': '{run.id}'" in details
    assert "'status': 'Running'" in details
    assert "endTimeUtc" not in details
    assert document.run(9) == ["Completed"]
    assert run.get_metrics() == {"message": "Hello from run!"}
    assert document.run(10) == ["Running", "Completed"]
    newest: Run = document.names["notebook_run"]
    assert newest.get_metrics() == {"message": "Hello from run!"}
    assert [each["run_id"] for each in document.answer(11)] == [newest.id, run.id]
    shown = document.answer(12, run)
    assert (shown["run_id"], shown["status"]) == (run.id, "Completed")


def _cancel_and_fail(document: Document) -> None:
    before, after = document.run(13)
    assert before in {"Starting", "Preparing", "Queued", "Running"}
    assert after == "Canceled"
    assert document.run(14) == ["Failed"]
    assert document.names["local_script_run"].get_details()["error"] == {"error": {"code": "UserError"}}
    waiting = document.names["exp"].submit(document.names["run_config"])
    (canceled,) = document.command(15, waiting)
    assert canceled.stdout == "Experiment run canceled successfully.\n"
    assert waiting.get_status() == "Canceled"


def _children(document: Document) -> None:
    printed = document.run(16)
    submitted: Run = document.names["local_script_run"]
    parent: Run = document.names["parent_run"]

    assert "for number, child in enumerate(run.create_children(count=5)):" in printed
    assert f"RunId: {submitted.id}" in printed
    # The block waits as the SDK v1 does: not for what comes after the script.
    assert printed[-1] in {"Finalizing", "Completed"}
    submitted.wait_for_completion(wait_post_processing=True)
    for run, name in ((submitted, "Hello from child run"), (parent, "Hello from child run")):
        children = list(run.get_children())
        assert run.get_status() == "Completed"
        assert [child.get_status() for child in children] == ["Completed"] * 5
        assert sorted(child.get_metrics()[name] for child in children) == list(range(5))
        assert {child.parent.id for child in children if child.parent} == {run.id}


def _submitted_children(document: Document) -> None:
    """Block 17 is a script that is submitted, block 18 a part of the one that it submits."""
    Path("parent.py").write_text(code(17, unchanged_imports=document.unchanged_imports))
    asked = code(18, unchanged_imports=False)
    if document.unchanged_imports:
        asked = asked.replace("from runfold import", "from azureml.core import")
    Path("child.py").write_text(f"import sys\n{asked}child_run.log('asked', [child_run.parent.id, sys.argv[2]][0])\n"
                                "child_run.log('fruit', sys.argv[2])\n")  # fmt: skip
    exp: Experiment = document.names["exp"]
    parent = exp.submit(runfold.ScriptRunConfig(source_directory=".", script="parent.py"))
    parent.wait_for_completion(wait_post_processing=True)
    children = list(parent.get_children())

    assert parent.get_metrics() == {"Status": ["Launching Apple", "Launching Banana", "Launching Orange"]}
    assert sorted(child.get_metrics()["fruit"] for child in children) == ["Apple", "Banana", "Orange"]
    assert {child.get_metrics()["asked"] for child in children} == {parent.id}
    assert {child.wait_for_completion(wait_post_processing=True)["status"] for child in children} == {
        "Completed"
    }
    (shown,) = document.run(19)
    assert re.match(r"<generator object .*>$", shown)
    assert isinstance(document.names["parent_run"].get_children(recursive=True), types.GeneratorType)


def _tags_and_properties(document: Document) -> None:
    run: Run = document.names["local_script_run"]
    (printed,) = document.run(20)
    assert "'author': 'azureml-user'" in printed
    (refusal,) = document.run(21)
    assert "'azureml-user'" in refusal
    assert "'different-user'" in refusal
    with pytest.raises(PropertyImmutable):
        run.add_properties({"author": "different-user"})
    assert document.run(22) == ["{'quality': 'great run'}", "{'quality': 'fantastic run'}"]
    assert document.run(23) == ["{'quality': 'fantastic run', 'worth another look': None}"]
    another = next(iter(document.names["exp"].get_runs()))
    shown = document.answer(24, another)
    assert (shown["run_id"], shown["tags"]) == (another.id, {"quality": "fantastic run"})
    another.remove_tags(["quality"])


def _find(document: Document) -> None:
    import json

    document.run(25)
    run: Run = document.names["local_script_run"]
    source = code(25, unchanged_imports=document.unchanged_imports)
    expressions = [line for line in source.splitlines() if line.strip()]

    assert len(expressions) == 2
    for expression in expressions:
        found = eval(expression, document.names)
        assert [each.id for each in found] == [run.id]
    answers = [json.loads(done.stdout) for done in document.command(26)]
    assert [[each["run_id"] for each in answer] for answer in answers] == [[run.id]] * 3


def test_every_block_is_run() -> None:
    source = Path(__file__).read_text("utf-8")
    run = {int(number) for number in re.findall(r"document\.(?:run|command|answer)\((\d+)", source)}
    run |= {int(number) for number in re.findall(r"\bcode\((\d+)", source)}

    assert run == set(BLOCKS) == set(range(1, 27))
    assert {edit.block for edit in EDITS} <= run


def test_the_edits_are_of_these_kinds_only() -> None:
    kinds = {kind for edit in EDITS for kind in edit.why.split("; ")}

    assert kinds <= {IMPORT, EARLY, WORD, REPLACED, "the document says", "use --query", QUERY, SHELL} | set(
        f"{WORD}; {REPLACED}; {QUERY}".split("; ")
    )


@pytest.mark.parametrize("name", sorted({path.name for path in FOLDER.glob("*.py")} - NOT_BY_HAND))
def test_the_scripts_of_the_folder_run_by_hand(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that are submitted run offline; the others submit them to an agent that is started by itself."""
    folder = tmp_path / "training"
    shutil.copytree(FOLDER, folder)
    monkeypatch.setenv("RUNFOLD_AGENT_IDLE_S", "5")
    done = subprocess.run(
        [sys.executable, name], cwd=folder, capture_output=True, text=True, timeout=COMMAND_S_MAX, check=False
    )

    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


def test_the_commands_of_the_folder_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "training"
    shutil.copytree(FOLDER, folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("RUNFOLD_AGENT_IDLE_S", "5")
    done = _command("sh commands.sh")

    assert done.stdout.endswith("Experiment run canceled successfully.\n")
