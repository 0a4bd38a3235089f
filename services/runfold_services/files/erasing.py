"""Removing contents that nobody needs any more, while others may be storing the same bytes at the same moment.

Whoever uploads stores the content, records it, looks whether it is still there, and stores it again if not. Whoever
removes sets the content aside, asks again who has recorded it, and only then discards it. So a content that is recorded
before the second question is put back, and one that is recorded after it is found missing by who recorded it. Several
may remove at once: each has hidden something of its own, and puts back or discards nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol, TypeVar

from runfold_services.files.port import Aside, FileStore

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
        removed += await _end_asides(desk, workspace, aside)
    return removed


async def sweep(desk: Desk, workspace: str, *, older_than_s: float = ORPHAN_S) -> int:
    """Remove contents that were stored long ago and never recorded, or whose run was erased; returns how many.

    What somebody who died had set aside is put back where it is needed.
    """
    files = desk.files
    await desk.apart(lambda: files.forget_uploads(workspace, older_than_s=older_than_s))
    left = await desk.apart(lambda: list(files.asides(workspace, older_than_s=older_than_s)))
    removed = 0
    for start in range(0, len(left), _CONTENTS_AT_ONCE):
        removed += await _end_asides(desk, workspace, left[start : start + _CONTENTS_AT_ONCE])
    old = await desk.apart(lambda: list(files.contents(workspace, older_than_s=older_than_s)))
    return removed + await remove_unrecorded(desk, workspace, old)


async def _end_asides(desk: Desk, workspace: str, asides: Sequence[Aside]) -> int:
    """Ask who has recorded what is hidden, put that back and discard the rest; returns how many contents went.

    Where nobody answers, all of it is put back: what is recorded must not stay hidden until the next sweep.
    """
    try:
        used = await desk.recorded(workspace, [aside.sha256 for aside in asides])
    except BaseException:
        _end(desk.files, workspace, asides, {aside.sha256 for aside in asides})
        raise
    await desk.apart(lambda: _end(desk.files, workspace, asides, used))
    return sum(aside.sha256 not in used for aside in asides)


def _set_aside(files: FileStore, workspace: str, sha256s: Sequence[str]) -> list[Aside]:
    found = (files.set_aside(workspace, sha256) for sha256 in sha256s)
    return [aside for aside in found if aside is not None]


def _end(files: FileStore, workspace: str, asides: Sequence[Aside], used: set[str]) -> None:
    for aside in asides:
        (files.put_back if aside.sha256 in used else files.discard)(workspace, aside)
