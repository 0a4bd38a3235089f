"""What became of commands that came by the log, for senders that were answered by a broker and not by the ledger.

A number that the store knows has its outcome there. One that it does not know was refused without an event, or has not
been handled: the store's cursor in the log tells these apart, once the sender says where in the log its command lies.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Annotated
from uuid import UUID

from msgspec import Meta, Struct

from runfold_events.contract import limits
from runfold_events.contract.submission import Outcome
from runfold_events.ledger import Ledger
from runfold_events.ports import CommandKey
from runfold_events.unreadable import find_refusal

Cursors = Callable[[], Awaitable[Mapping[int, int]]]
"""Asks the store for the next offset to be handled, by partition; none where no log is read."""


class Asked(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A command by its key, apart from the writer; ``partition`` and ``offset``: where the log keeps it."""

    stream: str
    number: Annotated[int, Meta(ge=1, le=limits.WRITER_SEQ_MAX)]
    partition: Annotated[int, Meta(ge=0)] | None = None
    offset: Annotated[int, Meta(ge=0)] | None = None


class Fate(Struct, frozen=True, omit_defaults=True):
    """What became of a command.

    Attributes:
        outcome: None while it is not known.
        passed: the log's reader is past the offset that was asked about. Without an outcome the command was not among
            what it read: it must be sent again.
    """

    outcome: Outcome | None = None
    passed: bool = False


async def fates(ledger: Ledger, cursors: Cursors, writer_id: UUID, asked: Sequence[Asked]) -> list[Fate]:
    """One for each of ``asked``, in order."""
    keys: list[CommandKey] = [(one.stream, writer_id, one.number) for one in asked]
    outcomes = await ledger.outcomes(keys)
    told = [Fate(outcome, passed=outcome is not None) for outcome in outcomes]
    open_places = [
        place for place, one in enumerate(asked) if outcomes[place] is None and one.offset is not None
    ]
    if not open_places:
        return told
    ends = await cursors()
    passed = [place for place in open_places if _is_passed(asked[place], ends)]
    # Looked up again: before the cursor was read, the number may not have been handled yet.
    again = await ledger.outcomes([keys[place] for place in passed])
    for place, outcome in zip(passed, again, strict=True):
        told[place] = Fate(outcome or await _refusal(ledger, keys[place], asked[place]), passed=True)
    return told


def _is_passed(one: Asked, ends: Mapping[int, int]) -> bool:
    return one.partition is not None and one.offset is not None and one.offset < ends.get(one.partition, 0)


async def _refusal(ledger: Ledger, key: CommandKey, one: Asked) -> Outcome | None:
    if one.partition is None or one.offset is None:
        return None
    return await find_refusal(ledger.store, key, one.partition, one.offset)
