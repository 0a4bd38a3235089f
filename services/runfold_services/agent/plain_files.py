"""Plain files of a working copy: found, and opened, without being led elsewhere."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

LeftOut = Callable[[str, str], object]  # a path, and why it is not among the files


def inside(name: str) -> str | None:
    """A folder's name as a path inside the working copy; None when it would lead out of it, or is all of it."""
    parts = [part for part in name.replace("\\", "/").split("/") if part not in {"", "."}]
    return None if not parts or ".." in parts or name.startswith("/") else "/".join(parts)


def plain_files(work: Path, name: str, left_out: LeftOut, *, follow: bool) -> Iterator[tuple[str, Path]]:
    """Plain files below ``work/name``, by path, each with the place where it lies; what is none of them is told.

    ``follow``: a link counts as what it leads to, if that lies below ``work/name`` too. Below such a link no further
    link to a folder is followed, so that links cannot make much of little.
    """
    parts = name.split("/")
    if any(work.joinpath(*parts[:count]).is_symlink() for count in range(1, len(parts) + 1)):
        left_out(name, "a link")
        return
    top = (work / name).resolve()
    folders = [(name, top, False)]
    while folders:
        path, folder, is_linked = folders.pop()
        deeper: list[tuple[str, Path, bool]] = []
        for entry in _entries(path, folder, left_out):
            entry_path = f"{path}/{entry.name}"
            place = _place(entry, top, is_linked) if follow or not entry.is_symlink() else "a link"
            if isinstance(place, str):
                left_out(entry_path, place)
            elif place.is_dir():
                deeper.append((entry_path, place, is_linked or entry.is_symlink()))
            elif _is_plain(place):
                yield entry_path, place
            elif os.path.lexists(place):
                left_out(entry_path, "neither a file nor a folder")
        folders += reversed(deeper)


def _entries(path: str, folder: Path, left_out: LeftOut) -> list[os.DirEntry[str]]:
    """What is in a folder, by name; nothing when it is gone."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except FileNotFoundError:
        return []
    except OSError as error:
        left_out(path, f"cannot be read: {error.strerror}")
        return []


def _place(entry: os.DirEntry[str], top: Path, is_linked: bool) -> Path | str:
    """Where an entry of a folder lies; or why it is left out."""
    try:
        entry.name.encode()
    except UnicodeEncodeError:
        return "its name is not UTF-8"
    place = Path(entry.path)
    if not entry.is_symlink():
        return place
    try:
        target = place.resolve(strict=True)
    except (OSError, RuntimeError):  # RuntimeError: before Python 3.13, for a link that leads to itself
        return "a link that leads nowhere"
    if not target.is_relative_to(top):
        return f"a link that leads out of {top.name}"
    if target.is_dir() and (is_linked or place.is_relative_to(target)):
        return "a link to a folder that is stored elsewhere"
    return target


def _is_plain(file: Path) -> bool:
    try:
        return stat.S_ISREG(file.lstat().st_mode)
    except OSError:
        return False


def open_plain(file: Path) -> BinaryIO | None:
    """A plain file, opened for reading; None when it is none (any more)."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        return None
    return os.fdopen(descriptor, "rb")
