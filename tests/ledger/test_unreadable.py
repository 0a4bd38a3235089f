"""What a door kept: names, pages, what became of it; on a store in memory."""

from __future__ import annotations

import asyncio
from typing import Final
from uuid import UUID, uuid4

import pytest

from runfold_events import unreadable
from runfold_events.contract import commands as c
from runfold_events.contract.cloudevents import command_record
from runfold_events.contract.errors import Invalid, NotFound
from runfold_events.contract.submission import Actor, Submission
from runfold_events.ids_source import SystemIds
from runfold_events.ledger import Ledger
from runfold_events.log_door import UNREADABLE_BYTES_MAX, LogDoor, LogRecord
from runfold_events.stores.sqlite import SqliteStore
from runfold_events.sync import run_sync
from runfold_events.unreadable import (
    REDRIVE_HEADER,
    EntryName,
    EntryQuery,
    EntryRecord,
    find_entry,
    list_entries,
    parse_name,
    redrive_headers,
)

SENDER: Final = Actor("kafka", "kafka")


class Door:
    """A store with some partitions, and records that are handed to its door one after the other."""

    def __init__(self, partitions: int = 2) -> None:
        self.store = SqliteStore.open(":memory:", partitions=partitions)
        self._door = LogDoor(Ledger(self.store, SystemIds()), lambda _: SENDER, uuid4())
        self._offsets = [0] * partitions

    def __del__(self) -> None:
        run_sync(self.store.close())

    def take(self, partition: int, *records: tuple[bytes, bytes, unreadable.Header]) -> None:
        taken = [self._record(partition, key, value, (header,)) for key, value, header in records]
        asyncio.run(self._door.handle(taken, taken[0].offset))

    def send_again(self, name: str, partition: int | None = None) -> None:
        kept = self.find(name)
        where = kept.entry.partition if partition is None else partition
        record = self._record(where, kept.key, kept.value, redrive_headers(kept))
        asyncio.run(self._door.handle([record], record.offset))

    def take_command(self, command: c.Command, number: int, writer: UUID, partition: int) -> None:
        sent = Submission(
            workspace="w",
            command=command,
            writer_id=writer,
            writer_seq=number,
            occurred_at=1,
            actor=SENDER,
            door="kafka",
        )
        told = command_record(sent)
        record = self._record(partition, told.key, told.value, told.headers)
        asyncio.run(self._door.handle([record], record.offset))

    def _record(
        self, partition: int, key: bytes | None, value: bytes | None, headers: tuple[unreadable.Header, ...]
    ) -> LogRecord:
        offset = self._offsets[partition]
        self._offsets[partition] += 1
        return LogRecord(partition, offset, 1_700_000_000_000, key, value, headers)

    def lose(self, partition: int, first: int, last: int) -> None:
        asyncio.run(
            self._door.record_loss(
                partition,
                first=first,
                last=last,
                reason="gone",
                from_offset=self._offsets[partition],
                next_offset=last + 1,
            )
        )
        self._offsets[partition] = last + 1

    def names(self, query: EntryQuery | None = None) -> list[str]:
        return [entry.name for entry in asyncio.run(list_entries(self.store, query or EntryQuery())).entries]

    def find(self, name: str) -> EntryRecord:
        return asyncio.run(find_entry(self.store, name))


def garbage(number: int) -> tuple[bytes, bytes, unreadable.Header]:
    return b"\xff", b"garbage %d" % number, ("a", b"b")


@pytest.mark.parametrize(
    "text", ["", "3", "3-", "-17", "3-17-1", "3-17\n", "٣-17", "3-" + "9" * 19, "99999-1"]
)
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="PARTITION-NUMBER"):
        parse_name(text)
    assert parse_name("3-17") == EntryName(3, 17)


def test_entries_are_listed_by_partition_in_the_order_they_came() -> None:
    door = Door()
    door.take(1, *map(garbage, range(3)))
    door.take(0, garbage(3))
    door.lose(0, 1, 9)
    assert door.names() == ["0-1", "0-2", "1-1", "1-2", "1-3"]
    assert door.names(EntryQuery(partition=1)) == ["1-1", "1-2", "1-3"]
    assert door.names(EntryQuery(code="commands_lost")) == ["0-2"]
    assert door.names(EntryQuery(open=True)) == ["0-1", "1-1", "1-2", "1-3"], "a loss is not open"
    with pytest.raises(Invalid, match="no partition 2"):
        door.names(EntryQuery(partition=2))


@pytest.mark.parametrize("limit", [1, 2, 3, 7])
def test_pages_give_everything_once(limit: int) -> None:
    door = Door(partitions=4)
    for partition in (0, 2, 3):
        door.take(partition, *map(garbage, range(unreadable.READ_EVENTS + 2)))
    everything = door.names(EntryQuery(limit=1_000))
    found: list[str] = []
    after: str | None = None
    while True:
        page = asyncio.run(list_entries(door.store, EntryQuery(limit=limit, after=after)))
        assert len(page.entries) <= limit
        found += [entry.name for entry in page.entries]
        if page.next is None:
            break
        after = page.next
    assert found == everything


def test_a_page_looks_through_a_bounded_number_of_events(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unreadable, "SCANNED_EVENTS_MAX", unreadable.READ_EVENTS)
    door = Door()
    door.take(0, *map(garbage, range(3 * unreadable.READ_EVENTS)))
    page = asyncio.run(list_entries(door.store, EntryQuery(code="not there")))
    assert (page.entries, page.next) == ([], f"0-{unreadable.READ_EVENTS}")


def test_an_entry_has_its_bytes_and_what_became_of_it() -> None:
    door = Door()
    door.take(0, garbage(1))
    kept = door.find("0-1")
    assert (kept.key, kept.value, kept.headers) == (b"\xff", b"garbage 1", (("a", b"b"),))
    assert (kept.entry.offset, kept.entry.key, kept.entry.is_open) == (0, "\\xff", True)
    door.send_again("0-1")
    # Kept once more, and the first is closed: in the partition's own stream stand 0-2 and, third, that answer.
    assert [(one.offset, one.handled) for one in door.find("0-1").entry.redriven] == [(1, False)]
    assert door.names(EntryQuery(open=True)) == ["0-2"]
    door.send_again("0-2")
    assert door.names(EntryQuery(open=True)) == ["0-4"]
    assert dict(door.find("0-4").headers)[REDRIVE_HEADER] == b"0-2"
    for name in ("0-3", "0-99", "7-1"):
        with pytest.raises(NotFound):
            door.find(name)


def test_an_answer_is_found_in_whichever_partition_it_was_given() -> None:
    door, writer = Door(), uuid4()
    door.take_command(c.EnsureExperiment(experiment="e"), 1, writer, 1)
    (wrong,) = door.names()
    door.send_again(wrong, 0)
    (answer,) = door.find(wrong).entry.redriven
    assert (answer.partition, answer.handled) == (0, True)
    assert door.names(EntryQuery(open=True)) == []


def test_what_was_cut_is_nobodys_record() -> None:
    door = Door()
    door.take(0, (b"key", bytes(UNREADABLE_BYTES_MAX + 1), ("a", b"b")))
    kept = door.find("0-1")
    assert kept.entry.is_cut
    door.send_again("0-1")
    assert door.find("0-1").entry.redriven == ()
