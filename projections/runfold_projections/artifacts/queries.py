"""Read the files of runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from runfold_projections.model import FileInfo
from runfold_projections.projection import Row, ViewSnapshot
from runfold_projections.values import as_datetime

# Of code points none is greater, so it ends the range of paths that begin with a prefix.
_AFTER_ANY: Final = "\U0010ffff"


async def files(view: ViewSnapshot, stream: str, prefix: str) -> list[FileInfo]:
    """The files of a run whose path begins with ``prefix``, by path."""
    rows = await view.fetch("files", (stream, prefix, prefix + _AFTER_ANY))
    return [_file(row) for row in rows]


async def file(view: ViewSnapshot, stream: str, path: str) -> FileInfo | None:
    """One file; None when the run has none of this path."""
    rows = await view.fetch("file_at", (stream, path))
    return _file(rows[0]) if rows else None


async def recorded(view: ViewSnapshot, workspace: str, sha256s: Sequence[str]) -> set[str]:
    """Which of the contents some run of the workspace has recorded."""
    rows = await view.fetch_many("users", [(workspace, sha256) for sha256 in dict.fromkeys(sha256s)])
    return {row[0] for row in rows}


def _file(row: Row) -> FileInfo:
    path, sha256, size_bytes, content_type, recorded_at = row
    return FileInfo(
        path=path,
        sha256=sha256,
        size_bytes=size_bytes,
        content_type=content_type,
        recorded_at=as_datetime(recorded_at),
    )
