"""Files of a run on their way to this machine: written beside their place, checked, then put there in one step."""

# pyright: reportPrivateUsage=false
# Handles are friends of one another: what they share is no part of the public surface.

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from runfold_events.contract import limits
from runfold_events.contract.errors import Invalid, NotFound, Unavailable

if TYPE_CHECKING:
    from runfold._run_base import RunBase
    from runfold_projections.model import FileInfo

HIDDEN_PREFIX: Final = ".runfold/"  # what runfold itself keeps among a run's files, such as its snapshot
LOG_FOLDERS: Final = ("azureml-logs/", "logs/", "system_logs/", "user_logs/")
_NAMES_TOLD_MAX: Final = 200


def shown_names(run: RunBase, prefix: str = "") -> list[str]:
    """Paths of the run's files, and of logs that it is writing, in order; without what is runfold's own."""
    return [name for name in all_names(run, prefix) if not name.startswith(HIDDEN_PREFIX)]


def all_names(run: RunBase, prefix: str) -> list[str]:
    """The same with runfold's own."""
    workspace, run_id = run._workspace.name, run._run_id
    recorded = run._ask(lambda transport, at: transport.files(workspace, run_id, prefix, at))
    live = run._ask(lambda transport, _: transport.logs(workspace, run_id))
    names = {file.path for file in recorded} | {log.path for log in live if log.path.startswith(prefix)}
    return sorted(names)


def log_names(run: RunBase) -> list[str]:
    """Paths of the run's logs, finished or not."""
    return [name for name in shown_names(run) if name.startswith(LOG_FOLDERS)]


def pieces_of(run: RunBase, path: str) -> Iterator[bytes]:
    """The bytes of a file, or of a log as far as it goes now. What was recorded is checked against its digest.

    Raises:
        NotFound: there is neither.
        Unavailable: it did not arrive as it was recorded.
    """
    workspace, run_id = run._workspace.name, run._run_id
    found = run._ask(lambda transport, at: transport.files(workspace, run_id, path, at))
    file = next((one for one in found if one.path == path), None)
    if file is None:
        return _log_pieces(run, path)
    stream = run._ask(lambda transport, at: transport.open_file(workspace, run_id, path, at))
    return _checked(stream, file)


def _checked(stream: Iterator[bytes], file: FileInfo) -> Iterator[bytes]:
    digest = hashlib.sha256()
    for piece in stream:
        digest.update(piece)
        yield piece
    if digest.hexdigest() != file.sha256:
        raise Unavailable(
            f"{file.path} did not arrive as it was recorded: its SHA-256 should be {file.sha256}",
            facts={"path": file.path, "sha256": file.sha256, "got": digest.hexdigest()},
        )


def _log_pieces(run: RunBase, path: str) -> Iterator[bytes]:
    workspace, run_id = run._workspace.name, run._run_id

    def part(offset: int) -> bytes:
        size = limits.LOG_READ_BYTES_MAX
        return run._ask(lambda transport, _: transport.read_log(workspace, run_id, path, offset, size))

    first = part(0)  # raises here what is wrong, and not when the first piece is asked for

    def rest() -> Iterator[bytes]:
        piece, offset = first, 0
        while piece:
            yield piece
            offset += len(piece)
            piece = part(offset)

    return rest()


def not_there(run: RunBase, path: str) -> NotFound:
    """Azure ML's error for a file that a run has not, with the files that it has."""
    names = shown_names(run)
    told = names[:_NAMES_TOLD_MAX] + (["…"] if len(names) > _NAMES_TOLD_MAX else [])
    return FileNotThere(
        f"File with path {path} was not found,\navailable files include: {','.join(told)}.",
        facts={"path": path, "available": told},
    )


class FileNotThere(NotFound, Invalid):
    """A run has no such file: not found and, as in Azure ML, the user's error (``UserErrorException``)."""

    default_code = "not_found"


class Goal:
    """A folder that files are written into, and nothing outside of it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._written: dict[tuple[int, int], str] = {}  # by device and inode: who wrote it

    def write(self, relative: str, open_pieces: Callable[[], Iterator[bytes]]) -> Path:
        """Write a file; folders are made. Its bytes are asked for once it is sure that they can be written.

        It is there complete or not at all.

        Raises:
            Invalid: it cannot be written below the folder: a link leads out of it, the file system cannot hold the
                name, or takes it for the name of another file of the same download.
        """
        place = self._folder / relative
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            self._check_inside(place, relative)
            self._check_own(place, relative)
            write_whole(place, open_pieces)
            self._written[_identity(place)] = relative
        except (FileExistsError, IsADirectoryError, NotADirectoryError) as error:
            raise _unwritable(relative, f"{error.filename} is in the way") from error
        except (OSError, ValueError) as error:
            raise _unwritable(relative, str(error)) from error
        return place

    def _check_inside(self, place: Path, relative: str) -> None:
        if not place.parent.resolve().is_relative_to(self._folder.resolve()):
            raise _unwritable(relative, f"a link leads out of {self._folder}")

    def _check_own(self, place: Path, relative: str) -> None:
        if place.exists():
            other = self._written.get(_identity(place), relative)
            if other != relative:
                raise _unwritable(
                    relative, f"this file system takes it for {other!r}, which was just written"
                )


def write_whole(place: Path, open_pieces: Callable[[], Iterator[bytes]]) -> None:
    """Write ``place`` in one step once all pieces are there. A link in its place is replaced, not followed."""
    if place.is_dir() and not place.is_symlink():
        raise IsADirectoryError(21, "is a directory", str(place))
    descriptor, name = tempfile.mkstemp(prefix=".runfold-", dir=place.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            for piece in open_pieces():
                file.write(piece)
        os.chmod(name, 0o666 & ~_umask())  # noqa: PTH101  # what a file gets that a program makes
        os.replace(name, place)  # noqa: PTH105
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _identity(place: Path) -> tuple[int, int]:
    status = place.stat()
    return status.st_dev, status.st_ino


def _unwritable(relative: str, why: str) -> Invalid:
    return Invalid(
        f"{relative[:200]!r} cannot be written: {why}. Download it by itself, under another name",
        facts={"field": "path", "size": relative[:200], "limit": why},
    )
