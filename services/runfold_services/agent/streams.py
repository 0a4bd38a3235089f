"""Files that grow while a script runs, sent to the run's live logs as they grow."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from runfold_events.contract.errors import RunfoldError, Unavailable
from runfold_services.agent.ports import AgentRuns

CHUNK_BYTES: Final = 256 * 1024
CHUNKS_PER_TURN: Final = 16  # of one log, so that the others have their turn
FILES_MAX: Final = 1_000  # watched at once


class LogStream:
    """One file and the live log that it is sent to.

    A file that is emptied and written anew goes on behind what was sent already, so that a log only ever grows.
    """

    def __init__(self, runs: AgentRuns, run_id: str, path: str, file: Path, sent: int = 0) -> None:
        self.path = path
        self._runs = runs
        self._run_id = run_id
        self._file = file
        self._sent = sent  # the log's end
        self._read = 0  # how much of the file that is

    def pump(self, chunks_max: int = CHUNKS_PER_TURN) -> bool:
        """Send what is new, at most so many chunks of it; whether there was anything.

        Raises:
            Unavailable: no answer came; the same bytes go again with the next call.
        """
        file = open_plain(self._file)
        if file is None:
            return False
        with file:
            if os.fstat(file.fileno()).st_size < self._read:
                self._read = 0
            file.seek(self._read)
            for turn in range(chunks_max):
                data = file.read(CHUNK_BYTES)
                if not data:
                    return turn > 0
                self._sent = self._runs.append_log(self._run_id, self.path, self._sent, data)
                self._read += len(data)
        return True

    @property
    def is_empty(self) -> bool:
        """Nothing was ever sent."""
        return self._sent == 0


class WatchedFolders:
    """The files of some folders of a working copy, each as a live log of the same path."""

    def __init__(self, runs: AgentRuns, run_id: str, work: Path, names: tuple[str, ...]) -> None:
        self._runs = runs
        self._run_id = run_id
        self._work = work
        self._names = tuple(name for name in map(inside, names) if name is not None)
        self._streams: dict[str, LogStream] = {}
        self.problems: dict[str, str] = {}  # by path: why it is not sent

    def pump(self) -> bool:
        """Send what is new in all of them; whether there was anything. Raises like :meth:`LogStream.pump`."""
        was_something = False
        for path, file in self._files():
            stream = self._streams.get(path)
            if stream is None:
                if path in self.problems or len(self._streams) >= FILES_MAX:
                    self.problems.setdefault(path, f"more than {FILES_MAX} files are not watched")
                    continue
                stream = self._streams[path] = self._begun(path, file)
            try:
                was_something = stream.pump() or was_something
            except Unavailable:
                raise
            except RunfoldError as error:  # this file's own: a name that cannot be, too many files
                self.problems[path] = error.message
                del self._streams[path]
        return was_something

    def paths(self) -> list[str]:
        """Paths of the logs with something in them."""
        return [path for path, stream in self._streams.items() if not stream.is_empty]

    def _begun(self, path: str, file: Path) -> LogStream:
        return LogStream(self._runs, self._run_id, path, file, self._runs.log_size(self._run_id, path))

    def _files(self) -> Iterator[tuple[str, Path]]:
        for name in self._names:
            yield from plain_files(self._work, name)


def inside(name: str) -> str | None:
    """A folder's name as a path inside the working copy; None when it would lead out of it, or is all of it."""
    parts = [part for part in name.replace("\\", "/").split("/") if part not in {"", "."}]
    return None if not parts or ".." in parts or name.startswith("/") else "/".join(parts)


def plain_files(work: Path, name: str) -> Iterator[tuple[str, Path]]:
    """Plain files below ``work/name``, by path. Links are not followed, devices and pipes left out."""
    top = work / name
    if any((work / part).is_symlink() for part in _prefixes(name)):
        return
    for folder, folders, files in os.walk(top, followlinks=False):
        folders.sort()
        for file in sorted(files):
            found = Path(folder, file)
            if _is_plain(found):
                yield found.relative_to(work).as_posix(), found


def _prefixes(name: str) -> Iterator[str]:
    parts = name.split("/")
    for count in range(1, len(parts) + 1):
        yield "/".join(parts[:count])


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
