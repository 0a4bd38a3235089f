"""What a worker of the load writes down, and what the checker reads: one line an entry, appended and flushed.

A worker writes ``S`` before it sends and the rest as soon as it hears it, so that a worker that is killed leaves at
most acknowledgements out. A last line without its end was being written at that moment and does not count.

======================================  ==============================================================================
``W writer door``                       who writes; the first line
``N index stream``                      ``index`` stands for this stream from here on
``S index number command digest body``  about to send; ``digest``: the first 16 hex digits of the SHA-256 of a metric
                                        batch, otherwise ``-`` and the command's own fields as JSON
``B index number partition offset``     the broker keeps the command's record
``A index number outcome ms places``    the ledger answered; ``places``: ``partition:pos:event id`` of each event
``G number``                            about to send a record that is no command
``K number partition offset``           the broker keeps that record
======================================  ==============================================================================

A command's name ends with ``!`` where the rules must refuse it, with ``=`` where it must change nothing.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, Final
from uuid import UUID

EFFECTS: Final[dict[str, tuple[str, ...]]] = {
    "experiment.ensure": ("experiment.created",),
    "run.create": ("run.created", "run.started"),
    "run.log_metrics": ("run.metrics_logged",),
    "run.log_params": ("run.params_logged",),
    "run.add_properties": ("run.properties_added",),
    "run.add_properties!": ("run.command_rejected",),
    "run.add_properties=": (),
    "run.set_tags": ("run.tags_set",),
    "run.remove_tags": ("run.tags_removed",),
    "run.record_artifact": ("run.artifact_recorded",),
    "run.advance": ("run.advanced",),
    "run.complete": ("run.completed",),
    "run.complete!": ("run.command_rejected",),
    "run.fail": ("run.failed",),
    "run.fail!": ("run.command_rejected",),
}
"""The events that each command of the load must give, in order."""
NAMES: Final = tuple(EFFECTS)
METRICS: Final = "run.log_metrics"

KEPT: Final = 1  # by the broker
ANSWERED: Final = 2  # by the ledger
FOUND: Final = 4  # in the store: for whoever checks

Place = tuple[int, int, UUID]  # partition, position, event id


def short_digest(body: bytes) -> int:
    """The first 64 bits of the SHA-256 of ``body``."""
    return int.from_bytes(sha256(body).digest()[:8])


class JournalWriter:
    """Appends entries. Nothing is on its way before :meth:`flush` has given what says so to the system."""

    def __init__(self, path: Path, writer: UUID, door: str) -> None:
        self._file = path.open("x", encoding="utf-8")
        self._indexes: dict[str, int] = {}
        self._lines: list[str] = [f"W {writer} {door}\n"]
        self.flush()

    def sends(self, stream: str, number: int, command: str, body: bytes, content: dict[str, Any]) -> None:
        """A command that is about to be sent; ``body`` counts for metric batches, ``content`` for all others."""
        said = f"{short_digest(body):016x}" if command == METRICS else f"- {json.dumps(content)}"
        self._lines.append(f"S {self._index(stream)} {number} {command} {said}\n")

    def kept(self, stream: str, number: int, partition: int, offset: int) -> None:
        """The broker acknowledged."""
        self._lines.append(f"B {self._index(stream)} {number} {partition} {offset}\n")

    def answered(self, stream: str, number: int, outcome: str, ms: float, places: list[str]) -> None:
        """The ledger acknowledged; ``outcome`` is ``accepted`` or the code of a refusal."""
        self._lines.append(f"A {self._index(stream)} {number} {outcome} {ms:.1f} {' '.join(places)}\n")

    def sends_garbage(self, number: int) -> None:
        """A record that is no command is about to be sent."""
        self._lines.append(f"G {number}\n")

    def kept_garbage(self, number: int, partition: int, offset: int) -> None:
        """The broker acknowledged it."""
        self._lines.append(f"K {number} {partition} {offset}\n")

    def flush(self) -> None:
        """What was noted survives the process from here on."""
        self._file.write("".join(self._lines))
        self._lines.clear()
        self._file.flush()

    def close(self) -> None:
        """Flush and close."""
        self.flush()
        self._file.close()

    def _index(self, stream: str) -> int:
        index = self._indexes.get(stream)
        if index is None:
            index = self._indexes[stream] = len(self._indexes)
            self._lines.append(f"N {index} {stream}\n")
        return index


class Sent:
    """What one writer sent on one stream: its commands 1, 2, 3, …, each with what it heard of it."""

    def __init__(self, stream: str) -> None:
        self.stream = stream
        self.names = bytearray()  # indexes of NAMES
        self.states = bytearray()  # KEPT, ANSWERED, FOUND
        self.digests = array("Q")  # of metric batches; 0 for other commands
        self.contents: dict[int, dict[str, Any]] = {}  # of other commands, by number

    def __len__(self) -> int:
        return len(self.names)

    def name(self, number: int) -> str:
        """The command of that number."""
        return NAMES[self.names[number - 1]]


class Answer:
    """An answer of the ledger that names events."""

    __slots__ = ("number", "outcome", "sent")

    def __init__(self, sent: Sent, number: int, outcome: str) -> None:
        self.sent = sent
        self.number = number
        self.outcome = outcome


class Journal:
    """One worker's journal, read back."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.writer = UUID(int=0)
        self.door = ""
        self.sent: list[Sent] = []
        self.answers: dict[tuple[int, int], tuple[UUID, Answer]] = {}  # by partition and position
        self.garbage: dict[int, tuple[int, int] | None] = {}  # number → partition and offset, once kept
        self.answer_ms = array("d")
        self.refused: list[str] = []  # without an event, which no command of the load should be
        self.damage: list[str] = []
        for line in _whole_lines(path):
            self._take(line)

    @property
    def commands(self) -> int:
        """How many commands were about to be sent."""
        return sum(len(sent) for sent in self.sent)

    def count(self, state: int) -> int:
        """How many commands are in a state."""
        return sum(1 for sent in self.sent for found in sent.states if found & state)

    def _take(self, line: str) -> None:
        kind, rest = line[0], line[2:]
        if kind == "S":
            self._take_sent(rest)
        elif kind == "B":
            index, number, _, _ = rest.split(" ")
            self.sent[int(index)].states[int(number) - 1] |= KEPT
        elif kind == "A":
            self._take_answer(rest)
        elif kind == "N":
            self.sent.append(Sent(rest.split(" ", 1)[1]))
        elif kind == "G":
            self.garbage[int(rest)] = None
        elif kind == "K":
            garbage, partition, offset = map(int, rest.split(" "))
            self.garbage[garbage] = (partition, offset)
        else:
            writer, self.door = rest.split(" ")
            self.writer = UUID(writer)

    def _take_sent(self, rest: str) -> None:
        index, number_text, name, digest, *content = rest.split(" ", 4)
        sent, number = self.sent[int(index)], int(number_text)
        if number != len(sent) + 1:
            self.damage.append(f"{sent.stream}: number {number} follows {len(sent)} in {self.path.name}")
            return
        sent.names.append(NAMES.index(name))
        sent.states.append(0)
        if content:
            sent.digests.append(0)
            sent.contents[number] = json.loads(content[0])
        else:
            sent.digests.append(int(digest, 16))

    def _take_answer(self, rest: str) -> None:
        index, number_text, outcome, ms, *places = rest.split(" ")
        sent, number = self.sent[int(index)], int(number_text)
        if outcome != "accepted" and not places[0]:
            self.refused.append(f"{sent.stream} number {number}, {sent.name(number)}: {outcome}")
            return
        sent.states[number - 1] |= ANSWERED
        self.answer_ms.append(float(ms))
        for place in filter(None, places):
            partition, pos, event_id = place.split(":")
            self.answers[int(partition), int(pos)] = (UUID(event_id), Answer(sent, number, outcome))


def _whole_lines(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            if line.endswith("\n"):
                yield line[:-1]


def read_journals(folder: Path) -> list[Journal]:
    """All journals of a folder."""
    return [Journal(path) for path in sorted(folder.glob("*.journal"))]
