"""Snapshots: a folder as one zip, whose id follows from what is in it.

The zip says nothing of when or by whom it was made, and the id is made of paths and digests: the same tree has the same
id on every machine, and its bytes are stored once.
"""

from __future__ import annotations

import hashlib
import os
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Final
from uuid import uuid5

from msgspec import Struct

from runfold._files import is_inside, ledger_names, open_regular
from runfold._ignore import NEVER, Rule, is_ignored, rules_of
from runfold_events.contract import limits
from runfold_events.contract.errors import Invalid, LimitExceeded
from runfold_events.contract.ids import RUNFOLD_NAMESPACE
from runfold_events.contract.validation import check_artifact_path

_WHEN: Final = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can say
_PIECE_BYTES: Final = 1024 * 1024
_EXECUTABLE: Final = 0o755
_PLAIN: Final = 0o644


class Snapshot(Struct, frozen=True):
    """What was packed."""

    snapshot_id: str
    files: int
    size_bytes: int  # of the files, unpacked


def pack(source: Path, goal: BinaryIO) -> Snapshot:
    """Write ``source``, a folder or one file, as a zip.

    Raises:
        FileNotFoundError: there is no such folder or file.
        LimitExceeded: it has too many files or bytes; the message says how to leave some out.
        Invalid: a file has a name that no file of a run can have.
    """
    chosen = sorted(chosen_files(source))
    _check_count(len(chosen))
    _check_size(sum(file.stat().st_size for _, file in chosen))
    tree = hashlib.sha256()
    total = 0
    with zipfile.ZipFile(goal, "w", zipfile.ZIP_DEFLATED, allowZip64=True) as packed:
        for path, file in chosen:
            mode = _EXECUTABLE if file.stat().st_mode & stat.S_IXUSR else _PLAIN
            digest, size = _pack_file(packed, path, file, mode, limits.SNAPSHOT_BYTES_MAX - total)
            total += size
            tree.update(f"{len(path.encode())}:{path}:{mode:o}:{digest}\n".encode())
    return Snapshot(str(uuid5(RUNFOLD_NAMESPACE, tree.hexdigest())), len(chosen), total)


def chosen_files(source: Path) -> Iterator[tuple[str, Path]]:
    """The files that a snapshot of ``source`` holds, with their paths in it."""
    if source.is_dir():
        yield from _below(source, source.resolve(), "", [])
    elif source.exists():
        yield check_artifact_path(source.name, "file_or_folder_path"), source
    else:
        raise FileNotFoundError(2, "No such file or folder", str(source))


def _below(folder: Path, root: Path, place: str, rules: list[tuple[str, Rule]]) -> Iterator[tuple[str, Path]]:
    rules = [*rules, *((place, rule) for rule in rules_of(folder))]
    with os.scandir(folder) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    left_out = NEVER | ledger_names(entry.name for entry in found)
    for entry in found:
        path = place + entry.name
        is_folder = entry.is_dir(follow_symlinks=False)
        if entry.name in left_out or is_ignored(path, is_folder, rules):
            continue
        if is_folder:
            yield from _below(Path(entry.path), root, path + "/", rules)
        elif is_inside(Path(entry.path), root):
            yield check_artifact_path(path, "file_or_folder_path"), Path(entry.path)


def _pack_file(packed: zipfile.ZipFile, path: str, file: Path, mode: int, bytes_left: int) -> tuple[str, int]:
    entry = zipfile.ZipInfo(path, _WHEN)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.create_system = 3  # Unix, wherever it is made
    entry.external_attr = (stat.S_IFREG | mode) << 16
    digest, size = hashlib.sha256(), 0
    with open_regular(file) as source, packed.open(entry, "w", force_zip64=True) as goal:
        while piece := source.read(_PIECE_BYTES):
            size += len(piece)
            if size > bytes_left:
                _check_size(limits.SNAPSHOT_BYTES_MAX - bytes_left + size)
            digest.update(piece)
            goal.write(piece)
    return digest.hexdigest(), size


def _check_count(count: int) -> None:
    if count > limits.SNAPSHOT_FILES_MAX:
        raise _too_large("files", limits.SNAPSHOT_FILES_MAX, count)


def _check_size(size: int) -> None:
    if size > limits.SNAPSHOT_BYTES_MAX:
        raise _too_large("bytes", limits.SNAPSHOT_BYTES_MAX, size)


def _too_large(what: str, limit: int, size: int) -> LimitExceeded:
    return LimitExceeded(
        f"A field is over the size limit. FieldName=snapshot.{what}, Limit={limit}, Size={size}. Name what does not "
        "belong to it in a file .amlignore (or .gitignore) of the folder",
        facts={"field": f"snapshot.{what}", "limit": limit, "size": size},
    )


def unpack(archive: Path, goal: Path) -> int:
    """Unpack a snapshot into a folder, which need not exist; returns the number of files.

    Nothing is written outside of the folder, and no more than a snapshot may hold, whatever the zip says of itself.

    Raises:
        Invalid: it is no zip of a snapshot; what was unpacked before that stays.
        LimitExceeded: it unpacks to more than a snapshot may hold.
    """
    goal.mkdir(parents=True, exist_ok=True)
    left = limits.SNAPSHOT_BYTES_MAX
    try:
        with zipfile.ZipFile(archive) as packed:
            entries = [entry for entry in packed.infolist() if not entry.is_dir()]
            _check_count(len(entries))
            for entry in entries:
                left -= _unpack_file(packed, entry, goal, left)
    except (zipfile.BadZipFile, EOFError, OSError, NotImplementedError, RuntimeError) as error:
        raise Invalid(
            f"{archive.name} is no snapshot that can be unpacked: {error}",
            facts={"field": "snapshot", "size": str(error)[:200]},
        ) from error
    return len(entries)


def _unpack_file(packed: zipfile.ZipFile, entry: zipfile.ZipInfo, goal: Path, bytes_left: int) -> int:
    path = check_artifact_path(entry.filename, "snapshot")
    mode = entry.external_attr >> 16
    if stat.S_IFMT(mode) not in {0, stat.S_IFREG}:
        raise Invalid(
            f"the snapshot holds {path[:200]!r}, which is no regular file",
            facts={"field": "snapshot", "limit": "regular files", "size": path[:200]},
        )
    place = goal / PurePosixPath(path)
    place.parent.mkdir(parents=True, exist_ok=True)
    if not place.parent.resolve().is_relative_to(goal.resolve()):
        raise Invalid(
            f"{path[:200]!r} cannot be unpacked: a link leads out of {goal}",
            facts={"field": "snapshot", "size": path[:200]},
        )
    size = 0
    with packed.open(entry) as source, place.open("xb") as file:
        while piece := source.read(_PIECE_BYTES):
            size += len(piece)
            if size > bytes_left:
                _check_size(limits.SNAPSHOT_BYTES_MAX - bytes_left + size)
            file.write(piece)
    if mode & stat.S_IXUSR:
        place.chmod(_EXECUTABLE)
    return size
