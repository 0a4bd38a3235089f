"""``runfold ledger export`` and ``import`` as a user types them."""

from __future__ import annotations

import json
from pathlib import Path
from uuid import uuid4

import pytest

from runfold import Experiment, Workspace, _process
from tests.support.command_line import Cli
from tests.support.moving import kept

COUNTS = {"events", "artifacts", "streams", "run_numbers", "writer_marks", "bytes"}
FIELDS = COUNTS | {"sha256", "file", "home", "workspace"}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with one run in each of two workspaces."""
    for name in ("one", "two"):
        with Experiment(Workspace(workspace_name=name, home=tmp_path), "moving").start_logging() as run:
            run.log("loss", 0.5)
    _process.close_all()
    return tmp_path


@pytest.fixture
def cli(home: Path, capsys: pytest.CaptureFixture[str]) -> Cli:
    return Cli(capsys, ("--home", str(home)))


@pytest.fixture
def other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Cli:
    return Cli(capsys, ("--home", str(tmp_path / uuid4().hex)))


def test_what_is_exported_can_be_listed_elsewhere(cli: Cli, other: Cli, home: Path) -> None:
    file = home / "ledger.ndjson"
    done = cli("ledger", "export", str(file)).json
    assert done.keys() == FIELDS
    assert file.stat().st_mode & 0o077 == 0, "what is in it is for its owner alone"
    assert not list(home.glob("*.part"))
    assert other("ledger", "import", str(file)).json["events"] == done["events"]

    assert other("run", "list", "-w", "two").json == cli("run", "list", "-w", "two").json
    assert other("ledger", "check").json["is_sound"]


@pytest.mark.parametrize("files", [None, "s3://bucket/prefix"])
def test_contents_are_said_to_stay_behind_and_from_where_to_copy_them(
    cli: Cli, other: Cli, home: Path, monkeypatch: pytest.MonkeyPatch, files: str | None
) -> None:
    file = home / "ledger.ndjson"
    assert "contents" not in cli("ledger", "export", str(file)).err, "there are none"
    with Experiment(Workspace(workspace_name="two", home=home), "moving").start_logging() as run:
        for name in ("a", "b"):
            run.upload_file(name, str(file))
    with Experiment(Workspace(workspace_name="two", home=home), "moving").start_logging() as erased:
        erased.upload_file("c", str(file))
    cli("run", "erase", erased.id, "-w", "two", "--yes")
    _process.close_all()
    if files is not None:
        monkeypatch.setenv("RUNFOLD_FILES", files)
    exported = cli("ledger", "export", str(file), "--overwrite")
    imported = other("ledger", "import", str(file))
    assert exported.json["artifacts"] == imported.json["artifacts"] == 2
    place, goal = files or str(home / "files"), files or str(Path(imported.json["home"]) / "files")
    assert "contents of 2 artifacts are not in the file" in exported.err
    assert f"copy them from {place} (docs/moving.md)" in exported.err
    assert "contents of 2 artifacts did not come along" in imported.err
    assert f"to {goal} (docs/moving.md)" in imported.err


def test_one_workspace_goes_to_stdout(cli: Cli, home: Path) -> None:
    said = cli.apart("ledger", "export", "-", "-w", "two")

    assert {line["stream"].partition("/")[0] for line in kept(said.out.encode())} == {"two"}
    assert said.err.startswith("runfold: exported 5 events of 2 streams")


def test_a_file_is_replaced_only_when_told(cli: Cli, home: Path) -> None:
    file = home / "precious.txt"
    file.write_text("precious")
    assert "--overwrite" in cli("ledger", "export", str(file), expect=2).err
    assert file.read_text() == "precious"
    cli("ledger", "export", str(file), "--overwrite")
    assert json.loads(file.read_text().splitlines()[0])["kind"] == "header"


def test_a_failed_export_leaves_no_file(other: Cli, home: Path) -> None:
    file = home / "ledger.ndjson"
    assert "there is no ledger in" in other("ledger", "export", str(file), expect=3).err
    assert not list(home.glob("ledger.ndjson*"))


def test_errors_name_the_line_and_change_nothing(cli: Cli, other: Cli, home: Path) -> None:
    file = home / "ledger.ndjson"
    cli("ledger", "export", str(file))
    file.write_bytes(file.read_bytes().replace(b'"data_version":1', b'"data_version":2', 1))
    assert f"{file}, line " in other("ledger", "import", str(file), expect=2).err
    assert (
        "no import is unfinished"
        in other("ledger", "import", str(_whole(cli, home)), "--resume", expect=1).err
    )
    assert other("ledger", "check").json["events"] == 0


def test_a_file_that_cannot_be_read_twice_is_refused(other: Cli, home: Path) -> None:
    assert "missing.ndjson is not there" in other("ledger", "import", "missing.ndjson", expect=2).err
    assert "- is no file that can be read twice" in other("ledger", "import", "-", expect=2).err


def _whole(cli: Cli, home: Path) -> Path:
    file = home / "whole.ndjson"
    cli("ledger", "export", str(file))
    return file


def test_options_that_contradict_are_refused(cli: Cli, home: Path) -> None:
    dsn = ("--postgres", "postgresql://nobody@127.0.0.1:1/x")
    assert "neither --home nor --url" in cli("ledger", "check", *dsn, expect=2).err
    assert (
        "all that is in the file"
        in cli("ledger", "import", str(_whole(cli, home)), "-w", "one", expect=2).err
    )
