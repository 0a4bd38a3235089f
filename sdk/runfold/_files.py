"""Files of a run, up and down: what handles, agents and the command line share."""

# pyright: reportPrivateUsage=false
# Handles are friends of one another: what they share is no part of the public surface.

from __future__ import annotations

import logging
import mimetypes
import os
import stat
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, TypeGuard, cast

from msgspec import Struct

from runfold_events.contract.commands import RecordArtifact
from runfold_events.contract.errors import Conflict, Invalid, RunfoldError, Unavailable
from runfold_events.contract.validation import check_artifact_path

if TYPE_CHECKING:
    from runfold._run_base import RunBase

_DEFAULT_TYPE: Final = "application/octet-stream"
_RECORDED_AT_ONCE: Final = 100
_LEDGER: Final = "ledger.db"
_LEDGER_LOCK: Final = "ledger.db.lock"
_BESIDE_A_LEDGER: Final = frozenset({"agents", "files", "spool"})
_log = logging.getLogger("runfold")
_STORES_MAX: Final = 5  # of one content, while others erase runs that have the same


class Upload(Struct, frozen=True):
    """A file to send: under which path, from where (a local path, or an open stream of bytes)."""

    path: str
    source: Path | BinaryIO
    content_type: str | None = None


def normal_path(name: Any, field: str = "name") -> str:
    """A file's path in its run: ``./outputs/x`` is ``outputs/x``.

    Raises:
        Invalid: no text, absolute, with ``..``, or what else no file of a run can be called; ``field`` as given.
        LimitExceeded: too long.
    """
    if not isinstance(name, str):
        raise Invalid(
            f"{field} must be a string, not {type(name).__name__}",
            facts={"field": field, "limit": "str", "size": type(name).__name__},
        )
    while name.startswith("./"):
        name = name[2:]
    return check_artifact_path(name, field)


def content_type_of(path: str) -> str:
    """What a file of this name is taken for."""
    return mimetypes.guess_type(path)[0] or _DEFAULT_TYPE


def upload(run: RunBase, uploads: Iterable[Upload]) -> list[RecordArtifact]:
    """Store and record files, in this order. Each is there complete or not at all; those before a failure stay.

    Raises:
        Conflict: a path has another content already; the other files were uploaded.
        FileNotFoundError: there is no such local file.
        Invalid: it is no file, or has a path that cannot be.
        Unavailable: the server is gone.
    """
    records: list[RecordArtifact] = []
    conflicts: list[RunfoldError] = []
    waiting: list[tuple[Upload, RecordArtifact]] = []
    for one in uploads:
        waiting.append((one, _store(run, one)))
        if len(waiting) == _RECORDED_AT_ONCE:
            conflicts += _record(run, waiting)
            records += [record for _, record in waiting]
            waiting = []
    conflicts += _record(run, waiting)
    if conflicts:
        raise _all_of(conflicts)
    return records + [record for _, record in waiting]


def _store(run: RunBase, one: Upload) -> RecordArtifact:
    path = normal_path(one.path)
    with _opened(one.source) as (file, size_bytes):
        content = run._ask(
            lambda transport, _: transport.put_content(run._workspace.name, run._run_id, file, size_bytes)
        )
    return RecordArtifact(
        run_id=run._run_id,
        path=path,
        sha256=content.sha256,
        size_bytes=content.size_bytes,
        content_type=one.content_type or content_type_of(path),
    )


def _record(run: RunBase, waiting: Sequence[tuple[Upload, RecordArtifact]]) -> list[RunfoldError]:
    """Record what was stored; the refusals. What is recorded must be there: somebody may just have erased its like."""
    calls = [(run._stream, record) for _, record in waiting]
    outcomes = run._connection.outcomes(calls, strict=run._workspace._strict)
    for (one, record), outcome in zip(waiting, outcomes, strict=True):
        if outcome is not None and not isinstance(outcome, RunfoldError):
            _keep(run, one, record)
    refused = [outcome for outcome in outcomes if isinstance(outcome, RunfoldError)]
    for error in refused:
        if not isinstance(error, Conflict):
            raise error
    return refused


def _keep(run: RunBase, one: Upload, record: RecordArtifact) -> None:
    workspace, run_id = run._workspace.name, run._run_id
    for _ in range(_STORES_MAX):
        if run._ask(lambda transport, _: transport.has_content(workspace, run_id, record.sha256)):
            return
        if not isinstance(one.source, Path) and not one.source.seekable():
            break
        _store(run, one)
    raise Unavailable(f"{record.path} was recorded, but its content was removed meanwhile; upload it again")


def _all_of(conflicts: Sequence[RunfoldError]) -> RunfoldError:
    if len(conflicts) == 1:
        return conflicts[0]
    messages = [error.message for error in conflicts]
    return Conflict("\n".join(messages), facts={"reasons": messages[:100], "count": len(messages)})


@contextmanager
def _opened(source: Path | BinaryIO) -> Generator[tuple[BinaryIO, int | None]]:
    """The stream to send, and its size where that is known; a stream that can go back is sent from its start."""
    if isinstance(source, Path):
        with open_regular(source) as file:
            yield file, os.fstat(file.fileno()).st_size
        return
    if source.seekable():
        size_bytes = source.seek(0, os.SEEK_END)
        source.seek(0)
        yield source, size_bytes
    else:
        yield source, None


def is_of_a_ledger(path: Path) -> bool:
    """Whether a file is an embedded ledger's own.

    A process that has the ledger open must not open and close such a file: on POSIX systems that gives up the locks by
    which SQLite's processes know of one another, and what they write afterwards is lost to this one.
    """
    return path.name.startswith(_LEDGER) and (path.parent / _LEDGER_LOCK).exists()


def ledger_names(names: Iterable[str]) -> frozenset[str]:
    """Of the names in a folder, those that a ledger made whose home the folder is; none where it is no home."""
    there = frozenset(names)
    if _LEDGER_LOCK not in there:
        return frozenset()
    return frozenset(name for name in there if name.startswith(_LEDGER) or name in _BESIDE_A_LEDGER)


def open_regular(path: Path) -> BinaryIO:
    """Open a local file to be read.

    Raises:
        FileNotFoundError: there is none.
        Invalid: it is a folder, a device, a pipe or the like, or an embedded ledger's own file.
    """
    if is_of_a_ledger(path):
        raise Invalid(
            f"{path} belongs to an embedded ledger and is not read beside it; `runfold ledger export` makes a copy",
            facts={"field": "path", "limit": "no file of a ledger", "size": str(path)[:200]},
        )
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise Invalid(
            f"{path} is no regular file; upload_folder takes folders, and devices and pipes have no content to keep",
            facts={"field": "path", "limit": "a regular file", "size": str(path)[:200]},
        )
    return os.fdopen(descriptor, "rb")


def is_path(given: Any) -> TypeGuard[str | os.PathLike[str]]:
    """Whether something a caller passed names a local file or folder."""
    return isinstance(given, str | os.PathLike)


def local_source(given: Any, field: str = "path_or_stream") -> Path | BinaryIO:
    """A path, or a stream of bytes, that a caller named.

    Raises:
        Invalid: neither; Azure ML's ``UnsupportedType``.
    """
    if is_path(given):
        return Path(given).expanduser()
    if hasattr(given, "read") and not isinstance(given.read(0), str):
        return cast("BinaryIO", given)
    raise Invalid(
        f"UnsupportedType: {field} must be a path or a stream of bytes, not {type(given).__name__}",
        facts={"field": field, "limit": "a path or a stream of bytes", "size": type(given).__name__},
    )


def files_below(folder: Path) -> list[tuple[str, Path]]:
    """Every file of a folder with its path in it (``/`` between names), in order.

    A link to a file inside the folder counts as that file. Links that lead out, devices, pipes and sockets are left
    out, and said: their content is not the folder's.

    Raises:
        FileNotFoundError: there is no such folder.
        Invalid: it is none.
    """
    if not folder.is_dir():
        if folder.exists():
            raise Invalid(
                f"{folder} is no folder; upload_file takes files",
                facts={"field": "path", "size": str(folder)},
            )
        raise FileNotFoundError(2, "No such folder", str(folder))
    root = folder.resolve()
    found = [
        (file.relative_to(folder).as_posix(), file)
        for place, _, names in os.walk(folder)
        for file in (Path(place, name) for name in names)
        if is_inside(file, root)
    ]
    return sorted(found)


def is_inside(file: Path, root: Path) -> bool:
    """Whether the content that a name leads to is a regular file below ``root``; a warning where it is not."""
    try:
        real = file.resolve()
        if real.is_relative_to(root) and real.is_file():
            return True
    except (OSError, RuntimeError):  # links that lead in a circle; until Python 3.13 a RuntimeError
        pass
    _log.warning("runfold: %s is left out: it leads out of its folder, or is no regular file", file)
    return False
