"""What ``runfold unreadable`` does, and how it is shown."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Protocol

from msgspec import Struct
from msgspec.structs import replace
from rich.console import Console, Group, RenderableType
from rich.text import Text

from runfold.cli.answer import Answer
from runfold.cli.exits import Exit
from runfold.cli.render.columns import Column, table
from runfold.cli.render.facts import facts_table
from runfold.cli.render.text import ABSENT, full_time, local_time, plural, styled
from runfold.cli.servers import KAFKA, kafka_settings, server_extra, service_dsn
from runfold.cli.session import Session
from runfold_events.contract.errors import Invalid, RunfoldError
from runfold_events.unreadable import Entry, EntryPage, EntryQuery, EntryRecord

if TYPE_CHECKING:
    from runfold._http import HttpTransport
    from runfold_services.compose import EmbeddedTracker
    from runfold_services.compose.recovery import Redriver, Sent

PAGE_ROWS: Final = 200
SHOWN_CHARS_MAX: Final = 4_096
POLL_S: Final = 0.1

_ENTRIES: Final = (
    Column("NAME"),
    Column("STATE"),
    Column("KEPT", drop=3),
    Column("CODE"),
    Column("TYPE", drop=2, cells_min=12),
    Column("KEY", drop=1, cells_min=12),
    Column("BYTES", right=True, drop=4),
    Column("WHY", wrap=True, cells_min=24),
)
_SENT: Final = (
    Column("NAME"),
    Column("PARTITION", right=True),
    Column("OFFSET", right=True),
    Column("STATE", wrap=True),
)
_LIST_FIELDS: Final = ("name", "state", "partition", "offset", "code", "type", "key", "message")
_SENT_FIELDS: Final = ("name", "partition", "offset", "state")


class Source(Protocol):
    """Where entries are read."""

    @property
    def partitions(self) -> int | None:
        """P, where it is known."""
        ...

    async def page(self, query: EntryQuery) -> EntryPage: ...

    async def find(self, name: str) -> EntryRecord: ...


class _Served:
    """Entries that a server is asked for."""

    partitions: int | None = None

    def __init__(self, transport: HttpTransport) -> None:
        self._transport = transport

    async def page(self, query: EntryQuery) -> EntryPage:
        return self._transport.unreadable(query)

    async def find(self, name: str) -> EntryRecord:
        return self._transport.unreadable_record(name)


class _Embedded:
    """Entries of the ledger in the home. No door fills it, but an import may come from a store that had one."""

    partitions: int | None = None

    def __init__(self, tracker: EmbeddedTracker) -> None:
        self._tracker = tracker

    async def page(self, query: EntryQuery) -> EntryPage:
        return await self._tracker.unreadable(query)

    async def find(self, name: str) -> EntryRecord:
        return await self._tracker.unreadable_record(name)


@asynccontextmanager
async def _opened(session: Session, postgres: str | None) -> AsyncGenerator[Source]:
    """The store itself where a DSN is given, else the server or the home that the options name."""
    is_elsewhere = session.options.url is not None or session.options.home is not None
    dsn = postgres if is_elsewhere else service_dsn(postgres)
    if dsn is not None:
        with server_extra():
            from runfold_services.compose.kept import open_kept_records
        async with open_kept_records(dsn) as records:
            yield records
        return
    url = session.url
    if url is not None:
        from runfold._http import HttpTransport
        from runfold._settings import load_settings

        transport = HttpTransport(url, load_settings().token)
        try:
            yield _Served(transport)
        finally:
            transport.close()
        return
    from runfold.cli.commands.upkeep import opened

    with opened(session, "unreadable") as (_, tracker):
        yield _Embedded(tracker)


# list


def listed(session: Session, postgres: str | None, query: EntryQuery) -> Answer:
    """A page of entries."""

    async def work() -> EntryPage:
        async with _opened(session, postgres) as source:
            return await _full_page(source, query)

    page = asyncio.run(work())
    if page.next is not None:
        session.output.after(f"… and maybe more: --after {page.next}")
    return Answer(
        [_data(entry) for entry in page.entries],
        lambda console: _entries_table(console, page.entries),
        _LIST_FIELDS,
    )


async def _full_page(source: Source, query: EntryQuery) -> EntryPage:
    """As many as asked for: a store looks through a bounded number of events at a time, whatever it finds there."""
    page = await source.page(query)
    entries = list(page.entries)
    while page.next is not None and len(entries) < query.limit:
        page = await source.page(replace(query, after=page.next, limit=query.limit - len(entries)))
        entries += page.entries
    return EntryPage(entries, page.next)


def state_of(entry: Entry) -> str:
    """What became of an entry, in a word."""
    if entry.kind == "lost":
        return "lost"
    if not entry.redriven:
        return "cut" if entry.is_cut else "open"
    return "handled" if entry.redriven[-1].handled else "kept again"


def _data(entry: Entry) -> dict[str, Any]:
    return {
        "name": entry.name,
        "state": state_of(entry),
        "kind": entry.kind,
        "partition": entry.partition,
        "offset": entry.offset,
        "recorded_at": _moment(entry.recorded_at).isoformat(),
        "code": entry.code,
        "message": entry.message,
        "facts": entry.facts,
        "type": entry.type,
        "key": entry.key,
        "value_bytes": entry.value_bytes,
        "is_cut": entry.is_cut,
        "event_id": str(entry.event_id),
        "redriven": [
            {
                "at": _moment(one.at).isoformat(),
                "partition": one.partition,
                "offset": one.offset,
                "handled": one.handled,
            }
            for one in entry.redriven
        ],
    }


def _moment(time_us: int) -> datetime:
    return datetime.fromtimestamp(time_us / 1_000_000, UTC)


def _entries_table(console: Console, entries: Sequence[Entry]) -> RenderableType:
    if not entries:
        return Text("nothing was kept", style="dim")
    rows = [
        [
            Text(entry.name),
            Text(state_of(entry)),
            styled(local_time(_moment(entry.recorded_at))),
            styled(entry.code),
            styled((entry.type or ABSENT).removeprefix("dev.runfold.")),
            styled(entry.key or ABSENT),
            Text(f"{entry.value_bytes:,}"),
            styled(entry.message),
        ]
        for entry in entries
    ]
    return table(console, _ENTRIES, rows)


# show


def shown(session: Session, postgres: str | None, name: str) -> Answer:
    """One entry with its bytes."""

    async def work() -> EntryRecord:
        async with _opened(session, postgres) as source:
            return await source.find(name)

    record = asyncio.run(work())
    data = _data(record.entry) | {
        "key": readable(record.key),
        "headers": [{"name": name, "value": readable(value)} for name, value in record.headers],
        "value": readable(record.value),
    }
    return Answer(data, lambda console: _record(data), tuple(data))


def readable(value: bytes | None) -> str | None:
    """Bytes as their text, or as ``hex:`` and their digits where they are none."""
    if value is None:
        return None
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return f"hex:{value.hex()}"
    return text if "\0" not in text else f"hex:{value.hex()}"


def _record(data: dict[str, Any]) -> RenderableType:
    facts = {
        "name": data["name"],
        "state": data["state"],
        "kept": full_time(datetime.fromisoformat(data["recorded_at"])),
        "place": f"partition {data['partition']}, offset {ABSENT if data['offset'] is None else data['offset']}",
        "code": data["code"],
        "why": data["message"],
        **{f"- {name}": fact for name, fact in data["facts"].items()},
    }
    for one in data["redriven"]:
        outcome = "handled" if one["handled"] else "kept again"
        facts[f"sent again {one['at'][:19]}"] = (
            f"partition {one['partition']}, offset {one['offset']}: {outcome}"
        )
    parts: list[RenderableType] = [facts_table(facts)]
    if data["headers"]:
        parts += ["", Text("headers", style="bold")]
        parts += [styled(f"{header['name']}: {header['value']}") for header in data["headers"]]
    for part in ("key", "value"):
        if data[part] is not None:
            parts += ["", Text(part, style="bold"), styled(_cut(data[part]))]
    return Group(*parts)


def _cut(text: str) -> str:
    if len(text) <= SHOWN_CHARS_MAX:
        return text
    return f"{text[:SHOWN_CHARS_MAX]}… {plural(len(text) - SHOWN_CHARS_MAX, 'character')} more with -o json"


# redrive


class _Driven(Struct):
    """One record that was sent again, and what is known of it."""

    name: str
    sent: Sent
    times: int  # how often it had been sent again before
    state: str = "sent"


def redriven(
    session: Session,
    postgres: str | None,
    kafka: str | None,
    *,
    names: tuple[str, ...],
    chosen: EntryQuery,
    again: bool,
    wait_s: float,
) -> tuple[Answer, Exit]:
    """Send records again and wait until they were read; the answer, and 1 unless all were handled."""
    settings = kafka_settings(kafka)
    if settings is None:
        raise Invalid(f"which Kafka? --kafka SERVERS or {KAFKA} names it", facts={"field": "--kafka"})
    with server_extra():
        from runfold_services.compose.recovery import open_redriver

    async def work() -> list[_Driven]:
        async with _opened(session, postgres) as source:
            wanted = names or await _all_names(source, chosen)
            async with open_redriver(settings, source.partitions) as redriver:
                driven = [await _send(source, redriver, name, again=again) for name in wanted]
            await _follow(source, driven, wait_s)
        return driven

    driven = asyncio.run(work())
    data = [
        {"name": one.name, "partition": one.sent.partition, "offset": one.sent.offset, "state": one.state}
        for one in driven
    ]
    answer = Answer(data, lambda console: _sent_table(console, driven), _SENT_FIELDS)
    return answer, Exit.OK if all(one.state == "handled" for one in driven) else Exit.REFUSED


async def _all_names(source: Source, query: EntryQuery) -> list[str]:
    """Everything that can be sent again; what was cut cannot, and stays as it is."""
    names: list[str] = []
    after: str | None = None
    while True:
        page = await source.page(replace(query, after=after))
        names += [entry.name for entry in page.entries if entry.kind == "unreadable" and not entry.is_cut]
        after = page.next
        if after is None:
            return names


async def _send(source: Source, redriver: Redriver, name: str, *, again: bool) -> _Driven:
    """Send one. Records are read one at a time, since each may have some megabytes."""
    record = await source.find(name)
    if record.entry.redriven and not again:
        raise RunfoldError(
            f"{name} was sent again before ({state_of(record.entry)}); --again sends it once more",
            code="redriven",
            facts={"name": name},
        )
    return _Driven(name, await redriver.send(record), len(record.entry.redriven))


async def _follow(source: Source, driven: Sequence[_Driven], wait_s: float) -> None:
    """Look what became of them, until all were read or the time is over."""
    end = time.monotonic() + wait_s
    while True:
        for one in driven:
            if one.state == "sent":
                entry = (await source.find(one.name)).entry
                one.state = state_of(entry) if len(entry.redriven) > one.times else "sent"
        if all(one.state != "sent" for one in driven) or time.monotonic() >= end:
            return
        await asyncio.sleep(POLL_S)


def _sent_table(console: Console, driven: Sequence[_Driven]) -> RenderableType:
    if not driven:
        return Text("nothing was left to send again", style="dim")
    words = {
        "sent": "sent; no decider has read it yet",
        "kept again": "could not be handled, and was kept again",
    }
    rows = [
        [
            Text(one.name),
            Text(str(one.sent.partition)),
            Text(str(one.sent.offset)),
            styled(words.get(one.state, one.state)),
        ]
        for one in driven
    ]
    return table(console, _SENT, rows)
