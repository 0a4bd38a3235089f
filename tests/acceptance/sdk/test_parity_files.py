"""Files of a run, its snapshot and its outputs: rows FI of the parity table."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from runfold import Conflict, Experiment, Invalid, LimitExceeded, NotFound, Run, Workspace
from runfold._downloads import HIDDEN_PREFIX
from runfold.exceptions import AzureMLAggregatedException, SnapshotException, UserErrorException
from runfold_events.contract import limits
from runfold_events.contract.errors import Unavailable


@pytest.fixture
def run(experiment: Experiment) -> Run:
    """A run that this process holds."""
    return experiment.start_logging()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder of the test."""
    place = tmp_path / "here"
    place.mkdir()
    monkeypatch.chdir(place)
    return place


def tree(root: Path) -> dict[str, str]:
    """Every file below a folder with its text."""
    return {p.relative_to(root).as_posix(): p.read_text() for p in sorted(root.rglob("*")) if p.is_file()}


def write(root: Path, **files: str) -> Path:
    """Files of a folder; ``__`` in a name stands for ``/``, ``_dot_`` for a dot in front."""
    for name, text in files.items():
        place = root / name.replace("__", "/").replace("dot_", ".")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    return root


# ── upload ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parity("FI-01")
def test_a_path_and_a_stream_are_stored_by_name(run: Run, folder: Path) -> None:
    write(folder, model="weights")
    run.upload_file("outputs/model.bin", "model")
    run.upload_file("./outputs/notes.txt", io.BytesIO(b"notes"))
    with (folder / "model").open("rb") as stream:
        run.upload_file("outputs/again.bin", stream)
    assert run.get_file_names() == ["outputs/again.bin", "outputs/model.bin", "outputs/notes.txt"]


@pytest.mark.parity("FI-01")
def test_what_was_uploaded_is_recorded_with_its_digest(run: Run) -> None:
    run.upload_file("a/b.json", io.BytesIO(b"{}"))
    recorded = next(entry for entry in run.history() if entry.type == "run.artifact_recorded")
    assert recorded.body is not None
    assert recorded.body["sha256"] == hashlib.sha256(b"{}").hexdigest()
    assert (recorded.body["size_bytes"], recorded.body["content_type"]) == (2, "application/json")


@pytest.mark.parity("FI-01")
def test_an_empty_file_is_a_file(run: Run, folder: Path) -> None:
    run.upload_file("empty", io.BytesIO())
    run.download_file("empty")
    assert (folder / "empty").read_bytes() == b""


@pytest.mark.parity("FI-01")
def test_several_files_at_once(run: Run, folder: Path) -> None:
    write(folder, a="A", b="B")
    assert run.upload_files(["x/a", "x/b"], ["a", "b"]) is None
    told = run.upload_files(["x/a", "x/c"], ["a", "b"], return_artifacts=True)
    assert told == {"x/a": hashlib.sha256(b"A").hexdigest(), "x/c": hashlib.sha256(b"B").hexdigest()}
    assert run.get_file_names() == ["x/a", "x/b", "x/c"]
    with pytest.raises(TypeError, match="2 names and 1 paths"):
        run.upload_files(["x", "y"], ["a"])


@pytest.mark.parity("FI-01")
def test_a_folder_is_uploaded_below_a_name(run: Run, folder: Path) -> None:
    write(folder / "data", one="1", sub__two="2", sub__deep__three="3")
    run.upload_folder("inputs", "data")
    assert run.get_file_names() == ["inputs/one", "inputs/sub/deep/three", "inputs/sub/two"]


@pytest.mark.parity("FI-01")
def test_what_is_no_path_and_no_stream_of_bytes_is_refused(run: Run, folder: Path) -> None:
    with pytest.raises(UserErrorException, match="UnsupportedType"):
        run.upload_file("a", b"bytes")
    with pytest.raises(UserErrorException, match="UnsupportedType"):
        run.upload_file("a", io.StringIO("text"))
    with pytest.raises(FileNotFoundError):
        run.upload_file("a", "nowhere")
    with pytest.raises(FileNotFoundError):
        run.upload_files(["b", "a"], [str(write(folder, b="B") / "b"), "nowhere"])
    with pytest.raises(Invalid, match="no regular file"):
        run.upload_file("a", str(folder))
    with pytest.raises(FileNotFoundError):
        run.upload_folder("a", "nowhere")
    assert run.get_file_names() == []


@pytest.mark.parity("FI-01")
def test_files_come_after_the_end_too_and_are_marked_late(run: Run) -> None:
    run.complete()
    run.upload_file("late.txt", io.BytesIO(b"late"))
    assert run.get_file_names() == ["late.txt"]
    assert run.history()[-1].late


@pytest.mark.parity("FI-02")
def test_another_file_under_the_same_name_is_a_conflict_in_azures_words(run: Run) -> None:
    run.upload_file("model.bin", io.BytesIO(b"first"))
    run.upload_file("model.bin", io.BytesIO(b"first"))  # the same again is no conflict
    words = f"Resource Conflict: ArtifactId ExperimentRun/dcid.{run.id}/model.bin already exists."
    for other in (b"other", b"first and more"):
        with pytest.raises(AzureMLAggregatedException, match=words) as caught:
            run.upload_file("./model.bin", io.BytesIO(other))
        assert isinstance(caught.value, Conflict)
    assert [e.type for e in run.history()].count("run.artifact_recorded") == 1


@pytest.mark.parity("FI-02")
def test_the_files_beside_a_conflict_are_uploaded(run: Run, folder: Path) -> None:
    run.upload_file("d/b", io.BytesIO(b"there before"))
    write(folder / "d", a="A", b="B", c="C")
    with pytest.raises(Conflict, match="d/b already exists"):
        run.upload_folder("d", "d")
    assert run.get_file_names() == ["d/a", "d/b", "d/c"]


# ── names and download ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parity("FI-03")
def test_names_are_listed_by_path(run: Run) -> None:
    assert run.get_file_names() == []
    for name in ("b", "a/z", "a-b", "A", "ü/ñ 文件.txt", "100% #?&.txt"):
        run.upload_file(name, io.BytesIO(name.encode()))
    names = run.get_file_names()
    assert names == sorted(names)
    assert len(names) == 6
    for name in names:
        run.download_file(name, "got")
        assert Path("got").read_bytes() == name.encode()


@pytest.mark.parity("FI-04")
def test_a_file_is_downloaded_to_where_it_is_wanted(run: Run, folder: Path) -> None:
    run.upload_file("outputs/model.bin", io.BytesIO(b"weights"))
    run.download_file("outputs/model.bin")
    run.download_file("./outputs/model.bin", "new/folder/copy.bin")
    (folder / "there").mkdir()
    run.download_file("outputs/model.bin", folder / "there", _validate_checksum=True)
    assert set(tree(folder)) == {"model.bin", "new/folder/copy.bin", "there/model.bin"}
    assert set(tree(folder).values()) == {"weights"}


@pytest.mark.parity("FI-04")
def test_a_missing_file_is_told_with_those_that_are_there(run: Run, folder: Path) -> None:
    run.upload_file("a", io.BytesIO(b"a"))
    run.upload_file("b", io.BytesIO(b"b"))
    with pytest.raises(UserErrorException) as caught:
        run.download_file("c")
    assert str(caught.value) == "File with path c was not found,\navailable files include: a,b."
    assert isinstance(caught.value, NotFound)
    assert tree(folder) == {}


@pytest.mark.parity("FI-04")
def test_files_below_a_prefix(run: Run, folder: Path) -> None:
    for name in ("outputs/a", "outputs/sub/b", "outputs-old/c", "logs/d"):
        run.upload_file(name, io.BytesIO(name.encode()))
    run.download_files("outputs/", "with")
    run.download_files("outputs/", "without", append_prefix=False)
    run.download_files(output_directory="all")
    run.download_files("outputs/", "named", output_paths=["first", "second"])
    found = set(tree(folder))
    assert {name for name in found if name.startswith("with/")} == {"with/outputs/a", "with/outputs/sub/b"}
    assert {name for name in found if name.startswith("without/")} == {"without/a", "without/sub/b"}
    assert sum(name.startswith("all/") for name in found) == 4
    assert (folder / "named/second").read_text() == "outputs/sub/b"
    with pytest.raises(ValueError, match="as many"):
        run.download_files("outputs/", "named", output_paths=["one"])


@pytest.mark.parity("FI-04")
def test_a_download_that_is_not_what_was_recorded_writes_nothing(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.upload_file("model.bin", io.BytesIO(b"weights"))
    transport = run.experiment.workspace._connection.transport()  # pyright: ignore[reportPrivateUsage]

    def other_bytes(*_: object) -> Iterator[bytes]:
        return iter([b"weight", b"z"])

    monkeypatch.setattr(transport, "open_file", other_bytes)
    with pytest.raises(Unavailable, match="SHA-256"):
        run.download_file("model.bin")
    assert list(folder.iterdir()) == []


# ── outputs and logs ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parity("FI-05")
@pytest.mark.parametrize("given", [True, "outputs", "./outputs"])
def test_outputs_are_uploaded_at_the_end(experiment: Experiment, folder: Path, given: str | bool) -> None:
    with experiment.start_logging(outputs=given) as run:
        assert (folder / "outputs").is_dir()
        write(folder / "outputs", model="weights", sub__b="B")
        assert run.get_file_names() == []
    assert run.get_file_names() == ["outputs/model", "outputs/sub/b"]


@pytest.mark.parity("FI-05")
def test_outputs_are_uploaded_after_an_exception_and_of_children(
    experiment: Experiment, folder: Path
) -> None:
    write(folder / "mine", a="A")
    with experiment.start_logging() as parent:
        with pytest.raises(ZeroDivisionError), parent.child_run(outputs=str(folder / "mine")) as child:
            raise ZeroDivisionError
        assert child.get_status() == "Failed"
        assert child.get_file_names() == ["mine/a"]
    assert parent.get_file_names() == []


@pytest.mark.parity("FI-05")
def test_outputs_that_are_not_asked_for_stay_where_they_are(experiment: Experiment, folder: Path) -> None:
    write(folder / "outputs", old="old")
    for outputs in (None, False):
        with experiment.start_logging(outputs=outputs) as run:
            pass
        assert run.get_file_names() == []
    with pytest.raises(Invalid, match="outputs"):
        experiment.start_logging(outputs=3)  # type: ignore[arg-type]  # what a script may pass


@pytest.mark.parity("FI-05")
def test_outputs_in_conflict_do_not_keep_a_run_from_its_end(experiment: Experiment, folder: Path) -> None:
    write(folder / "outputs", a="A", b="B")
    with experiment.start_logging(outputs=True) as run:
        run.upload_file("outputs/a", io.BytesIO(b"uploaded by hand"))
    assert run.get_status() == "Completed"
    assert run.get_file_names() == ["outputs/a", "outputs/b"]


@pytest.mark.parity("FI-05")
def test_a_log_is_read_while_it_is_written_and_afterwards(
    run: Run, workspace: Workspace, folder: Path
) -> None:
    transport, name = workspace._connection.transport(), workspace.name  # pyright: ignore[reportPrivateUsage]
    run.flush()
    end = transport.append_log(name, run.id, "logs/train.log", 0, b"epoch 1\n")
    assert end == 8
    assert transport.append_log(name, run.id, "logs/train.log", 0, b"epoch 1\n") == 8, "sent again: no effect"
    assert run.get_file_names() == ["logs/train.log"]
    run.download_file("logs/train.log")
    assert tree(folder) == {"train.log": "epoch 1\n"}
    assert transport.append_log(name, run.id, "logs/train.log", end, b"epoch 2\n") == 16
    assert transport.read_log(name, run.id, "logs/train.log", 8, 100) == b"epoch 2\n"
    assert [log.size_bytes for log in transport.logs(name, run.id)] == [16]
    for _ in range(2):
        transport.finish_log(name, run.id, "logs/train.log", "text/plain")
    assert transport.logs(name, run.id) == []
    assert transport.read_log(name, run.id, "logs/train.log", 0, 100) == b"epoch 1\nepoch 2\n"
    with pytest.raises(Conflict, match="finished"):
        transport.append_log(name, run.id, "logs/train.log", 16, b"epoch 3\n")
    run.upload_file("user_logs/std_log.txt", io.BytesIO(b"out"))
    run.upload_file("outputs/no.log", io.BytesIO(b"no log"))
    assert run.get_all_logs() == [f"assets/{run.id}/logs/train.log", f"assets/{run.id}/user_logs/std_log.txt"]
    assert (folder / run.get_all_logs("dest")[0]).read_text() == "epoch 1\nepoch 2\n"


@pytest.mark.parity("FI-05")
def test_of_two_that_write_one_log_one_is_told(run: Run, workspace: Workspace) -> None:
    transport, name = workspace._connection.transport(), workspace.name  # pyright: ignore[reportPrivateUsage]
    run.flush()
    transport.append_log(name, run.id, "logs/x", 0, b"mine")
    for offset, data in ((0, b"your"), (2, b"xx"), (9, b"gap")):
        with pytest.raises(Conflict) as caught:
            transport.append_log(name, run.id, "logs/x", offset, data)
        assert caught.value.facts["end"] == 4
    assert transport.append_log(name, run.id, "logs/x", 2, b"ne and more") == 13
    assert transport.read_log(name, run.id, "logs/x", 0, 100) == b"mine and more"


# ── snapshots ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parity("FI-06")
def test_a_snapshot_is_taken_once_and_restored_as_a_zip(run: Run, folder: Path) -> None:
    write(folder / "src", train="print(1)", lib__a="A")
    assert run.get_snapshot_id() is None
    with pytest.raises(NotFound, match="no snapshot"):
        run.restore_snapshot()
    taken = run.take_snapshot("src")
    assert run.get_snapshot_id() == taken == run.get_properties()["ContentSnapshotId"]
    with pytest.raises(SnapshotException, match=f"Cannot take snapshot as the run already has one: {taken}"):
        run.take_snapshot("src")
    archive = run.restore_snapshot(path="back")
    assert archive == f"back/{taken}.zip"
    with zipfile.ZipFile(archive) as packed:
        assert packed.namelist() == ["lib/a", "train"]
        assert packed.read("train") == b"print(1)"
    assert run.get_file_names() == [], "a snapshot is none of the run's own files"
    run.download_files(output_directory="all")
    assert not (folder / "all").exists()


@pytest.mark.parity("FI-06")
def test_an_unchanged_tree_has_the_same_snapshot(experiment: Experiment, folder: Path) -> None:
    write(folder / "src", train="print(1)", lib__a="A")
    first, second, third = (experiment.start_logging() for _ in range(3))
    taken = first.take_snapshot("src")
    (folder / "src").rename(folder / "elsewhere")
    (folder / "elsewhere/train").touch()
    assert second.take_snapshot("elsewhere") == taken
    write(folder / "elsewhere", train="print(2)")
    assert third.take_snapshot("elsewhere") != taken
    assert third.restore_snapshot(taken, "other") == f"other/{taken}.zip"
    with pytest.raises(NotFound, match="no snapshot 'nothing'"):
        third.restore_snapshot("nothing")


@pytest.mark.parity("FI-06")
def test_a_single_file_and_a_run_that_starts_with_its_snapshot(experiment: Experiment, folder: Path) -> None:
    write(folder / "src", train="print(1)")
    run = experiment.start_logging(snapshot_directory=str(folder / "src"))
    with zipfile.ZipFile(run.restore_snapshot()) as packed:
        assert packed.namelist() == ["train"]
    alone = experiment.start_logging()
    alone.take_snapshot("src/train")
    with zipfile.ZipFile(alone.restore_snapshot()) as packed:
        assert packed.namelist() == ["train"]
    with pytest.raises(FileNotFoundError):
        experiment.start_logging().take_snapshot("nowhere")
    with pytest.raises(Invalid, match="snapshot_directory"):
        experiment.start_logging(snapshot_directory="nowhere")


def snapshot_names(run: Run, source: str) -> list[str]:
    """What a snapshot of a folder holds."""
    run.take_snapshot(source)
    with zipfile.ZipFile(run.restore_snapshot()) as packed:
        return packed.namelist()


@pytest.mark.parity("FI-07")
def test_gitignore_keeps_files_out(run: Run, folder: Path) -> None:
    rules = "data/\n/secret\n*.log\n!keep.log\n"
    write(folder / "src", train="", a__data__x="", a__y="", secret="", dot_gitignore=rules)
    write(folder / "src/a", secret="")
    for name in ("x.log", "keep.log", ".git/config", "__pycache__/m.pyc"):
        place = folder / "src" / name
        place.parent.mkdir(exist_ok=True)
        place.write_text("")
    assert snapshot_names(run, "src") == [".gitignore", "a/secret", "a/y", "keep.log", "train"]


@pytest.mark.parity("FI-07")
def test_amlignore_wins_over_gitignore_folder_by_folder(run: Run, folder: Path) -> None:
    write(
        folder / "src",
        dot_gitignore="train\n*.bin\n",
        dot_amlignore="*.tmp\n",
        train="",
        sub__dot_gitignore="b\n",
    )
    for name in ("m.bin", "x.tmp", "sub/b", "sub/c", "sub/x.tmp"):
        (folder / "src" / name).write_text("")
    assert snapshot_names(run, "src") == [
        ".amlignore",
        ".gitignore",
        "m.bin",
        "sub/.gitignore",
        "sub/c",
        "train",
    ]


@pytest.mark.parity("FI-08")
def test_a_snapshot_over_a_limit_is_refused_by_name(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder / "src", a="12345", b="678", c="9")
    for name, limit, size in (("SNAPSHOT_FILES_MAX", 2, 3), ("SNAPSHOT_BYTES_MAX", 8, 9)):
        with monkeypatch.context() as patched:
            patched.setattr(limits, name, limit)
            with pytest.raises(LimitExceeded, match="amlignore") as caught:
                run.take_snapshot("src")
        assert (caught.value.limit, caught.value.size) == (limit, size)
    assert run.get_snapshot_id() is None
    assert limits.SNAPSHOT_BYTES_MAX >= 300 * 1024 * 1024, "Azure's"
    assert limits.SNAPSHOT_FILES_MAX >= 2_000, "Azure's"


@pytest.mark.parity("FI-08")
def test_a_file_over_the_limit_is_refused_before_it_is_sent(run: Run, folder: Path) -> None:
    place = folder / "huge"
    with place.open("wb") as file:
        file.truncate(limits.FILE_BYTES_MAX + 1)  # sparse: it takes no room
    with pytest.raises(LimitExceeded) as caught:
        run.upload_file("huge", str(place))
    assert (caught.value.field, caught.value.limit) == ("file", limits.FILE_BYTES_MAX)
    assert run.get_file_names() == []


def test_names_that_runfold_keeps_for_itself_are_refused(run: Run) -> None:
    for name in (HIDDEN_PREFIX + "x", "./" + HIDDEN_PREFIX + "snapshots/x.zip"):
        with pytest.raises(Invalid, match="kept for runfold"):
            run.upload_file(name, io.BytesIO(b"x"))
