"""Where a writer keeps what it has not delivered: one folder per writer, owned by whoever holds the lock in it.

::

    {destination}/              one server, or the embedded home's ``spool``
        {writer id}/            one process; a fork is another writer
            owner               who it is, as JSON; an flock on it: its process lives, or somebody drains it
            calls-….log         what the job said, in order, as it said it
            sends-….log         what became of it: numbered commands before they are sent, and answers
        refused.jsonl           what was refused for good, with the reason
        receipts.log            what was delivered by writers that are gone, for ``runfold sync --verify``

A folder is removed when everything in it was delivered. :mod:`runfold._spool_log` says what survives what.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final
from uuid import UUID

import msgspec
from msgspec import Struct

from runfold._spool_log import SEGMENT_BYTES_MIN, Log

_HAS_LOCKS: Final = (
    os.name == "posix"
)  # elsewhere no lock that a killed process gives up: nothing is kept in files
FORMAT_VERSION: Final = 1
BYTES_MAX_DEFAULT: Final = 1024 * 1024 * 1024
MEMORY_BYTES_MAX: Final = 64 * 1024 * 1024  # of what waits in memory where no files can be kept
OWNER: Final = "owner"
CALLS: Final = "calls"
SENDS: Final = "sends"
_UNFINISHED: Final = "."  # what the name of a folder begins with that is being made
# Where a block that was reserved is there for a mapping to write to. Elsewhere records are written through.
_MAPPED_FILE_SYSTEMS: Final = frozenset({"ext2", "ext3", "ext4", "xfs", "tmpfs", "overlay", "apfs", "hfs"})
_log = logging.getLogger("runfold")


class Place(Struct, frozen=True, kw_only=True):
    """Where a process keeps its spools for one destination.

    Attributes:
        folder: of the destination; None: in memory only.
        target: the destination, as a user would name it: an address, or a home.
        bytes_max: what one writer's files may take; values that find no room are counted and declared lost.
        syncs: have the disk take what waits before it is sent, and at every try of an outage: for
            power cuts.
    """

    folder: Path | None = None
    target: str = ""
    bytes_max: int = BYTES_MAX_DEFAULT
    syncs: bool = False


IN_MEMORY: Final = Place()


class Owner(Struct, frozen=True, kw_only=True):
    """Who a spool is of, for people and for other processes."""

    format: int = FORMAT_VERSION
    writer_id: UUID
    target: str
    host: str
    pid: int
    program: str
    started_at: float


class Spool:
    """One writer's folder while this process owns it, or the same in memory."""

    def __init__(self, folder: Path | None, lock: int | None, *, writes_through: bool = False) -> None:
        self.folder = folder
        self.calls = Log(folder, CALLS, writes_through=writes_through)
        self.sends = Log(folder, SENDS, writes_through=writes_through)
        self._lock = lock

    def sync(self) -> None:
        """Have the disk take what is here, for power cuts; what cannot be had is told of."""
        for log in (self.calls, self.sends):
            try:
                log.sync()
            except OSError as error:
                _log.warning(
                    "runfold: %s was not taken by the disk: %s", self.folder, error.strerror or error
                )

    def leave(self) -> None:
        """Let go of it; what is in it waits for somebody else."""
        self.calls.close()
        self.sends.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def remove(self) -> None:
        """Everything was delivered."""
        if self.folder is not None:
            remove_folder(self.folder)
        self.leave()


def open_spool(place: Place, writer_id: UUID) -> Spool:
    """A new writer's spool: in memory where no files can be kept, which is said once and clearly."""
    if place.folder is None:
        return Spool(None, None)
    if not _HAS_LOCKS:
        _log.warning("runfold: %s", _unprotected("this system has no flock"))
        return Spool(None, None)
    try:
        return _make(place, place.folder, writer_id)
    except OSError as error:
        _log.warning(
            "runfold: %s", _unprotected(f"{place.folder} cannot be written ({error.strerror or error})")
        )
        return Spool(None, None)


def _unprotected(why: str) -> str:
    return (
        f"{why}, so values and commands that are not delivered yet wait in memory: at most "
        f"{MEMORY_BYTES_MAX // 1024**2} MiB of them, and they are lost if this process is killed, or ends while the "
        "server is gone. RUNFOLD_SPOOL names another folder; RUNFOLD_SPOOL=off says that this is meant"
    )


def _make(place: Place, folder: Path, writer_id: UUID) -> Spool:
    """Made under another name, so that nobody finds it before it is locked."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    unfinished, final = folder / f"{_UNFINISHED}{writer_id}", folder / str(writer_id)
    unfinished.mkdir(mode=0o700)
    lock = None
    try:
        lock = os.open(unfinished / OWNER, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        _take(lock)
        os.write(lock, msgspec.json.encode(_owner(place, writer_id)))
        unfinished.rename(final)
    except BaseException:
        if lock is not None:
            os.close(lock)
        remove_folder(unfinished)
        raise
    spool = Spool(final, lock, writes_through=not _mapping_is_safe(final))
    try:
        spool.sends.roll(SEGMENT_BYTES_MIN)  # so that there is always a place to say what is in doubt
    except BaseException:
        spool.remove()
        raise
    return spool


def _owner(place: Place, writer_id: UUID) -> Owner:
    return Owner(
        writer_id=writer_id,
        target=place.target,
        host=_host(),
        pid=os.getpid(),
        program=sys.argv[0] if sys.argv else "",
        started_at=time.time(),
    )


def _mapping_is_safe(folder: Path) -> bool:
    kind = _file_system(folder)
    return kind is None or kind in _MAPPED_FILE_SYSTEMS


def _file_system(folder: Path) -> str | None:
    from runfold_events.file_systems import file_system_type_of

    return file_system_type_of(folder)


# Spools of others


def spools_in(folder: Path) -> Iterator[Path]:
    """Folders of writers, the oldest first."""
    try:
        found = [path for path in folder.iterdir() if not path.name.startswith(_UNFINISHED)]
    except OSError:
        return
    made: list[tuple[float, Path]] = []
    for path in found:
        with suppress(OSError):
            made.append(((path / OWNER).stat().st_mtime, path))
    yield from (path for _, path in sorted(made))


def holds_calls(folder: Path) -> bool:
    """Whether anything that was logged is in a spool. What was sent goes before, so then nothing of it is left."""
    return any(folder.glob(f"{CALLS}-*"))


def read_owner(folder: Path) -> Owner | None:
    """Who a spool is of; None when that cannot be read."""
    try:
        return msgspec.json.decode((folder / OWNER).read_bytes(), type=Owner)
    except (OSError, msgspec.MsgspecError):
        return None


def lock_spool(folder: Path) -> int | None:
    """Own a spool whose process is gone; None while somebody has it. Closing the descriptor gives it back.

    On a file system that several machines share, a lock may hold on one of them only: there, only spools that were made
    on this one can be owned.
    """
    if not _HAS_LOCKS:
        return None
    try:
        lock = os.open(folder / OWNER, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        _take(lock)
        is_same = os.path.samestat(os.fstat(lock), (folder / OWNER).stat())  # not removed a moment ago
        if is_same and _is_for_us(folder):
            return lock
    except OSError:
        pass
    os.close(lock)
    return None


def _is_for_us(folder: Path) -> bool:
    from runfold_events.file_systems import is_network

    kind = _file_system(folder)
    if kind is None or not is_network(kind):
        return True
    owner = read_owner(folder)
    return owner is not None and owner.host == _host()


def _take(lock: int) -> None:
    """Raise OSError where somebody has the lock."""
    import fcntl

    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _host() -> str:
    import platform

    return platform.node()


def remove_folder(folder: Path) -> None:
    """Remove a spool that this process owns; its lock's file goes last."""
    for path in sorted(folder.glob("*"), key=lambda path: path.name == OWNER):
        with suppress(OSError):
            path.unlink()
    with suppress(OSError):
        folder.rmdir()
