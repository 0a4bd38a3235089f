"""Contents and logs in an object store (S3 and what speaks like it, Google Cloud Storage, Azure), through obstore.

An upload is gathered on this machine's disk first: only then is its digest, and with it its name, known; and an object
appears in one step, complete. A log is one object for each append, named by its offset, since objects do not grow.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError

from runfold_events.contract.errors import RunfoldError, Unavailable
from runfold_services.files import naming
from runfold_services.files.pieces import (
    PIECE_BYTES,
    Tally,
    check_log_count,
    check_log_size,
    log_closed,
    new_part,
    no_content,
)
from runfold_services.files.port import Aside, Content, LogInfo

if TYPE_CHECKING:
    from obstore import ObjectMeta
    from obstore.store import ObjectStore

_PART_BYTES_MIN: Final = 8 * 1024 * 1024
_PARTS_MAX: Final = 9_000  # S3 takes 10,000
_PARTS_AT_ONCE: Final = 4
_KEYS_AT_ONCE: Final = 1_000  # what S3 deletes in one request
_COPY_BYTES_MAX: Final = 5 * 1024**3  # what S3 copies by itself
_SPOOL_MEMORY_BYTES_MAX: Final = 1024 * 1024
_OFFSET: Final = re.compile(r"[0-9]{20}\Z")
_NAME: Final = "name"
_used_in: list[int] = []  # the process whose threads obstore works with; see _answering


class ObjectFiles:
    """See :class:`~runfold_services.files.port.FileStore`."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    # Contents

    def receive(self, workspace: str) -> ObjectIncoming:
        """See the port."""
        return ObjectIncoming(self, workspace)

    def has(self, workspace: str, sha256: str) -> bool:
        """See the port."""
        return self._head(_content(workspace, sha256)) is not None

    def read(self, workspace: str, sha256: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """See the port."""
        key = _content(workspace, sha256)
        found = self._head(key)
        if found is None:
            raise no_content(sha256)
        last = found["size"] if end is None else min(end, found["size"])
        return self._pieces(key, start, last)

    def contents(self, workspace: str, *, older_than_s: float) -> Iterator[str]:
        """See the port."""
        return map(_name_of, self._older(f"{naming.workspace_folder(workspace)}/contents", older_than_s))

    def size(self, workspace: str, sha256: str) -> int | None:
        """See the port."""
        found = self._head(_content(workspace, sha256))
        return None if found is None else found["size"]

    def set_aside(self, workspace: str, sha256: str) -> Aside | None:
        """See the port."""
        aside = Aside(sha256, naming.aside_name(sha256))
        return aside if self._move(_content(workspace, sha256), _aside(workspace, aside)) else None

    def put_back(self, workspace: str, aside: Aside) -> None:
        """See the port."""
        self._move(_aside(workspace, aside), _content(workspace, aside.sha256))

    def discard(self, workspace: str, aside: Aside) -> None:
        """See the port."""
        self._delete([_aside(workspace, aside)])

    def asides(self, workspace: str, *, older_than_s: float) -> Iterator[Aside]:
        """See the port."""
        for found in self._older(f"{naming.workspace_folder(workspace)}/aside", older_than_s):
            yield Aside(naming.aside_digest(_name_of(found)), _name_of(found))

    def note_upload(self, workspace: str, run_id: str, sha256: str) -> None:
        """See the port."""
        self._put(_upload(workspace, run_id, sha256), b"")

    def is_upload(self, workspace: str, run_id: str, sha256: str) -> bool:
        """See the port."""
        return self._head(_upload(workspace, run_id, sha256)) is not None

    def forget_uploads(self, workspace: str, *, older_than_s: float) -> None:
        """See the port."""
        old = list(self._older(f"{naming.workspace_folder(workspace)}/uploads", older_than_s))
        for start in range(0, len(old), _KEYS_AT_ONCE):
            self._delete([found["path"] for found in old[start : start + _KEYS_AT_ONCE]])

    def put_content(
        self, workspace: str, content: Content, file: tempfile.SpooledTemporaryFile[bytes]
    ) -> None:
        """Keep what was gathered, unless the store has it already."""
        key = _content(workspace, content.sha256)
        found = self._head(key)
        if found is not None and found["size"] == content.size_bytes:
            return
        part_bytes = max(_PART_BYTES_MIN, -(-content.size_bytes // _PARTS_MAX))
        file.seek(0)
        with _answering(), _writing():
            # An upload in parts appears when its last step is done; one that fails is given up by obstore.
            obstore.put(
                self._store,
                key,
                file,
                chunk_size=part_bytes,
                max_concurrency=_PARTS_AT_ONCE,
            )

    # Logs

    def append_log(self, workspace: str, run_id: str, path: str, offset: int, data: bytes) -> int:
        """See the port."""
        while True:
            segments = self._segments(workspace, run_id, path)
            end = _end(segments)
            try:
                part = new_part(offset, data, end, partial(self._range, segments))
            except FileNotFoundError:  # it was finished meanwhile: look again
                continue
            check_log_size(end + len(part))
            if part and _is_closed(segments):
                raise log_closed(path)
            if not segments:
                check_log_count(1 + len(self._log_folders(workspace, run_id)))
                self._put(f"{_log(workspace, run_id, path)}/{_NAME}", path.encode())
            if not part:
                return end
            with (
                suppress(AlreadyExistsError),
                _answering(),
                _writing(),
            ):  # somebody else was there first: look again
                obstore.put(self._store, f"{_log(workspace, run_id, path)}/{end:020d}", part, mode="create")
                return end + len(part)

    def close_log(self, workspace: str, run_id: str, path: str) -> bool:
        """See the port. An empty segment stands where the next one would: nobody can write that any more."""
        while True:
            segments = self._segments(workspace, run_id, path)
            if not segments and self._head(f"{_log(workspace, run_id, path)}/{_NAME}") is None:
                return False
            if _is_closed(segments):
                return True
            with suppress(AlreadyExistsError), _answering(), _writing():  # an append was first: look again
                place = f"{_log(workspace, run_id, path)}/{_end(segments):020d}"
                obstore.put(self._store, place, b"", mode="create")
                return True

    def read_log(self, workspace: str, run_id: str, path: str, start: int, bytes_max: int) -> bytes | None:
        """See the port."""
        segments = self._segments(workspace, run_id, path)
        if not segments and self._head(f"{_log(workspace, run_id, path)}/{_NAME}") is None:
            return None
        try:
            return self._range(segments, start, start + bytes_max)
        except FileNotFoundError:  # it was finished meanwhile
            return None

    def logs(self, workspace: str, run_id: str) -> list[LogInfo]:
        """See the port."""
        found: list[LogInfo] = []
        for folder, objects in self._log_folders(workspace, run_id).items():
            with suppress(FileNotFoundError), _answering():  # it was finished meanwhile
                path = bytes(obstore.get(self._store, f"{folder}/{_NAME}").bytes()).decode()
                found.append(LogInfo(path, _end(_sorted_segments(objects))))
        return sorted(found, key=lambda log: log.path)

    def remove_log(self, workspace: str, run_id: str, path: str) -> None:
        """See the port."""
        self._delete([found["path"] for found in self._list(_log(workspace, run_id, path))])

    def remove_logs(self, workspace: str, run_id: str) -> None:
        """See the port."""
        self._delete([found["path"] for found in self._list(_logs(workspace, run_id))])

    def _segments(self, workspace: str, run_id: str, path: str) -> list[ObjectMeta]:
        return _sorted_segments(self._list(_log(workspace, run_id, path)))

    def _log_folders(self, workspace: str, run_id: str) -> dict[str, list[ObjectMeta]]:
        folders: dict[str, list[ObjectMeta]] = {}
        for found in self._list(_logs(workspace, run_id)):
            folders.setdefault(found["path"].rpartition("/")[0], []).append(found)
        return folders

    def _range(self, segments: Sequence[ObjectMeta], start: int, end: int) -> bytes:
        """The bytes of a log from ``start`` up to ``end``, as far as it goes."""
        parts: list[bytes] = []
        for segment in segments:
            first = _offset(segment)
            low, high = max(start, first), min(end, first + segment["size"])
            if low < high:
                parts += self._pieces(segment["path"], low - first, high - first)
        return b"".join(parts)

    # The store

    def _put(self, key: str, data: bytes) -> None:
        with _answering(), _writing():
            obstore.put(self._store, key, data)

    def _head(self, key: str) -> ObjectMeta | None:
        with _answering():
            try:
                return obstore.head(self._store, key)
            except FileNotFoundError:
                return None

    def _pieces(self, key: str, start: int, end: int) -> Iterator[bytes]:
        if start >= end:
            return
        with _answering():
            stream = obstore.get(self._store, key, options={"range": (start, end)}).stream(PIECE_BYTES)
            for found in stream:
                piece = bytes(found)
                for first in range(0, len(piece), PIECE_BYTES):  # some stores hand out all at once
                    yield piece[first : first + PIECE_BYTES]

    def _list(self, prefix: str) -> list[ObjectMeta]:
        with _answering():
            pages: Iterable[Sequence[ObjectMeta]] = obstore.list(self._store, prefix, chunk_size=1_000)  # pyright: ignore[reportUnknownMemberType]  # knows Arrow, which is not installed
            return [found for page in pages for found in page]

    def _older(self, prefix: str, older_than_s: float) -> Iterator[ObjectMeta]:
        before = datetime.now(UTC) - timedelta(seconds=older_than_s)
        return (found for found in self._list(prefix) if found["last_modified"] < before)

    def _move(self, key: str, goal: str) -> bool:
        """Whether there was something to move: another may have been faster."""
        try:
            return self._copy_and_delete(key, goal)
        except FileNotFoundError:
            return False

    def _copy_and_delete(self, key: str, goal: str) -> bool:
        found = self._head(key)
        if found is None:
            return False
        with _answering():
            if found["size"] <= _COPY_BYTES_MAX:
                obstore.copy(self._store, key, goal)
            else:
                part_bytes = max(_PART_BYTES_MIN, -(-found["size"] // _PARTS_MAX))
                obstore.put(
                    self._store,
                    goal,
                    self._pieces(key, 0, found["size"]),
                    chunk_size=part_bytes,
                    max_concurrency=2,
                )
        self._delete([key])
        return True

    def _delete(self, keys: list[str]) -> None:
        """Remove objects; they need not be there. Some servers answer in a way that the client cannot read: look."""
        if not keys:
            return
        try:
            with _answering(), suppress(FileNotFoundError):
                obstore.delete(self._store, keys)
        except Unavailable:
            if any(self._head(key) is not None for key in keys):
                raise


class ObjectIncoming:
    """See :class:`~runfold_services.files.port.Incoming`. Its file has no name, so whoever dies leaves none."""

    def __init__(self, files: ObjectFiles, workspace: str) -> None:
        self._files = files
        self._workspace = workspace
        self._tally = Tally()
        self._file = tempfile.SpooledTemporaryFile(_SPOOL_MEMORY_BYTES_MAX)  # noqa: SIM115  # closed by __exit__

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def write(self, data: bytes) -> None:
        """See the port."""
        self._tally.add(data)
        with _answering():
            self._file.write(data)

    def finish(self) -> Content:
        """See the port."""
        content = self._tally.content
        self._files.put_content(self._workspace, content, self._file)
        return content


def _content(workspace: str, sha256: str) -> str:
    return f"{naming.workspace_folder(workspace)}/contents/{naming.content_name(sha256)}"


def _aside(workspace: str, aside: Aside) -> str:
    return f"{naming.workspace_folder(workspace)}/aside/{aside.name}"


def _upload(workspace: str, run_id: str, sha256: str) -> str:
    return f"{naming.workspace_folder(workspace)}/uploads/{naming.digest_of(run_id)}/{sha256}"


def _name_of(found: ObjectMeta) -> str:
    return found["path"].rpartition("/")[2]


def _logs(workspace: str, run_id: str) -> str:
    return f"{naming.workspace_folder(workspace)}/logs/{naming.digest_of(run_id)}"


def _log(workspace: str, run_id: str, path: str) -> str:
    return f"{_logs(workspace, run_id)}/{naming.digest_of(path)}"


def _sorted_segments(objects: Sequence[ObjectMeta]) -> list[ObjectMeta]:
    return sorted((o for o in objects if _OFFSET.search(o["path"])), key=_offset)


def _offset(segment: ObjectMeta) -> int:
    return int(segment["path"].rpartition("/")[2])


def _is_closed(segments: Sequence[ObjectMeta]) -> bool:
    return bool(segments) and segments[-1]["size"] == 0


def _end(segments: Sequence[ObjectMeta]) -> int:
    return _offset(segments[-1]) + segments[-1]["size"] if segments else 0


@contextmanager
def _writing() -> Generator[None]:
    """What is not found where something is written is no object: it is the bucket."""
    try:
        yield
    except FileNotFoundError as error:
        raise Unavailable(
            f"the object store has no such bucket: {str(error).partition(': ')[2][:200]}",
            facts={"retry_after": 60.0},
        ) from error


@contextmanager
def _answering() -> Generator[None]:
    """obstore's errors as ours.

    obstore works with threads of its own, which a fork's child has not: what it is asked there may never be answered.
    So a child says so where its parent has used it.
    """
    if not _used_in:
        _used_in.append(os.getpid())
    if _used_in[0] != os.getpid():
        raise RunfoldError(
            "this process was forked from one that has used the object store, whose client does not survive a fork: "
            "upload in the parent, start processes by spawn, or record through a server (RUNFOLD_URL)",
            code="unavailable",
        )
    try:
        yield
    except (AlreadyExistsError, FileNotFoundError):
        raise
    except (BaseError, OSError) as error:
        first_line = str(error).partition("\n")[0]
        raise Unavailable(
            f"the object store does not answer as it should: {first_line}", facts={"retry_after": 5.0}
        ) from error
