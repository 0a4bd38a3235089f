"""Streams and writers as they stand within one transaction: as loaded, and what its commands have made of them."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from msgspec.structs import replace

from runfold_events.contract import events as e
from runfold_events.contract.codec import command_digest
from runfold_events.contract.ids import is_system_stream, slice_of
from runfold_events.contract.submission import Submission
from runfold_events.decision_state import State, decode_state, encode_state, evolve_stream
from runfold_events.ports import Head, WriterMark

NO_STATE: Final = b""  # what the head of a stream without decisions keeps


class Stream:
    """A stream as it stands within this transaction."""

    __slots__ = ("_bytes", "changed", "name", "seq", "slice", "state")

    def __init__(self, name: str, head: Head | None) -> None:
        self.name = name
        self.slice = slice_of(name)
        self.seq = 0 if head is None else head.stream_seq
        self.state: State | None = None if head is None or is_system_stream(name) else decode_state(head)
        self._bytes = None if head is None else head.state
        self.changed = False

    def apply(self, event: e.AnyEvent, event_id: UUID) -> None:
        """Take the next event."""
        self.pass_by()
        if is_system_stream(self.name):
            return
        before = self.state
        self.state = evolve_stream(before, event, event_id)
        if self.state is not before:
            self._bytes = None

    def pass_by(self) -> None:
        """Count an event that leaves the state, and so its bytes, as they are: a metric batch."""
        self.seq += 1
        self.changed = True

    def head(self) -> Head:
        """What the store keeps of it."""
        if is_system_stream(self.name):
            return Head(self.name, self.seq, NO_STATE)
        if self.state is None:
            raise ValueError(f"stream {self.name} has no state")
        return Head(self.name, self.seq, encode_state(self.state) if self._bytes is None else self._bytes)


class Writer:
    """What a writer has numbered on one stream, as it stands within this transaction."""

    __slots__ = ("_last", "_mark", "changed", "highest")

    def __init__(self, mark: WriterMark) -> None:
        self._mark = mark
        self._last: Submission | None = None  # the highest command, whose digest no mark has yet
        self.highest = mark.highest
        self.changed = False

    @property
    def is_refused(self) -> bool:
        """True when its creation of the run was refused: nothing more of it is taken on the stream."""
        return self._mark.refused_creation

    @property
    def mark(self) -> WriterMark:
        """The mark; its digest may be that of an earlier command, see :meth:`finished`."""
        if self._mark.highest != self.highest:
            self._mark = replace(self._mark, highest=self.highest)
        return self._mark

    def take_next(self, submission: Submission) -> None:
        """Take the command that has the number after the highest."""
        self.highest += 1
        self._last = submission
        self.changed = True

    def move(self, after: WriterMark, submission: Submission) -> None:
        """Move the mark, as ``submission`` does it."""
        if after.highest > self.highest:
            self._last = submission
        self._mark = after
        self.highest = after.highest
        self.changed = True

    def forget_content(self) -> None:
        """Keep no digest: what the highest command said was erased."""
        self._last = None
        self._mark = replace(self.mark, digest=None)

    def finished(self) -> WriterMark:
        """The mark with the digest of its highest command, which is computed for the last of many only."""
        if self._last is None:
            return self.mark
        return replace(self.mark, digest=command_digest(self._last.command, self._last.content_type))
