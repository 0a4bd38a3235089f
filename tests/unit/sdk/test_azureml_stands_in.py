"""Scripts that import ``azureml`` find runfold: when asked, and never otherwise."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import runfold
from runfold import azureml, exceptions
from runfold.errors import RunfoldError

SCRIPT = """
import sys
import azureml.core
from azureml.core import Experiment, Run, Workspace
from azureml.exceptions import UserErrorException

print(azureml.core.VERSION, sys.argv[1:], __name__)
experiment = Experiment(workspace=Workspace.from_config(), name="unchanged")
with experiment.start_logging() as run:
    run.log("loss", 0.5)
print(run.get_status(), run.get_metrics())
"""


@pytest.fixture
def clean() -> Iterator[None]:
    yield
    azureml.uninstall()
    assert not [name for name in sys.modules if name.partition(".")[0] == "azureml"]


def run_script(folder: Path, *arguments: str, wish: str = "1") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "runfold", *arguments],
        cwd=folder,
        env={**os.environ, "RUNFOLD_AZUREML": wish},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_nothing_stands_in_until_it_is_asked_to() -> None:
    with pytest.raises(ModuleNotFoundError, match="No module named 'azureml'"):
        importlib.import_module("azureml.core")


@pytest.mark.usefixtures("clean")
def test_install_answers_the_names_and_only_those() -> None:
    azureml.install()
    azureml.install()
    core = importlib.import_module("azureml.core")

    assert core.Workspace is runfold.Workspace
    assert core.Experiment is runfold.Experiment
    assert importlib.import_module("azureml.core.run").Run is runfold.Run
    assert importlib.import_module("azureml.exceptions").UserErrorException is exceptions.UserErrorException
    assert core.VERSION.startswith("1.61.0+runfold.")
    assert not hasattr(core, "no_such_name")
    with pytest.raises(ModuleNotFoundError, match="No module named 'azuremlx'"):
        importlib.import_module("azuremlx")
    with pytest.raises(ModuleNotFoundError, match=r"'azureml\.train'.*needs Azure itself"):
        importlib.import_module("azureml.train")
    with pytest.raises(ImportError, match="Dataset needs Azure itself"):
        _ = core.Dataset


@pytest.mark.usefixtures("clean")
@pytest.mark.parametrize("module", azureml.MODULES)
def test_every_name_of_every_module_is_there(module: str) -> None:
    azureml.install()
    loaded = importlib.import_module(module)

    assert set(azureml.MODULES[module]) <= set(vars(loaded))


@pytest.mark.usefixtures("clean")
def test_azures_exceptions_are_all_there() -> None:
    azureml.install()

    assert set(exceptions.__all__) == set(azureml.MODULES["azureml.exceptions"])


@pytest.mark.usefixtures("clean")
def test_uninstall_takes_it_all_back() -> None:
    before = list(sys.meta_path)
    azureml.install()
    importlib.import_module("azureml.core")
    azureml.uninstall()

    assert sys.meta_path == before
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("azureml.core")


@pytest.mark.usefixtures("clean")
def test_another_azureml_is_not_shadowed_unless_forced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "azureml" / "core").mkdir(parents=True)
    (tmp_path / "azureml" / "core" / "__init__.py").write_text("VERSION = 'the real one'\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])

    with pytest.raises(RunfoldError, match="another azureml is importable here") as refused:
        azureml.install()
    assert str(tmp_path) in refused.value.facts["place"]
    assert importlib.import_module("azureml.core").VERSION == "the real one"
    with pytest.raises(RunfoldError):
        azureml.install()

    azureml.install(force=True)
    assert importlib.import_module("azureml.core").Run is runfold.Run


def test_a_script_runs_unchanged(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(SCRIPT)
    done = run_script(tmp_path, "train.py", "--lr", "0.1")

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        f"{azureml.VERSION} ['--lr', '0.1'] __main__",
        "Completed {'loss': 0.5}",
    ]


def test_a_script_finds_its_own_folder_and_its_exit_code_counts(tmp_path: Path) -> None:
    place = tmp_path / "scripts"
    place.mkdir()
    (place / "beside.py").write_text("CODE = 7\n")
    (place / "train.py").write_text("import sys, beside\nimport azureml.core\nsys.exit(beside.CODE)\n")

    assert run_script(tmp_path, "scripts/train.py").returncode == 7


def test_a_script_is_not_run_beside_another_azureml(tmp_path: Path) -> None:
    (tmp_path / "azureml").mkdir()
    (tmp_path / "train.py").write_text("import azureml.core\n")

    refused = run_script(tmp_path, "train.py")
    assert refused.returncode == 2
    assert "another azureml is importable here" in refused.stderr
    assert run_script(tmp_path, "train.py", wish="force").returncode == 0


def test_a_missing_script_is_said(tmp_path: Path) -> None:
    done = run_script(tmp_path, "nowhere.py")

    assert (done.returncode, "there is no file nowhere.py" in done.stderr) == (2, True)


def test_without_the_wish_the_module_is_the_command_line(tmp_path: Path) -> None:
    done = run_script(tmp_path, "version", "--query", "version", "-o", "tsv", wish="")

    assert done.stdout.strip() == runfold.VERSION
