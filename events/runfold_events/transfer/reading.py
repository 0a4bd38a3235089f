"""Read the lines of an exported ledger and check everything about them that needs no store.

A reader keeps one stream's state, however long the file is: streams come one after the other, in order.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from typing import BinaryIO, Final

from msgspec import Struct

from runfold_events.contract.envelope import RecordedEvent, body_digest
from runfold_events.contract.errors import Invalid
from runfold_events.contract.events import ERASED
from runfold_events.contract.ids import check_workspace_name, slice_of, split_stream
from runfold_events.decision_state import Fold
from runfold_events.ports import WriterMark
from runfold_events.transfer.format import (
    LINE_BYTES_MAX,
    EventLine,
    Header,
    Line,
    MarkLine,
    NumbersLine,
    Trailer,
    decode_header,
    decode_line,
    event_of,
    mark_of,
)

_KINDS: Final = frozenset({"run", "experiment"})


class OpenStream:
    """The stream that the reader is in: its state so far, and whether all of its events were read."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.fold = Fold()
        self.seq = 0
        self.is_whole = False
        self.workspace, self._kind = _place_of(name)
        self._gone = 0  # number of the last event without a body
        self._kept = 0  # number of the last event with a body
        self._erased = 0  # number of run.erased

    def take(self, event: RecordedEvent) -> None:
        """The next event, which must be just that, unchanged and readable."""
        if event.stream_seq != self.seq + 1:
            raise Invalid(
                f"number {self.seq + 1} of stream {self.name} is missing: here is {event.stream_seq}"
            )
        if event.slice != slice_of(event.stream):
            raise Invalid(
                f"event {event.id} says slice {event.slice}; its stream's is {slice_of(event.stream)}"
            )
        if event.type.partition(".")[0] != self._kind:
            raise Invalid(f"event {event.id} of type {event.type} cannot be of stream {self.name}")
        _check_digest(event)
        self.seq = event.stream_seq
        if event.body is None:
            self._gone = self.seq
        elif event.type == ERASED:
            self._check_erasure(event)
        else:
            self._kept = self.seq
        self.fold.apply(event)

    def _check_erasure(self, event: RecordedEvent) -> None:
        if self._kept:
            raise Invalid(f"event {event.id} erases the run, but the body of number {self._kept} is there")
        self._erased = self.seq

    def end(self) -> None:
        """All of the stream's events were read."""
        if self.is_whole:
            return
        if self._gone > self._erased:
            raise Invalid(
                f"the body of number {self._gone} of {self.name} is gone, but the run was not erased"
            )
        self.is_whole = True


class Item(Struct, frozen=True, kw_only=True):
    """What one line says: exactly one of the last three is there."""

    line: int
    stream: OpenStream
    event: RecordedEvent | None = None
    next_number: int | None = None
    mark: WriterMark | None = None


class LedgerFile:
    """An exported ledger, which is read from its beginning as often as wanted."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        """``file`` must be able to seek; ``name`` stands in errors.

        Raises:
            Invalid: it is no exported ledger, or of another version.
        """
        self._file = file
        self._name = name
        self.header: Header = decode_header(self._first_line())
        self.sha256 = ""  # as the trailer says, once everything before it was read and checked

    def items(self) -> Iterator[Item]:
        """Everything between header and trailer, from the beginning on.

        Raises:
            Invalid: a line is not what it must be, the file was cut or changed; ``facts["line"]`` names the place.
        """
        self._file.seek(0)
        reading = _Reading(self._file, self._name, self.header)
        yield from reading.items()
        self.sha256 = reading.sha256

    def _first_line(self) -> bytes:
        self._file.seek(0)
        return self._file.readline(LINE_BYTES_MAX)


class _Reading:
    """One way through a file."""

    def __init__(self, file: BinaryIO, name: str, header: Header) -> None:
        self._file = file
        self._name = name
        self._header = header
        self._hash = sha256()
        self._number = 0  # of the present line
        self._stream: OpenStream | None = None
        self._counts = {EventLine: 0, NumbersLine: 0, MarkLine: 0}

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def items(self) -> Iterator[Item]:
        while data := self._file.readline(LINE_BYTES_MAX + 1):
            self._number += 1
            try:
                item = self._line(data)
            except ValueError as error:
                raise self._refused(str(error)) from error
            if item is not None:
                yield item
            elif self._number > 1:  # the trailer
                return
        raise self._refused("the file ends here without its trailer: it was cut; export it again")

    def _line(self, data: bytes) -> Item | None:
        if not data.endswith(b"\n"):
            what = "is longer than any can be" if len(data) > LINE_BYTES_MAX else "was cut"
            raise Invalid(f"the line {what}; export the ledger again")
        line: Line = decode_line(data)
        if isinstance(line, Trailer):
            self._end(line)
            return None
        self._hash.update(data)
        if isinstance(line, Header):
            if self._number > 1:
                raise Invalid("a header stands in the middle: these are two files in one")
            return None
        self._counts[type(line)] += 1
        return self._item(line)

    def _item(self, line: EventLine | NumbersLine | MarkLine) -> Item:
        stream = self._enter(line.stream)
        if isinstance(line, EventLine):
            if stream.is_whole:
                raise Invalid(f"an event of {stream.name} stands behind its run numbers or marks")
            event = event_of(line)
            stream.take(event)
            return Item(line=self._number, stream=stream, event=event)
        stream.end()
        if isinstance(line, NumbersLine):
            if line.next_number < 1 or split_stream(line.stream)[1] != "experiment":
                raise Invalid(f"{line.stream} cannot have the run number {line.next_number}")
            return Item(line=self._number, stream=stream, next_number=line.next_number)
        return Item(line=self._number, stream=stream, mark=mark_of(line))

    def _enter(self, name: str) -> OpenStream:
        """The stream of the present line. Streams are in order, so none can come twice."""
        before = self._stream
        if before is not None and before.name == name:
            return before
        if before is not None:
            before.end()
            if before.name.encode() > name.encode():
                raise Invalid(
                    f"stream {name} stands behind {before.name}; streams are in the order of their bytes"
                )
        stream = self._stream = OpenStream(name)
        if self._header.workspace not in (None, stream.workspace):
            raise Invalid(
                f"stream {name} is not of workspace {self._header.workspace}, which the header names"
            )
        return stream

    def _end(self, trailer: Trailer) -> None:
        if self._stream is not None:
            self._stream.end()
        if self._file.read(1):
            raise Invalid("something follows the trailer")
        counted = (self._counts[EventLine], self._counts[NumbersLine], self._counts[MarkLine])
        told = (trailer.events, trailer.run_numbers, trailer.writer_marks)
        if counted != told:
            raise Invalid(
                f"the file has {counted} events, run numbers and writer marks, its trailer says {told}: "
                "lines were lost or added"
            )
        if self.sha256 != trailer.sha256:
            raise Invalid("the lines before do not give the trailer's sha256: the file was changed")

    def _refused(self, what: str) -> Invalid:
        return Invalid(
            f"{self._name}, line {self._number}: {what}",
            facts={"field": "file", "line": self._number, "path": self._name},
        )


def _place_of(stream: str) -> tuple[str, str]:
    """Workspace and kind of a stream."""
    workspace, kind, identity = (*stream.split("/", 2), "", "")[:3]
    if kind not in _KINDS or not identity:
        raise Invalid(f"{stream!r} is no stream of a run or an experiment")
    return check_workspace_name(workspace, "workspace"), kind


def _check_digest(event: RecordedEvent) -> None:
    if (event.body is None) != (event.salt is None):
        raise Invalid(f"event {event.id} has a body or a salt alone; they are erased together")
    if event.body is None or event.salt is None:
        return
    if body_digest(event.salt, event.body) != event.digest:
        raise Invalid(f"the body of event {event.id} does not match its digest: it was changed")
