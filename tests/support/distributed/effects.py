"""What workers sent and heard, by their journals, against the store: once, in order, nothing lost, nothing else."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

import msgspec

from tests.support.distributed.findings import (
    ANSWER,
    DUPLICATE,
    EFFECT,
    JOURNAL,
    LOST,
    MISSING,
    ORDER,
    REFUSED,
    UNSENT,
    Findings,
)
from tests.support.distributed.journal import ANSWERED, EFFECTS, FOUND, KEPT, Journal, Sent, short_digest
from tests.support.distributed.stored import Stored

UNREADABLE: Final = "command.unreadable"
METRICS_LOGGED: Final = "run.metrics_logged"
REJECTED: Final = "run.command_rejected"

Cause = tuple[UUID, int]


class EffectsCheck:
    """Takes all events of the store, each partition in order."""

    def __init__(self, journals: list[Journal], findings: Findings) -> None:
        self._journals = journals
        self._findings = findings
        self._sent = {(sent.stream, j.writer): sent for j in journals for sent in j.sent}
        self._answers = {place: answer for j in journals for place, answer in j.answers.items()}
        self._last: dict[str, tuple[Cause, int]] = {}  # stream → what caused its last event, how many by it
        self._highest: dict[tuple[str, UUID], int] = {}
        self._garbage: dict[tuple[int, int], bytes] = {}
        for journal in journals:
            for what in journal.damage:
                findings.add(JOURNAL, what)
            for what in journal.refused:
                findings.add(REFUSED, what)

    def is_silent(self, stream: str, writer: UUID, number: int) -> bool:
        """A command that must leave no event."""
        sent = self._sent.get((stream, writer))
        return sent is not None and number <= len(sent) and not EFFECTS[sent.name(number)]

    def take(self, event: Stored) -> None:
        """Check one event."""
        if event.stream.startswith("_system/"):
            self._take_system(event)
            return
        self._check_answer(event)
        sent = self._sent.get((event.stream, event.writer_id))
        if sent is None or not 1 <= event.writer_seq <= len(sent):
            self._findings.add(UNSENT, f"{_named(event)}: nobody sent it")
            return
        cause = (event.writer_id, event.writer_seq)
        before = self._last.get(event.stream)
        place = before[1] if before is not None and before[0] == cause else 0
        self._last[event.stream] = (cause, place + 1)
        if place == 0:
            self._check_first(event, sent)
        expected = EFFECTS[sent.name(event.writer_seq)]
        if place >= len(expected):
            kind = DUPLICATE if expected else EFFECT
            self._findings.add(
                kind, f"{_named(event)}: one event more than {sent.name(event.writer_seq)} gives"
            )
        elif event.type != expected[place]:
            self._findings.add(EFFECT, f"{_named(event)}: {event.type} in place of {expected[place]}")
        elif place == 0 and not _says(event, sent):
            self._findings.add(EFFECT, f"{_named(event)}: it does not say what was sent")

    def _check_first(self, event: Stored, sent: Sent) -> None:
        """The first event of a command: it must be the command's first time, and its writer's next."""
        key = (event.stream, event.writer_id)
        number, before = event.writer_seq, self._highest.get(key, 0)
        if sent.states[number - 1] & FOUND:
            self._findings.add(DUPLICATE, f"{_named(event)}: the command took effect again")
        elif number < before:
            self._findings.add(ORDER, f"{_named(event)}: after number {before}")
        sent.states[number - 1] |= FOUND
        self._highest[key] = max(before, number)

    def _check_answer(self, event: Stored) -> None:
        named = self._answers.pop((event.partition, event.pos), None)
        if named is None:
            return
        event_id, answer = named
        if (event_id, answer.sent.stream, answer.number) != (event.id, event.stream, event.writer_seq):
            self._findings.add(ANSWER, f"{_named(event)}: an answer named {event_id} here")
        elif (answer.outcome == "accepted") != (event.type != REJECTED):
            self._findings.add(ANSWER, f"{_named(event)}: the answer was {answer.outcome}")

    def _take_system(self, event: Stored) -> None:
        body = msgspec.json.decode(event.body)
        if event.type != UNREADABLE:
            self._findings.add(LOST, f"{_named(event)}: {body}")
            return
        place = (event.partition, body["offset"])
        if place in self._garbage:
            self._findings.add(DUPLICATE, f"{_named(event)}: the record at offset {place[1]} again")
        self._garbage[place] = msgspec.json.decode(msgspec.json.encode(body["value"]), type=bytes)

    def end(self) -> None:
        """What should have come and did not."""
        for journal in self._journals:
            for sent in journal.sent:
                self._check_all_there(sent, self._highest.get((sent.stream, journal.writer), 0))
            self._check_garbage(journal)
        for (partition, pos), (event_id, answer) in self._answers.items():
            self._findings.add(
                ANSWER, f"{partition}:{pos}: {event_id}, answered to {answer.sent.stream}, is not there"
            )

    def _check_all_there(self, sent: Sent, highest: int) -> None:
        for number, state in enumerate(sent.states, 1):
            if state & FOUND or not EFFECTS[sent.name(number)]:
                continue
            if state & (KEPT | ANSWERED):
                who = "ledger" if state & ANSWERED else "broker"
                self._findings.add(LOST, f"{sent.stream} number {number}: the {who} acknowledged it")
            elif number < highest:
                self._findings.add(MISSING, f"{sent.stream} number {number}: {highest} is stored")

    def _check_garbage(self, journal: Journal) -> None:
        for number, place in journal.garbage.items():
            if place is None:
                continue
            wanted = f"garbage {journal.writer} {number}".encode()
            if self._garbage.get(place) != wanted:
                self._findings.add(LOST, f"{place[0]}, offset {place[1]}: {wanted!r} was not kept as it was")

    @property
    def unreadable(self) -> int:
        """How many records were kept as unreadable."""
        return len(self._garbage)


def _says(event: Stored, sent: Sent) -> bool:
    """Whether an event carries what its command did."""
    if event.type == METRICS_LOGGED:
        return short_digest(event.body) == sent.digests[event.writer_seq - 1]
    body: dict[str, Any] = msgspec.json.decode(event.body)
    content = sent.contents[event.writer_seq]
    if event.type == REJECTED:
        return str(body["command"]) == sent.name(event.writer_seq).rstrip("!=")
    if event.type != "run.created":
        content = {name: value for name, value in content.items() if name != "run_id"}
    return all(body.get(name) == value for name, value in content.items())


def _named(event: Stored) -> str:
    return f"{event.partition}:{event.pos} {event.type} of {event.stream} by number {event.writer_seq}"
