"""The process is killed at every step of an upload: the file is there complete and recorded as it is, or not at all."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Final

import pytest

from runfold_events.sync import run_sync
from runfold_services.compose import open_embedded
from tests.chaos.files_killer import DATA, PATH, WORKSPACE
from tests.support.killing import run_killer

STEPS_MIN: Final = 8
TIMEOUT_S: Final = 100


def killed(folder: Path, how: str, stride: int) -> list[Path]:
    """The homes of uploads that were killed some steps later each; the last one came to its end."""
    folder.mkdir()
    run_killer("files_killer", str(folder), how, str(stride), timeout_s=TIMEOUT_S)
    return sorted(folder.iterdir(), key=lambda place: int(place.name))


def damage(home: Path) -> list[str]:
    """What is wrong in a home: contents that are not what their name says, files without their content."""
    tracker = open_embedded(home, background=False)
    try:
        found = [
            f"content {sha256[:8]} is torn"
            for sha256 in tracker.files.contents(WORKSPACE, older_than_s=-60)
            if hashlib.sha256(b"".join(tracker.files.read(WORKSPACE, sha256))).hexdigest() != sha256
        ]
        for file in run_sync(tracker.views.files(WORKSPACE, "run")):
            if not tracker.files.has(WORKSPACE, file.sha256):
                found.append(f"{file.path} is recorded and not there")
        return found
    finally:
        run_sync(tracker.close())


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Uploads as they are, killed at every step."""
    return killed(tmp_path_factory.mktemp("killed") / "ours", "ours", 1)


def test_killed_at_every_step_a_file_is_whole_or_absent(homes: list[Path]) -> None:
    assert len(homes) > STEPS_MIN
    assert {home.name: found for home in homes if (found := damage(home))} == {}
    tracker = open_embedded(homes[-1], background=False)
    (file,) = run_sync(tracker.views.files(WORKSPACE, "run"))
    run_sync(tracker.close())
    assert (file.path, file.size_bytes) == (PATH, len(DATA)), "the last one came to its end"


@pytest.mark.parametrize(
    ("how", "said"), [("in-place", "is torn"), ("record-first", "is recorded and not there")]
)
def test_control_without_its_protection_an_upload_leaves_damage(tmp_path: Path, how: str, said: str) -> None:
    """Looked for at some steps first, in the end at every one: few of them are in the middle of the file."""
    homes = (home for stride in (3, 2, 1) for home in killed(tmp_path / f"{how}-{stride}", how, stride))
    assert any(said in found for home in homes for found in damage(home))


def test_what_a_killed_upload_left_is_removed_by_a_later_one(homes: list[Path]) -> None:
    left = [path for home in homes for path in home.glob("files/incoming/*")]
    assert left, "the control: something was left"
    home = left[0].parents[2]
    os.utime(left[0], (0, 0))  # long ago
    tracker = open_embedded(home, background=False)
    with tracker.files.receive(WORKSPACE) as incoming:
        assert [path for path in left[0].parent.iterdir() if path == left[0]] == []
        os.utime(next(left[0].parent.iterdir()), (0, 0))
        with tracker.files.receive(WORKSPACE):
            incoming.write(b"still there")
        assert incoming.finish().size_bytes == 11, "a living upload is left alone, however long it takes"
    run_sync(tracker.close())
