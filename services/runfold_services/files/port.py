"""The port to where contents are kept. Everything here blocks, and may be called from several threads and processes.

A *content* is addressed by its SHA-256 within a workspace: the same bytes are kept once, however many runs record them.
Which run has which file under which path is no concern of a file store: events say it (``run.artifact_recorded``).
A *log* is a text that grows while a run writes it; it belongs to one run and becomes a content when it is finished.

All methods raise ``Unavailable`` when the storage does not answer or is full: nothing was stored then.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import Protocol, Self

from msgspec import Struct


class Content(Struct, frozen=True):
    """Bytes that are stored."""

    sha256: str
    size_bytes: int


class Aside(Struct, frozen=True):
    """A content that somebody has set aside, under a name that nobody else uses."""

    sha256: str
    name: str


class LogInfo(Struct, frozen=True):
    """A log that is being written, and how long it is so far."""

    path: str
    size_bytes: int


class Incoming(Protocol):
    """A content on its way in. Leaving the block without :meth:`finish`, or dying in it, leaves nothing."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def write(self, data: bytes) -> None:
        """Take the next bytes; raises ``LimitExceeded`` where they are more than a file may have."""
        ...

    def finish(self) -> Content:
        """Make the content readable, all of it at once; durable when it returns. May be called again."""
        ...


class FileStore(Protocol):
    """Keeps contents and logs."""

    def receive(self, workspace: str) -> Incoming:
        """Begin to take a content in."""
        ...

    def has(self, workspace: str, sha256: str) -> bool:
        """Whether a content can be read."""
        ...

    def read(self, workspace: str, sha256: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """The bytes from ``start`` up to ``end`` in pieces; raises ``NotFound`` at once, before the first piece."""
        ...

    def contents(self, workspace: str, *, older_than_s: float) -> Iterator[str]:
        """All contents that can be read and were stored more than so many seconds ago."""
        ...

    def size(self, workspace: str, sha256: str) -> int | None:
        """How many bytes a content has; None when it cannot be read."""
        ...

    def set_aside(self, workspace: str, sha256: str) -> Aside | None:
        """Hide a content before it is removed, so that who stores it again stores all of it.

        What is hidden is the caller's alone: two who remove the same content never undo or discard what the other has
        hidden. None when there is no content to hide.
        """
        ...

    def put_back(self, workspace: str, aside: Aside) -> None:
        """Undo :meth:`set_aside`; there need not be anything to undo."""
        ...

    def discard(self, workspace: str, aside: Aside) -> None:
        """Remove a content that was set aside."""
        ...

    def asides(self, workspace: str, *, older_than_s: float) -> Iterator[Aside]:
        """What was set aside, of contents that were stored more than so many seconds ago."""
        ...

    def note_upload(self, workspace: str, run_id: str, sha256: str) -> None:
        """Remember that who has the token of a run has sent a content, and so may record it."""
        ...

    def is_upload(self, workspace: str, run_id: str, sha256: str) -> bool:
        """Whether that was noted."""
        ...

    def forget_uploads(self, workspace: str, *, older_than_s: float) -> None:
        """Remove such notes that were made more than so many seconds ago."""
        ...

    def append_log(self, workspace: str, run_id: str, path: str, offset: int, data: bytes) -> int:
        """Write ``data`` at ``offset``; returns where the log ends then.

        What is there already and says the same is left alone, so a repeated append has no effect.

        Raises:
            Conflict: there are other bytes at ``offset``, or a gap before it; ``facts["end"]`` is the end. Or the log
                was closed.
            LimitExceeded: the log, or the number of logs of the run, would be too large.
        """
        ...

    def close_log(self, workspace: str, run_id: str, path: str) -> bool:
        """Let the log grow no more, so that whoever reads it now reads all of it; False: there is no such log."""
        ...

    def read_log(self, workspace: str, run_id: str, path: str, start: int, bytes_max: int) -> bytes | None:
        """At most ``bytes_max`` bytes from ``start`` on, none at the end; None: there is no such log."""
        ...

    def logs(self, workspace: str, run_id: str) -> list[LogInfo]:
        """The logs of a run that are being written, by path."""
        ...

    def remove_log(self, workspace: str, run_id: str, path: str) -> None:
        """Remove one log; there need not be one."""
        ...

    def remove_logs(self, workspace: str, run_id: str) -> None:
        """Remove all logs of a run."""
        ...
