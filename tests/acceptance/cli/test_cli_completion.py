"""Shell completion: printed, installed once, and alive in a real shell."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from runfold import Experiment, Workspace
from runfold.cli.main import main
from tests.support.repository import script

BASH = shutil.which("bash")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's home folder of the test's own."""
    folder = tmp_path / "a home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "ZDOTDIR"):
        monkeypatch.delenv(name, raising=False)
    return folder


def complete(home: Path, *words: str) -> list[str]:
    """What bash offers for the last word, in a shell that has read the user's .bashrc."""
    quoted = " ".join(f"'{word}'" for word in words)
    program = (
        f"source ~/.bashrc; COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; "
        "$(complete -p runfold | sed 's/.*-F \\([^ ]*\\).*/\\1/') runfold; printf '%s\\n' \"${COMPREPLY[@]}\""
    )
    path = f"{script('runfold').parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "--norc", "-c", program],
        env={**os.environ, "HOME": str(home), "PATH": path},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout.split()


@pytest.mark.skipif(BASH is None, reason="there is no bash on this machine")
def test_bash_completes_after_one_command(home: Path) -> None:
    (home / ".bashrc").write_text("export EARLIER=1")
    run = Experiment(Workspace(), "completes").start_logging()
    run.complete()
    assert main(["completion", "bash", "--install"]) == 0

    assert complete(home, "runfold", "run", "sh") == ["show"]
    assert complete(home, "runfold", "az", "ml", "run", "can") == ["cancel"]
    assert complete(home, "runfold", "run", "list", "--status", "cancelr") == ["CancelRequested"]
    assert complete(home, "runfold", "run", "show", run.id[:6]) == [run.id]
    assert (home / ".bashrc").read_text().startswith("export EARLIER=1\n[ -r ")


@pytest.mark.parametrize(("shell", "start"), [("bash", ".bashrc"), ("zsh", ".zshrc")])
def test_installing_twice_changes_nothing(home: Path, shell: str, start: str) -> None:
    assert main(["completion", shell, "--install"]) == 0
    once = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    assert main(["completion", shell, "--install"]) == 0

    assert {path: path.read_bytes() for path in home.rglob("*") if path.is_file()} == once
    assert len(once) == 2
    assert once[home / start].count(b"# runfold completion") == 1


def test_fish_finds_it_where_it_looks(home: Path) -> None:
    assert main(["completion", "fish", "--install"]) == 0

    (only,) = [path for path in home.rglob("*") if path.is_file()]
    assert only == home / ".config" / "fish" / "completions" / "runfold.fish"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_can_be_had_alone(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0

    assert f"_RUNFOLD_COMPLETE={shell}_complete" in capsys.readouterr().out


def test_the_users_shell_is_the_default(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SHELL", "/usr/local/bin/zsh")
    assert main(["completion"]) == 0
    assert capsys.readouterr().out.startswith("#compdef runfold")

    monkeypatch.setenv("SHELL", "/bin/tcsh")
    assert main(["completion"]) == 2
    assert "say which" in capsys.readouterr().err
