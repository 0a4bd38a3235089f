"""Removing contents that nobody needs any more, while others may be storing the same bytes at the same moment.

Whoever uploads stores the content, records it, looks whether it is still there, and stores it again if not. Whoever
removes sets the content aside, asks again who has recorded it, and only then discards it. So a content that is recorded
before the second question is put back, and one that is recorded after it is found missing by who recorded it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol, TypeVar

from runfold_services.files.port import FileStore

ORPHAN_S: Final = 24 * 3600.0  # an upload is recorded within this time, or never
_CONTENTS_AT_ONCE: Final = 500
T = TypeVar("T")


class Desk(Protocol):
    """What removing needs of who does it."""

    @property
    def files(self) -> FileStore: ...

    async def recorded(self, workspace: str, sha256s: Sequence[str]) -> set[str]:
        """Which of the contents somebody has recorded, as of now: not as views stood a moment ago."""
        ...

    async def apart(self, work: Callable[[], T]) -> T:
        """Do what blocks where it holds nobody up."""
        ...


async def remove_unrecorded(desk: Desk, workspace: str, sha256s: Iterable[str]) -> int:
    """Remove those of the contents that no run of the workspace has recorded; returns how many went."""
    removed = 0
    wanted = list(dict.fromkeys(sha256s))
    for start in range(0, len(wanted), _CONTENTS_AT_ONCE):
        part = wanted[start : start + _CONTENTS_AT_ONCE]
        used = await desk.recorded(workspace, part)
        unused = [sha256 for sha256 in part if sha256 not in used]
        aside = await desk.apart(lambda ones=unused: _set_aside(desk.files, workspace, ones))  # type: ignore[misc]
        if not aside:
            continue
        used = await desk.recorded(workspace, aside)
        await desk.apart(lambda ones=aside, them=used: _end(desk.files, workspace, ones, them))  # type: ignore[misc]
        removed += len(set(aside) - used)
    return removed


async def sweep(desk: Desk, workspace: str, *, older_than_s: float = ORPHAN_S) -> int:
    """Remove contents that were stored long ago and never recorded, or whose run was erased; returns how many.

    What somebody who died had set aside is put back where it is needed.
    """
    old = await desk.apart(lambda: list(desk.files.contents(workspace, older_than_s=older_than_s)))
    for start in range(0, len(old), _CONTENTS_AT_ONCE):
        part = old[start : start + _CONTENTS_AT_ONCE]
        used = await desk.recorded(workspace, part)
        await desk.apart(lambda them=used: _put_back_missing(desk.files, workspace, them))  # type: ignore[misc]
    return await remove_unrecorded(desk, workspace, old)


def _set_aside(files: FileStore, workspace: str, sha256s: Sequence[str]) -> list[str]:
    return [sha256 for sha256 in sha256s if files.set_aside(workspace, sha256)]


def _end(files: FileStore, workspace: str, aside: Sequence[str], used: set[str]) -> None:
    for sha256 in aside:
        (files.put_back if sha256 in used else files.discard)(workspace, sha256)


def _put_back_missing(files: FileStore, workspace: str, sha256s: Iterable[str]) -> None:
    for sha256 in sha256s:
        if not files.has(workspace, sha256):
            files.put_back(workspace, sha256)
