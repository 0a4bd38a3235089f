"""Hostile names and folders: nothing is written outside of its place, whoever made the names."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import io
import os
import socket
import stat
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from runfold import Experiment, Invalid, LimitExceeded, NotFound, Run
from runfold._snapshots import unpack
from runfold_events.contract import limits
from runfold_events.contract.commands import RecordArtifact

HOSTILE = [
    "../escape",
    "a/../../escape",
    "..",
    ".",
    "a/./b",
    "/absolute",
    "//server/share",
    "a//b",
    "a/",
    "",
    "nul\x00byte",
    "..\\escape",
    "C:\\escape",
    "\ud800",
    "x" * 5_000,
    "d/" * 2_500 + "x",
]


@pytest.fixture
def run(experiment: Experiment) -> Run:
    """A run that this process holds."""
    return experiment.start_logging()


@pytest.fixture(autouse=True)
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder; beside it lies what must not change."""
    place = tmp_path / "outside" / "inside"
    place.mkdir(parents=True)
    (place.parent / "escape").write_text("untouched")
    monkeypatch.chdir(place)
    return place


def outside(place: Path) -> dict[str, str]:
    """Everything beside the folder."""
    return {p.name: p.read_text() for p in place.parent.iterdir() if p.is_file()}


@pytest.mark.parametrize("name", HOSTILE, ids=lambda name: ascii(name[:12]))
def test_no_call_takes_such_a_name(run: Run, inside: Path, name: str) -> None:
    transport, workspace = run._connection.transport(), run._workspace.name
    calls: list[Callable[[], object]] = [
        lambda: run.upload_file(name, io.BytesIO(b"x")),
        lambda: run.upload_files([name], [__file__]),
        lambda: run.download_file(name, "got"),
        lambda: run._call(RecordArtifact(run_id=run.id, path=name, sha256="0" * 64, size_bytes=1)),
        lambda: transport.append_log(workspace, run.id, name, 0, b"x"),
        lambda: transport.read_log(workspace, run.id, name, 0, 1),
        lambda: transport.finish_log(workspace, run.id, name, "text/plain"),
    ]
    for call in calls:
        with pytest.raises(Invalid):
            call()
    with pytest.raises((Invalid, NotFound)):
        transport.open_file(workspace, run.id, name, None)
    assert run.get_file_names() == []
    assert outside(inside) == {"escape": "untouched"}
    assert list(inside.iterdir()) == []


def test_names_that_differ_in_case_are_two_files(run: Run, inside: Path, tmp_path: Path) -> None:
    for name in ("model.bin", "Model.bin", "MODEL.BIN"):
        run.upload_file(name, io.BytesIO(name.encode()))
    assert len(run.get_file_names()) == 3
    for name in run.get_file_names():
        run.download_file(name, "got")
        assert (inside / "got").read_text() == name
    folds_case = (tmp_path / "OUTSIDE").exists()
    if folds_case:
        with pytest.raises(Invalid, match="takes it for"):
            run.download_files(output_directory="all")
    else:
        run.download_files(output_directory="all")
        assert {p.name: p.read_text() for p in (inside / "all").iterdir()} == {
            name: name for name in ("model.bin", "Model.bin", "MODEL.BIN")
        }


def test_a_download_is_not_led_out_by_links(run: Run, inside: Path) -> None:
    run.upload_file("dir/escape", io.BytesIO(b"uploaded"))
    run.upload_file("escape", io.BytesIO(b"uploaded"))
    (inside / "got").mkdir()
    (inside / "got/dir").symlink_to(inside.parent)
    (inside / "got/escape").symlink_to(inside.parent / "escape")
    with pytest.raises(Invalid, match="leads out"):
        run.download_files("dir/", "got")
    run.download_files("escape", "got")
    assert (inside / "got/escape").read_text() == "uploaded"
    assert not (inside / "got/escape").is_symlink(), "the link is replaced, not followed"
    for given in ("../escape", "/escape", "a/../../escape"):
        with pytest.raises(Invalid):
            run.download_files("escape", "got", output_paths=[given])
    assert outside(inside) == {"escape": "untouched"}


def test_a_file_where_a_folder_is_wanted_is_said(run: Run, inside: Path) -> None:
    run.upload_file("a", io.BytesIO(b"a file"))
    run.upload_file("a/b", io.BytesIO(b"below it"))
    with pytest.raises(Invalid, match="'a/b' cannot be written"):
        run.download_files(output_directory="all")
    long = "é" * 200
    run.upload_file(long, io.BytesIO(b"x"))  # 400 bytes: more than a name on most file systems
    with pytest.raises((Invalid, OSError)):
        run.download_files(long, "all")


def make_special(folder: Path) -> None:
    """Links, a pipe and a socket beside one honest file; a device where this user may make one."""
    folder.mkdir()
    (folder / "honest").write_text("honest")
    (folder / "link-inside").symlink_to("honest")
    (folder / "link-out").symlink_to(folder.parent.parent / "escape")
    (folder / "link-dangling").symlink_to("nothing")
    (folder / "link-loop").symlink_to("link-loop")
    (folder / "folder-out").symlink_to(folder.parent.parent)
    os.mkfifo(folder / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(folder / "socket"))
    if os.geteuid() == 0:
        with suppress(PermissionError):  # root of a container that may not
            os.mknod(folder / "device", stat.S_IFCHR | 0o600, os.makedev(1, 5))


def test_links_out_and_devices_are_no_part_of_a_folder(run: Run, inside: Path) -> None:
    make_special(inside / "src")
    run.take_snapshot("src")
    with zipfile.ZipFile(run.restore_snapshot()) as packed:
        assert packed.namelist() == ["honest", "link-inside"]
        assert packed.read("link-inside") == b"honest"
    run.upload_folder("files", "src")
    assert run.get_file_names() == ["files/honest", "files/link-inside"]
    for name in ("pipe", "folder-out"):
        with pytest.raises(Invalid, match="no regular file"):
            run.upload_file("x", str(inside / "src" / name))


def archive_of(place: Path, *entries: tuple[str, bytes, int]) -> Path:
    """A zip with entries of these names, contents and modes."""
    with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content, mode in entries:
            entry = zipfile.ZipInfo(name)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = mode << 16
            packed.writestr(entry, content)
    return place


@pytest.mark.parametrize("name", ["../escape", "/escape", "a/../../escape", "..\\escape", "x" * 5_000])
def test_a_zip_is_not_unpacked_outside(inside: Path, name: str) -> None:
    archive = archive_of(inside / "a.zip", ("honest", b"x", 0o644), (name, b"escaped", stat.S_IFREG | 0o644))
    with pytest.raises(Invalid):
        unpack(archive, inside / "got")
    assert outside(inside) == {"escape": "untouched"}
    assert {p.name for p in (inside / "got").iterdir()} <= {"honest"}


def test_a_zip_brings_no_links(inside: Path) -> None:
    archive = archive_of(inside / "a.zip", ("link", b"..", stat.S_IFLNK | 0o777), ("link/escape", b"x", 0))
    with pytest.raises(Invalid, match="no regular file"):
        unpack(archive, inside / "got")
    (inside / "led").mkdir()
    (inside / "led/dir").symlink_to(inside.parent)
    with pytest.raises(Invalid, match="leads out"):
        unpack(archive_of(inside / "b.zip", ("dir/escape", b"x", 0)), inside / "led")
    assert outside(inside) == {"escape": "untouched"}


def test_a_zip_bomb_ends_at_the_limit(inside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SNAPSHOT_BYTES_MAX", 1_000_000)
    monkeypatch.setattr(limits, "SNAPSHOT_FILES_MAX", 10)
    bomb = archive_of(inside / "bomb.zip", *((f"zeros-{n}", bytes(900_000), 0) for n in range(5)))
    assert bomb.stat().st_size < 10_000
    with pytest.raises(LimitExceeded):
        unpack(bomb, inside / "got")
    assert sum(p.stat().st_size for p in (inside / "got").iterdir()) <= 1_000_000
    many = archive_of(inside / "many.zip", *((f"f{n}", b"", 0) for n in range(11)))
    with pytest.raises(LimitExceeded):
        unpack(many, inside / "many")
    assert not list((inside / "many").iterdir())
    lying = bytearray(archive_of(inside / "lying.zip", ("zeros", bytes(3_000_000), 0)).read_bytes())
    size = (3_000_000).to_bytes(4, "little")
    (inside / "lying.zip").write_bytes(lying.replace(size, (10).to_bytes(4, "little")))
    with pytest.raises((LimitExceeded, Invalid)):  # it says 10 bytes of itself
        unpack(inside / "lying.zip", inside / "lies")
    assert sum(p.stat().st_size for p in (inside / "lies").iterdir()) <= 1_000_000


def test_what_is_no_zip_is_said(inside: Path) -> None:
    (inside / "no.zip").write_bytes(b"PK\x03\x04 and then nothing")
    with pytest.raises(Invalid, match="no snapshot"):
        unpack(inside / "no.zip", inside / "got")


def test_an_honest_zip_is_unpacked_as_it_was(inside: Path, run: Run) -> None:
    (inside / "src/deep").mkdir(parents=True)
    (inside / "src/run.sh").write_text("#!/bin/sh\n")
    (inside / "src/run.sh").chmod(0o755)
    (inside / "src/deep/data").write_text("data")
    run.take_snapshot("src")
    assert unpack(Path(run.restore_snapshot()), inside / "got") == 2
    assert (inside / "got/deep/data").read_text() == "data"
    assert (inside / "got/run.sh").stat().st_mode & stat.S_IXUSR
    assert not (inside / "got/deep/data").stat().st_mode & stat.S_IXUSR
