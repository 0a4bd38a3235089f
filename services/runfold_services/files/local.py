"""Contents and logs as plain files in a folder: the file store of an embedded ledger, and of one server.

Plain files, not obstore's local store: that one does not work in the child of a fork, gives no way to make a file
durable, and would keep a log as one file for each append (docs/decisions/0070-file-store.md).

A content is written to ``incoming/`` and moved to its name when it is complete and on the disk. An upload that died
leaves a file there which nobody has locked; the next upload removes it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self
from uuid import uuid4

from runfold_events.contract.errors import Unavailable
from runfold_events.failpoints import reach
from runfold_services.files import naming
from runfold_services.files.pieces import (
    Tally,
    check_log_count,
    check_log_size,
    log_closed,
    new_part,
    no_content,
    pieces,
)
from runfold_services.files.port import Aside, Content, LogInfo

_NAME_FILE: Final = "name"
_TEXT_FILE: Final = "text"
_CLOSED_FILE: Final = "closed"
ABANDONED_S: Final = 60.0  # between making its file and locking it an upload takes no time to speak of
_PRIVATE: Final = 0o700  # what runs upload is for who runs the store


class LocalFiles:
    """See :class:`~runfold_services.files.port.FileStore`. Makes its folder with the first thing it keeps."""

    def __init__(self, root: Path) -> None:
        self._root = root

    # Contents

    def receive(self, workspace: str) -> LocalIncoming:
        """See the port."""
        with _answering():
            folder = self._root / "incoming"
            _make_folder(folder)
            _remove_abandoned(folder)
            return LocalIncoming(folder / uuid4().hex, self._contents(workspace))

    def has(self, workspace: str, sha256: str) -> bool:
        """See the port."""
        with _answering():
            return self._content(workspace, sha256).is_file()

    def read(self, workspace: str, sha256: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """See the port."""
        with _answering():
            try:
                file = self._content(workspace, sha256).open("rb")
            except FileNotFoundError:
                raise no_content(sha256) from None
            file.seek(start)
        return _read_and_close(file, None if end is None else max(0, end - start))

    def contents(self, workspace: str, *, older_than_s: float) -> Iterator[str]:
        """See the port."""
        before = time.time() - older_than_s
        kept = self._workspace(workspace)
        return (path.name for path in _older(kept.glob("contents/*/*"), before))

    def size(self, workspace: str, sha256: str) -> int | None:
        """See the port."""
        with _answering(), suppress(FileNotFoundError):
            return self._content(workspace, sha256).stat().st_size
        return None

    def set_aside(self, workspace: str, sha256: str) -> Aside | None:
        """See the port."""
        aside = Aside(sha256, naming.aside_name(sha256))
        with _answering(), suppress(FileNotFoundError):
            place = self._aside(workspace, aside)
            _make_folder(place.parent)
            self._content(workspace, sha256).replace(place)
            return aside
        return None

    def put_back(self, workspace: str, aside: Aside) -> None:
        """See the port."""
        with _answering(), suppress(FileNotFoundError):
            self._aside(workspace, aside).replace(self._content(workspace, aside.sha256))

    def discard(self, workspace: str, aside: Aside) -> None:
        """See the port."""
        with _answering():
            self._aside(workspace, aside).unlink(missing_ok=True)

    def asides(self, workspace: str, *, older_than_s: float) -> Iterator[Aside]:
        """See the port."""
        before = time.time() - older_than_s
        for path in _older(self._workspace(workspace).glob("aside/*"), before):
            yield Aside(naming.aside_digest(path.name), path.name)

    def note_upload(self, workspace: str, run_id: str, sha256: str) -> None:
        """See the port."""
        with _answering():
            note = self._upload(workspace, run_id, sha256)
            _make_folder(note.parent)
            note.touch(0o600)

    def is_upload(self, workspace: str, run_id: str, sha256: str) -> bool:
        """See the port."""
        with _answering():
            return self._upload(workspace, run_id, sha256).exists()

    def forget_uploads(self, workspace: str, *, older_than_s: float) -> None:
        """See the port."""
        before = time.time() - older_than_s
        with _answering():
            for note in _older(self._workspace(workspace).glob("uploads/*/*"), before):
                note.unlink(missing_ok=True)
                with suppress(OSError):  # there are others, or there will be
                    note.parent.rmdir()

    # Logs

    def append_log(self, workspace: str, run_id: str, path: str, offset: int, data: bytes) -> int:
        """See the port."""
        with _answering(), self._open_log(workspace, run_id, path, offset, data) as file:
            end = os.fstat(file.fileno()).st_size
            part = new_part(offset, data, end, lambda first, last: _range(file, first, last))
            check_log_size(end + len(part))
            if part and self._log(workspace, run_id, path).joinpath(_CLOSED_FILE).exists():
                raise log_closed(path)
            file.seek(end)
            try:
                file.write(part)
            except OSError:
                file.truncate(end)
                raise
            return end + len(part)

    def close_log(self, workspace: str, run_id: str, path: str) -> bool:
        """See the port."""
        folder = self._log(workspace, run_id, path)
        with _answering(), suppress(FileNotFoundError), folder.joinpath(_TEXT_FILE).open("rb") as file:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX)  # after an append that is going on, before the next
            folder.joinpath(_CLOSED_FILE).touch(0o600)
            return True
        return False

    def read_log(self, workspace: str, run_id: str, path: str, start: int, bytes_max: int) -> bytes | None:
        """See the port."""
        with _answering():
            try:
                with self._log(workspace, run_id, path).joinpath(_TEXT_FILE).open("rb") as file:
                    return _range(file, start, start + bytes_max)
            except FileNotFoundError:
                return None

    def logs(self, workspace: str, run_id: str) -> list[LogInfo]:
        """See the port."""
        found: list[LogInfo] = []
        with _answering():
            for folder in self._logs(workspace, run_id).glob("*"):
                with suppress(FileNotFoundError):  # it was finished meanwhile
                    path = folder.joinpath(_NAME_FILE).read_text("utf-8")
                    found.append(LogInfo(path, folder.joinpath(_TEXT_FILE).stat().st_size))
        return sorted(found, key=lambda log: log.path)

    def remove_log(self, workspace: str, run_id: str, path: str) -> None:
        """See the port."""
        with _answering():
            ended = self._workspace(workspace) / "ended"
            _make_folder(ended)
            gone = ended / uuid4().hex
            with suppress(FileNotFoundError):
                self._log(workspace, run_id, path).rename(gone)  # all at once: never its mark before its text
            for folder in ended.iterdir():  # also what somebody left who died here
                shutil.rmtree(folder, ignore_errors=True)

    def remove_logs(self, workspace: str, run_id: str) -> None:
        """See the port."""
        with _answering(), suppress(FileNotFoundError):
            shutil.rmtree(self._logs(workspace, run_id))

    @contextmanager
    def _open_log(
        self, workspace: str, run_id: str, path: str, offset: int, data: bytes
    ) -> Generator[BinaryIO]:
        """The log's file, locked; made if need be, where ``data`` can be its beginning."""
        folder = self._log(workspace, run_id, path)
        if not folder.joinpath(_TEXT_FILE).exists():
            check_log_size(len(new_part(offset, data, 0, lambda first, last: b"")))
        if not folder.is_dir():
            _make_folder(folder.parent)
            check_log_count(1 + sum(1 for _ in folder.parent.iterdir()))
            folder.mkdir(_PRIVATE, exist_ok=True)
        descriptor = os.open(folder / _TEXT_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "r+b", buffering=0) as file:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if not _is_at(folder / _TEXT_FILE, descriptor):  # it was finished while we waited
                raise log_closed(path)
            name = folder / _NAME_FILE
            if not name.exists():
                name.write_text(path, "utf-8")
            yield file

    # Places

    def _workspace(self, workspace: str) -> Path:
        return self._root / naming.workspace_folder(workspace)

    def _contents(self, workspace: str) -> Path:
        return self._workspace(workspace) / "contents"

    def _content(self, workspace: str, sha256: str) -> Path:
        return self._contents(workspace) / naming.content_name(sha256)

    def _aside(self, workspace: str, aside: Aside) -> Path:
        return self._workspace(workspace) / "aside" / aside.name

    def _upload(self, workspace: str, run_id: str, sha256: str) -> Path:
        return self._workspace(workspace) / "uploads" / naming.digest_of(run_id) / sha256

    def _logs(self, workspace: str, run_id: str) -> Path:
        return self._workspace(workspace) / "logs" / naming.digest_of(run_id)

    def _log(self, workspace: str, run_id: str, path: str) -> Path:
        return self._logs(workspace, run_id) / naming.digest_of(path)


class LocalIncoming:
    """See :class:`~runfold_services.files.port.Incoming`. Its file stays locked while the upload lives."""

    def __init__(self, place: Path, contents: Path) -> None:
        self._place = place
        self._contents = contents
        self._tally = Tally()
        self._file = place.open("xb", buffering=0)
        fcntl.flock(self._file.fileno(), fcntl.LOCK_EX)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        self._place.unlink(missing_ok=True)

    def write(self, data: bytes) -> None:
        """See the port."""
        self._tally.add(data)
        reach("files.write")
        with _answering():
            left = memoryview(data)
            while left:
                left = left[self._file.write(left) :]

    def finish(self) -> Content:
        """See the port."""
        content = self._tally.content
        goal = self._contents / naming.content_name(content.sha256)
        with _answering():
            _make_folder(goal.parent)
            _to_disk(self._file.fileno())
            reach("files.complete")
            second = self._place.with_suffix(".whole")
            os.link(self._place, second)
            second.replace(goal)  # over the same bytes, where they are there already
            _folder_to_disk(goal.parent)
            reach("files.stored")
        return content


def _remove_abandoned(folder: Path) -> None:
    """Remove what uploads left that died: a living one has its file locked."""
    before = time.time() - ABANDONED_S
    for path in folder.iterdir():
        with suppress(OSError), path.open("rb") as file:
            if os.fstat(file.fileno()).st_mtime < before:
                fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()


def _is_at(path: Path, descriptor: int) -> bool:
    """Whether an open file is still the one at ``path``."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _older(paths: Iterable[Path], before: float) -> Iterator[Path]:
    """Those of the files that are still there and were written before a time."""
    for path in paths:
        with suppress(FileNotFoundError):
            if path.stat().st_mtime < before:
                yield path


def _make_folder(folder: Path) -> None:
    folder.mkdir(_PRIVATE, parents=True, exist_ok=True)


def _to_disk(descriptor: int) -> None:
    full = getattr(fcntl, "F_FULLFSYNC", None)  # macOS: its fsync stops at the drive's cache
    if full is None:
        os.fsync(descriptor)
    else:
        fcntl.fcntl(descriptor, full)


def _folder_to_disk(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _range(file: BinaryIO, start: int, end: int) -> bytes:
    file.seek(start)
    return b"".join(pieces(file, end - start))


def _read_and_close(file: BinaryIO, size: int | None) -> Iterator[bytes]:
    with file:
        yield from pieces(file, size)


@contextmanager
def _answering() -> Generator[None]:
    """The system's errors as ours."""
    try:
        yield
    except OSError as error:
        full = error.errno in {errno.ENOSPC, errno.EDQUOT}
        why = "its disk is full" if full else str(error)
        raise Unavailable(f"the file store cannot be used now: {why}", facts={"retry_after": 5.0}) from error
