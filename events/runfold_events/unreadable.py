"""What was kept of the command topic: records that nobody could read, losses, and what became of records sent again.

All of it stands in the stream ``_system/{partition}``. An entry has a name, its partition and its number there, such as
``3-17``. A record that is sent again carries the name of its entry in its last header; the door that reads it compares
it with what the entry keeps and appends ``command.redriven``, under the entry's own event id as writer. So whether an
entry is still open is one look into an index, whichever partition the record went to.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final, Literal
from uuid import UUID

from msgspec import Struct

from runfold_events.contract import limits
from runfold_events.contract.codec import decode_event
from runfold_events.contract.envelope import RecordedEvent
from runfold_events.contract.errors import Invalid, NotFound
from runfold_events.contract.events import CommandRedriven, CommandUnreadable, LogLost
from runfold_events.contract.ids import system_stream
from runfold_events.contract.submission import Refused
from runfold_events.ports import CommandKey, EventStore

REDRIVE_HEADER: Final = "ce_redriveof"
REDRIVEN_SEQ: Final = 1  # of the writer that an entry's event id stands for
LOST_CODE: Final = "commands_lost"
KEY_CHARS_MAX: Final = 1_024  # as shown; a stream id has at most some 350
READ_EVENTS: Final = 8  # at a time: each may hold a record of some megabytes
REFUSALS_LOOKED_AT: Final = 64  # of a partition, the newest
SCANNED_EVENTS_MAX: Final = 2_000  # for one page, however few entries are found among them
_NAME: Final = re.compile(r"([0-9]{1,4})-([0-9]{1,18})\Z")

Kind = Literal["unreadable", "lost"]
Header = tuple[str, bytes]


class EntryName(Struct, frozen=True, order=True):
    """Where an entry stands: its partition, and its number in the partition's own stream."""

    partition: int
    seq: int

    def __str__(self) -> str:
        return f"{self.partition}-{self.seq}"


class Redriven(Struct, frozen=True):
    """One time that an entry's record was sent again and read again."""

    at: int  # UTC µs since the epoch, by the store's clock
    partition: int
    offset: int
    handled: bool  # False: kept as unreadable once more


class Entry(Struct, frozen=True, kw_only=True):
    """A record that could not be handled, or a loss of the topic (``kind`` ``lost``, with its offsets in ``facts``)."""

    name: str
    kind: Kind
    partition: int
    recorded_at: int  # UTC µs since the epoch
    event_id: UUID
    code: str
    message: str
    facts: dict[str, Any] = {}
    offset: int | None = None
    timestamp_ms: int | None = None
    type: str | None = None  # as the record itself says
    key: str | None = None  # bytes that are no UTF-8 are shown as \\xNN
    value_bytes: int = 0
    is_cut: bool = False  # too large to be kept whole, so it cannot be sent again
    redriven: tuple[Redriven, ...] = ()

    @property
    def is_open(self) -> bool:
        """True while nobody has sent the record again."""
        return self.kind == "unreadable" and not self.redriven


class EntryRecord(Struct, frozen=True, kw_only=True):
    """An entry and the bytes that are kept of its record."""

    entry: Entry
    key: bytes | None = None
    value: bytes | None = None
    headers: tuple[Header, ...] = ()


class EntryPage(Struct, frozen=True):
    """Entries in order of their names. ``next``: the name to go on after; None at the end."""

    entries: list[Entry]
    next: str | None = None


class EntryQuery(Struct, frozen=True, kw_only=True):
    """Which entries."""

    partition: int | None = None
    after: str | None = None
    limit: int = 50
    open: bool = False  # only records that nobody has sent again
    code: str | None = None


def parse_name(text: str) -> EntryName:
    """The reverse of ``str(EntryName)``; raises :class:`Invalid`."""
    match = _NAME.match(text)
    if match is None:
        raise Invalid(
            f"an entry is named PARTITION-NUMBER, such as 3-17; got {text[:40]!r}",
            facts={"field": "name", "limit": "PARTITION-NUMBER", "size": text[:40]},
        )
    return EntryName(int(match[1]), int(match[2]))


# Reading


async def list_entries(store: EventStore, query: EntryQuery) -> EntryPage:
    """A page of entries.

    Raises:
        Invalid: there is no such partition, or ``after`` is no name.
        Unavailable: the store does not answer.
    """
    chosen = _partitions(store, query.partition)
    after = EntryName(chosen[0], 0) if query.after is None else parse_name(query.after)
    entries: list[Entry] = []
    scanned = 0
    for partition in (number for number in chosen if number >= after.partition):
        seq = after.seq if partition == after.partition else 0
        while True:
            events = await store.read_stream(system_stream(partition), seq + 1, READ_EVENTS)
            for entry in await _entries(store, events):
                if _is_wanted(entry, query):
                    entries.append(entry)
                    if len(entries) == query.limit:
                        return EntryPage(entries, entry.name)
            if len(events) < READ_EVENTS:
                break
            seq = events[-1].stream_seq
            scanned += len(events)
            if scanned >= SCANNED_EVENTS_MAX:
                return EntryPage(entries, str(EntryName(partition, seq)))
    return EntryPage(entries)


async def find_entry(store: EventStore, name: str) -> EntryRecord:
    """One entry with its bytes.

    Raises:
        NotFound: there is no entry of this name.
        Invalid: it is no name.
    """
    event = await _event(store, parse_name(name))
    found = [] if event is None else await _entries(store, [event])
    if event is None or not found:
        raise NotFound(f"there is no unreadable record {name}", facts={"name": name})
    body = decode_event(event)
    if not isinstance(body, CommandUnreadable):
        return EntryRecord(entry=found[0])
    return EntryRecord(entry=found[0], key=body.key, value=body.value, headers=body.headers)


async def find_refusal(store: EventStore, key: CommandKey, partition: int, offset: int) -> Refused | None:
    """Why a command was refused that lies at an offset of the log, if it was kept; only its own sender is told.

    Looked for among the last entries: whoever asks asks soon.
    """
    if partition >= store.partitions:
        return None
    stream = system_stream(partition)
    head = (await store.heads([stream])).get(stream)
    last = 0 if head is None else head.stream_seq
    first = last - REFUSALS_LOOKED_AT
    while last > max(first, 0):
        begin = max(1, last - READ_EVENTS + 1)
        for event in await store.read_stream(stream, begin, last - begin + 1):
            body = decode_event(event)
            if isinstance(body, CommandUnreadable) and body.offset == offset and _is_of(body, key):
                return Refused(code=body.code, message=body.message, facts=body.facts)
        last = begin - 1
    return None


def _is_of(body: CommandUnreadable, key: CommandKey) -> bool:
    stream, writer_id, number = key
    given = dict(body.headers)
    told = (body.key, given.get("ce_writerid"), given.get("ce_writerseq"))
    return told == (stream.encode(), str(writer_id).encode(), str(number).encode())


def _partitions(store: EventStore, wanted: int | None) -> range:
    if wanted is None:
        return range(store.partitions)
    if not 0 <= wanted < store.partitions:
        raise Invalid(
            f"there is no partition {wanted}",
            facts={"field": "partition", "limit": store.partitions - 1, "size": wanted},
        )
    return range(wanted, wanted + 1)


def _is_wanted(entry: Entry, query: EntryQuery) -> bool:
    return (not query.open or entry.is_open) and query.code in (None, entry.code)


async def _event(store: EventStore, name: EntryName) -> RecordedEvent | None:
    if name.partition >= store.partitions:
        return None
    events = await store.read_stream(system_stream(name.partition), name.seq, 1)
    return events[0] if events and events[0].stream_seq == name.seq else None


async def _entries(store: EventStore, events: Sequence[RecordedEvent]) -> list[Entry]:
    bodies = [(event, decode_event(event)) for event in events]
    records = [event.id for event, body in bodies if isinstance(body, CommandUnreadable)]
    redriven = await _redriven(store, records)
    entries: list[Entry] = []
    for event, body in bodies:
        if isinstance(body, CommandUnreadable):
            entries.append(_entry(event, body, redriven.get(event.id, ())))
        elif isinstance(body, LogLost):
            entries.append(_loss(event, body))
    return entries


async def _redriven(store: EventStore, ids: Iterable[UUID]) -> dict[UUID, tuple[Redriven, ...]]:
    """What became of entries that were sent again, wherever that was."""
    keys: list[CommandKey] = [
        (system_stream(number), entry, REDRIVEN_SEQ) for entry in ids for number in range(store.partitions)
    ]
    found: dict[UUID, tuple[Redriven, ...]] = {}
    if keys:
        for (_, entry, _), events in (await store.outcomes(keys)).items():
            told = [
                Redriven(event.recorded_at, event.partition, body.offset, body.handled)
                for event in events
                if isinstance(body := decode_event(event), CommandRedriven)
            ]
            found[entry] = tuple(sorted([*found.get(entry, ()), *told], key=lambda one: one.at))
    return found


def _entry(event: RecordedEvent, body: CommandUnreadable, redriven: tuple[Redriven, ...]) -> Entry:
    given = {name.lower(): value for name, value in body.headers}
    return Entry(
        name=str(EntryName(event.partition, event.stream_seq)),
        kind="unreadable",
        partition=event.partition,
        recorded_at=event.recorded_at,
        event_id=event.id,
        code=body.code,
        message=body.message,
        facts={name: _portable(fact) for name, fact in body.facts.items()},
        offset=body.offset,
        timestamp_ms=body.timestamp_ms,
        type=_text(given.get("ce_type")),
        key=_text(body.key),
        value_bytes=len(body.value or b""),
        is_cut=body.facts.get("is_cut") is True,
        redriven=redriven,
    )


def _portable(fact: Any) -> Any:
    """Numbers of any size may come in a record; answers carry those that msgpack can."""
    is_number = isinstance(fact, int) and not isinstance(fact, bool)
    return str(fact) if is_number and not limits.INT64_MIN <= fact <= limits.INT64_MAX else fact


def _loss(event: RecordedEvent, body: LogLost) -> Entry:
    return Entry(
        name=str(EntryName(event.partition, event.stream_seq)),
        kind="lost",
        partition=event.partition,
        recorded_at=event.recorded_at,
        event_id=event.id,
        code=LOST_CODE,
        message=body.reason,
        facts={"first": body.first, "last": body.last},
    )


def _text(value: bytes | None) -> str | None:
    return None if value is None else value[:KEY_CHARS_MAX].decode("utf-8", "backslashreplace")


# Sending again


def redrive_headers(record: EntryRecord) -> tuple[Header, ...]:
    """The headers under which an entry's record is sent again: its own, and last the entry's name."""
    return (*_without_name(record.headers), (REDRIVE_HEADER, record.entry.name.encode()))


def claims_entry(headers: Sequence[Header]) -> bool:
    """True when a record says that it is an entry's, sent again."""
    return bool(headers) and headers[-1][0] == REDRIVE_HEADER


async def redriven_entry(
    store: EventStore, key: bytes | None, value: bytes | None, headers: Sequence[Header]
) -> UUID | None:
    """The event id of the entry whose record this is; None for a record that is no entry's, whatever it claims.

    A header proves nothing, so the bytes are compared: only who sends the same record again can answer for it.
    """
    if not claims_entry(headers):
        return None
    try:
        event = await _event(store, parse_name(headers[-1][1].decode("ascii", "replace")))
    except Invalid:
        return None
    body = None if event is None else decode_event(event)
    if event is None or not isinstance(body, CommandUnreadable) or body.facts.get("is_cut") is True:
        return None
    same = (key or b"", value or b"", _without_name(headers))
    return event.id if same == (body.key or b"", body.value or b"", _without_name(body.headers)) else None


def _without_name(headers: Iterable[Header]) -> tuple[Header, ...]:
    """A record that was sent again and kept once more has the name of the entry before: that one is closed."""
    return tuple(header for header in headers if header[0] != REDRIVE_HEADER)
