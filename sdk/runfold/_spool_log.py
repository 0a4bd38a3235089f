"""A log of records in segments: files that are mapped into memory, or memory alone where there is no place for files.

What was copied into a mapped file is in the kernel's page cache: it survives this process, not a power cut. A copy into
a mapping does not let go of the interpreter as ``write`` would, so a thread of the job that never rests cannot get in
between. The blocks of a segment are reserved when it is made: a disk that is full refuses a new segment, which is an
error, and does not kill the process that writes into an old one.
"""

from __future__ import annotations

import logging
import mmap
import os
from collections.abc import Iterator
from operator import attrgetter
from pathlib import Path
from typing import Final

from runfold import _spool_format as form
from runfold._spool_format import Damage, Found, Kind

SEGMENT_BYTES_MIN: Final = 256 * 1024
SEGMENT_BYTES_MAX: Final = 8 * 1024 * 1024
_PAGE_BYTES: Final = mmap.ALLOCATIONGRANULARITY
_SUFFIX: Final = ".log"
_log = logging.getLogger("runfold")


class Segment:
    """A stretch of a log: ``base`` is the position of its first byte, ``end`` the offset behind its last record."""

    __slots__ = ("base", "buffer", "end", "file", "path", "size")

    def __init__(self, base: int, buffer: mmap.mmap, path: Path | None, file: int | None = None) -> None:
        self.base = base
        self.buffer = buffer
        self.size = len(buffer)
        self.end = form.SEGMENT_HEADER_BYTES
        self.path = path
        self.file = file  # to write through, where a mapping cannot be shared

    def append(self, kind: Kind, body: bytes) -> int:
        """Write a record; returns the position behind it, or 0 when there is no room for it.

        A signal handler that logs may come in between wherever a function is called, and only there: so the place is
        taken, and written to, without a call after the last look at whether it is free.
        """
        while True:
            start = self.end
            record = form.encode_record(kind, body, start)
            end = start + len(record)
            if end > self.size:
                return 0
            if start == self.end:
                self.buffer[start:end] = record
                self.end = end
                break
        if self.file is not None:
            self.write_through(record, start)
        return self.base + end

    def write_through(self, record: bytes, start: int) -> None:
        """Have a record in the file, too. One that cannot be had there stays in memory, with all that follow it."""
        if self.file is None:
            return
        try:
            os.pwrite(self.file, record, start)
        except OSError as error:
            _log.warning(
                "runfold: %s takes no more (%s): what is logged from now on is lost if this process is killed before "
                "it is delivered",
                self.path,
                error.strerror or error,
            )
            os.close(self.file)
            self.file = None

    def let_go(self) -> None:
        """Release what this process has of it; buffers that somebody still reads go with their last reader."""
        if self.file is not None:
            os.close(self.file)
            self.file = None
        self.buffer = _NOTHING
        self.size = 0


_NOTHING: Final = mmap.mmap(-1, _PAGE_BYTES)


def nowhere() -> Segment:
    """A segment without room, which a log begins with."""
    segment = Segment(0, _NOTHING, None)
    segment.size = segment.end = 0
    return segment


class Log:
    """One writer's append-only log.

    Args:
        folder: where its segments are files; None: in memory only.
        prefix: what the names of its files begin with.
        writes_through: records are written to the files as well as into memory, where a mapping is not safe.
    """

    def __init__(self, folder: Path | None, prefix: str, *, writes_through: bool = False) -> None:
        self.folder = folder
        self.segments: list[Segment] = []
        self.current = nowhere()
        self.used_bytes = 0
        self.memory_bytes = 0  # of them without a file
        self._next_base: int = 0
        self._end = 0  # of a log whose segments are all gone
        self._size = 0  # of the last segment
        self._prefix = prefix
        self._writes_through = writes_through

    @property
    def end(self) -> int:
        """The position behind the last record."""
        return self.current.base + self.current.end if self.segments else self._end

    def next_size(self, record_bytes: int, bytes_max: int) -> int:
        """What the next segment would take if it must hold such a record: twice the last one, within bounds."""
        size = max(SEGMENT_BYTES_MIN, min(2 * self._size, SEGMENT_BYTES_MAX, bytes_max // 4))
        needed = form.SEGMENT_HEADER_BYTES + record_bytes
        return (max(size, needed) + _PAGE_BYTES - 1) // _PAGE_BYTES * _PAGE_BYTES

    def roll(self, size: int, *, in_memory: bool = False) -> Segment:
        """Begin the next segment, as a file where the log has a folder and ``in_memory`` does not ask otherwise.

        Raises:
            OSError: there is no place for it; nothing has changed.

        A signal handler that logs may come in between and roll as well: its segment then lies behind this one, and
        this one stays empty.
        """
        base = self._next_base
        self._next_base = base + size
        try:
            segment = self._make(base, size, None if in_memory else self.folder)
        except BaseException:
            if self._next_base == base + size:
                self._next_base = base
            raise
        header = form.segment_header(base)
        segment.buffer[: len(header)] = header
        if segment.file is not None:
            os.pwrite(segment.file, header, 0)
        self.used_bytes += size
        self.memory_bytes += size if segment.path is None else 0
        self._size = size
        self.segments.append(segment)
        # All of it within the interpreter: a signal handler that logs cannot come in between.
        self.segments.sort(key=attrgetter("base"))
        self.current = self.segments[-1]
        return segment

    def _make(self, base: int, size: int, folder: Path | None) -> Segment:
        if folder is None:
            return Segment(base, mmap.mmap(-1, size), None)
        path = folder / f"{self._prefix}-{base:016x}{_SUFFIX}"
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            _reserve(file, size)
            if self._writes_through:
                return Segment(base, mmap.mmap(-1, size), path, os.dup(file))
            return Segment(base, mmap.mmap(file, size), path)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        finally:
            os.close(file)

    def drop_before(self, position: int) -> None:
        """Remove the segments whose records lie before ``position``; the present one only when it is half full."""
        while self.segments:
            segment = self.segments[0]
            if segment.base + segment.end > position:
                return
            if segment is self.current:
                if segment.end < segment.size // 2:
                    return
                self._end = segment.base + segment.end
                self.current = nowhere()
            self._remove(self.segments.pop(0))

    def forget(self, position: int) -> bool:
        """Remove all segments, whatever room they have left; False when there is something behind ``position``.

        No function is called after that look: see :meth:`Segment.append`.
        """
        nothing, end = nowhere(), self.end
        if self.current.base + self.current.end > position:
            return False
        old, self.segments, self.current, self._end = self.segments, [], nothing, end
        for segment in old:
            self._remove(segment)
        return True

    def _remove(self, segment: Segment) -> None:
        self.used_bytes -= segment.size
        self.memory_bytes -= segment.size if segment.path is None else 0
        if segment.path is not None:
            try:
                segment.path.unlink(missing_ok=True)
            except OSError as error:
                _log.debug("runfold: %s was not removed: %s", segment.path, error)
        segment.let_go()

    def begin_at(self, position: int) -> None:
        """Have the first segment of an empty log begin there."""
        self._next_base = self._end = position

    def close(self) -> None:
        """Let go of the segments; files stay, and there will be no more of them."""
        self.folder = None
        for segment in self.segments:
            segment.let_go()
        self.segments = []
        self.current = nowhere()

    def sync(self) -> None:
        """Have what was written on the disk, not only with the kernel.

        Raises:
            OSError: that failed.
        """
        for segment in self.segments[-2:]:
            if segment.file is not None:
                os.fsync(segment.file)
            elif segment.path is not None:
                segment.buffer.flush()


def _reserve(file: int, size: int) -> None:
    """Have the blocks of a file, so that writing into its mapping cannot fail.

    Raises:
        OSError: there is no room, or no file may be so large.
    """
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, size)
        return
    zeros = bytes(1024 * 1024)  # macOS
    for offset in range(0, size, len(zeros)):
        os.pwrite(file, zeros[: size - offset], offset)


class OldLog:
    """What another process has left of a log, read once from its files."""

    def __init__(self, folder: Path, prefix: str) -> None:
        self._buffers: list[tuple[int, memoryview, Path]] = []
        for path in sorted(folder.glob(f"{prefix}-*{_SUFFIX}")):
            try:
                buffer = _map_for_reading(path)
            except FileNotFoundError:  # its owner lives, and has just removed it
                continue
            base = form.base_of(buffer)
            if base is None and len(buffer) and not form.is_zero_from(buffer, 0):
                base = _base_in_name(
                    path, prefix
                )  # its header is damaged; its records have checksums of their own
            if base is not None:
                self._buffers.append((base, buffer, path))
        self.end = 0 if not self._buffers else self._buffers[-1][0] + len(self._buffers[-1][1])

    @property
    def segments(self) -> list[tuple[int, memoryview, Path]]:
        """Position, bytes and path of every segment, in order."""
        return self._buffers

    def records(self) -> Iterator[tuple[int, Found | Damage]]:
        """``(position of the segment, what was found in it)`` in order; the last segment's torn tail is left out."""
        for index, (base, buffer, _) in enumerate(self._buffers):
            end = form.SEGMENT_HEADER_BYTES
            for found in form.records(buffer):
                end = found.end
                yield base, found
            if index < len(self._buffers) - 1:
                missing = self._buffers[index + 1][0] - base - len(buffer)
                if missing or not form.is_zero_from(buffer, end):
                    yield base, Damage(end, len(buffer) + missing)


def _map_for_reading(path: Path) -> memoryview:
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if not size:
            return memoryview(b"")
        return memoryview(mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ))


def _base_in_name(path: Path, prefix: str) -> int | None:
    try:
        return int(path.name.removeprefix(f"{prefix}-").removesuffix(_SUFFIX), 16)
    except ValueError:
        return None
