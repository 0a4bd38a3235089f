"""What an answer means for each command of a request.

* Accepted, or refused by a recorded event: the number is used up.
* ``idempotency_conflict``: the number was used up by something else, so the command goes again under the next one.
* Refused without an event: the number is free again, so what followed it on the same stream got ``sequence_gap`` and
  goes again under the numbers that are right then.
* A refused batch of values goes again without the series that is to blame; its values are declared lost.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Final
from uuid import uuid4

import msgspec
from msgspec import Struct

from runfold._streams import Pending, Stream
from runfold_events.contract.commands import (
    CancelRun,
    CompleteRun,
    CreateRun,
    DeclareLost,
    FailRun,
    LogMetrics,
    holds,
)
from runfold_events.contract.errors import RunfoldError, error_from
from runfold_events.contract.limits import REASON_CHARS_MAX
from runfold_events.contract.submission import Accepted, Outcome, Refused

if TYPE_CHECKING:
    from runfold._sender import Sender
    from runfold_events.contract.metrics import MetricBatch
    from runfold_events.contract.metrics import Series as WireSeries

_SERIES_INDEX: Final = re.compile(r"series\[(\d+)\]")
_TRY_AGAIN: Final = ("unavailable", "too_many_requests")
_OF_CONTENT: Final = ("invalid", "limit_exceeded", "error")  # refusals that part of a batch may be free of
_ENDS: Final = (CompleteRun, FailRun, CancelRun)
_log = logging.getLogger("runfold")


class Answered(Struct, frozen=True):
    """A request and its answer, command by command."""

    batch: list[Pending]
    outcomes: list[Outcome]
    token: str | None


def settle(answer: Answered, sender: Sender) -> list[Pending]:
    """Give every command its outcome; returns those that must go again, in order."""
    again: list[Pending] = []
    shifted: set[Stream] = (
        set()
    )  # streams on which a number was not used, so that what follows must be renumbered
    for pending, outcome in zip(answer.batch, answer.outcomes, strict=True):
        stream = pending.stream
        if stream is None:
            continue
        if isinstance(outcome, Accepted):
            _note_effects(pending)
            sender.arrived(pending, outcome)
        elif outcome.code in _TRY_AGAIN:
            shifted.add(stream)
            again.append(pending)
        elif outcome.code == "idempotency_conflict":
            shifted.add(stream)
            again += _after_conflict(pending, outcome, sender)
        elif outcome.code == "sequence_gap" and outcome.event is None:
            again += _after_gap(pending, outcome, stream in shifted)
            shifted.add(stream)
        else:
            again += _refused(pending, outcome, sender, shifted)
    return again


def _note_effects(pending: Pending) -> None:
    stream, command = pending.stream, pending.command
    if stream is None:
        return
    if isinstance(command, CreateRun):
        stream.refusal = None
    if command is not None and holds(command):
        stream.held = not stream.ended
    elif isinstance(command, _ENDS):
        stream.ended, stream.held = True, False


def _after_gap(pending: Pending, outcome: Refused, explained: bool) -> list[Pending]:
    """A jump that this request explains is renumbered. One that it does not: the store has lost what it once took
    (it was restored from a backup), and so has this process, which says so."""
    from runfold._sender import declare_lost

    expected = outcome.facts.get("expected")
    stream = pending.stream
    if explained or stream is None or not isinstance(expected, int) or expected >= pending.seq:
        return [pending]
    lost = Pending(
        stream, declare_lost(stream, "the store no longer has these commands", 0, pending.seq - expected)
    )
    stream.next_seq = expected
    return [lost, pending]


def _after_conflict(pending: Pending, outcome: Refused, sender: Sender) -> list[Pending]:
    """Ours was not taken under this number and never will be. A declared loss has nothing left to declare."""
    if isinstance(pending.command, DeclareLost):
        sender.arrived(pending, outcome)
        return []
    _log.error("runfold: %s; it goes again under the next number", outcome.message)
    if pending.stream is not None:
        pending.stream.next_seq = pending.seq + 1
    pending.attempted = False
    return [pending]


def burn(pending: Pending, error: RunfoldError, sender: Sender) -> list[Pending]:
    """What to send instead of a refused command whose number an earlier attempt may have used up.

    The number must not go to another command before that is known. A declared loss finds out: it takes the number, or
    conflicts with what took it.
    """
    from runfold._sender import declare_lost

    stream = pending.stream
    if stream is None or stream.run_id is None or isinstance(pending.command, DeclareLost):
        return []
    sender.refuse(pending, error)
    reason = f"refused: {error.message}"[:REASON_CHARS_MAX]
    return [Pending(stream, declare_lost(stream, reason, pending.values))]


def _refused(pending: Pending, outcome: Refused, sender: Sender, shifted: set[Stream]) -> list[Pending]:
    stream = pending.stream
    if stream is None:
        return []
    error = error_from(outcome.code, outcome.message, outcome.facts)
    event_id = None if outcome.event is None else outcome.event.id
    if outcome.event is not None:
        stream.next_seq = pending.seq + 1
        if isinstance(pending.command, CreateRun):
            _creation_refused(pending, outcome, error)
        sender.refuse(pending, error, event_id)
        return []
    shifted.add(stream)
    if isinstance(pending.command, CreateRun):
        _creation_refused(pending, outcome, error)
    if isinstance(pending.command, LogMetrics):
        return _salvage(pending, error, sender)
    sender.refuse(pending, error, event_id)
    return []


def _creation_refused(pending: Pending, outcome: Refused, error: RunfoldError) -> None:
    """After a refused creation the ledger takes nothing more of this writer on the stream.

    What was queued behind a creation that nobody waited for is not meant for the run that is there instead. But a
    caller that has heard of the refusal may well go on with that run: as another writer.
    """
    stream = pending.stream
    if stream is None:
        return
    if not pending.waited:
        stream.refusal = error
    if outcome.event is not None:
        stream.writer_id, stream.next_seq = uuid4(), 1


def _salvage(pending: Pending, error: RunfoldError, sender: Sender) -> list[Pending]:
    """What goes again of a refused batch of values, under the number that it did not use."""
    from runfold._packing import encode
    from runfold._sender import declare_lost

    stream = pending.stream
    if stream is None or not isinstance(pending.command, LogMetrics) or error.code not in _OF_CONTENT:
        sender.refuse(pending, error)
        return []
    batch = _decode(bytes(pending.command.batch))
    named = _SERIES_INDEX.search(str(error.facts.get("field", "")))
    blamed = int(named[1]) if named and int(named[1]) < len(batch.series) else None
    if blamed is None and len(batch.series) > 1:
        middle = len(batch.series) // 2
        parts = [batch.series[:middle], batch.series[middle:]]
    else:
        rest = [series for index, series in enumerate(batch.series) if index != (blamed or 0)]
        parts = [rest] if rest else []
    again: list[Pending] = []
    for half in parts:
        part = Pending(stream, LogMetrics(run_id=stream.run_id or "", batch=msgspec.Raw(encode(half))))
        part.values = sum(_points(series) for series in half)
        part.occurred_at = pending.occurred_at
        again.append(part)
    kept = sum(part.values for part in again)
    if kept < pending.values:
        pending.values -= kept
        sender.note_rejection(pending, error)
        reason = f"refused: {error.message}"[:REASON_CHARS_MAX]
        again.append(Pending(stream, declare_lost(stream, reason, pending.values)))
    sender.finish(pending, error)
    return again


def _decode(batch: bytes) -> MetricBatch:
    from runfold_events.contract.metrics import MetricBatch

    return msgspec.msgpack.decode(batch, type=MetricBatch)


def _points(series: WireSeries) -> int:
    times = series.times
    return len(times.values) if times.values is not None else times.count or 0
