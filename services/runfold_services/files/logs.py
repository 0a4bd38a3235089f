"""Logs that are being written, seen together with those that were finished."""

from __future__ import annotations

from runfold_events.contract import limits
from runfold_events.contract.errors import NotFound
from runfold_events.rules.run_state import RunState
from runfold_services.files.port import Content, FileStore, Incoming


def finished_text(
    files: FileStore, state: RunState, workspace: str, run_id: str, path: str, start: int, bytes_max: int
) -> bytes:
    """A part of a log that is no longer being written.

    Raises:
        NotFound: there is no such log, finished or not.
    """
    finished = state.artifacts.get(path)
    if finished is None:
        raise no_log(run_id, path)
    end = min(finished.size_bytes, start + bytes_max)
    return b"".join(files.read(workspace, finished.sha256, min(start, end), end))


def no_log(run_id: str, path: str) -> NotFound:
    """The error for a log that there is not."""
    return NotFound(f"run {run_id!r} has no log {path[:200]!r}", facts={"run_id": run_id, "path": path})


def finish_into(
    incoming: Incoming, files: FileStore, workspace: str, run_id: str, path: str
) -> Content | None:
    """Store a log's text as a content; None when there is no such log. The log itself stays, and grows no more."""
    if not files.close_log(workspace, run_id, path):
        return None
    offset = 0
    while True:
        text = files.read_log(workspace, run_id, path, offset, limits.LOG_READ_BYTES_MAX)
        if text is None:
            return None
        if not text:
            return incoming.finish()
        incoming.write(text)
        offset += len(text)
