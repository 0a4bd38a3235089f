"""The check of a ledger, on audits made by hand: each kind of damage is named where it is."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager

import pytest
from msgspec.structs import replace

from runfold_events import check
from runfold_events.check import Audit, End, Report, StoredEvent, StreamNumber, check_ledger
from runfold_events.contract.envelope import CHAIN_START, Damage, LedgerDamaged
from runfold_events.ports import PartitionRow
from runfold_events.stores.sqlite import SqliteStore
from runfold_events.sync import run_sync
from runfold_events.testing.builders import WRITER, EventBuilder, stream_in

EVENTS = 6


class Made:
    """An audit and its store, from lists that a test spoils. One partition; the fifth of six events erases the run."""

    partitions = 1

    def __init__(self) -> None:
        build = EventBuilder(WRITER)
        stream = stream_in(0, 1)
        types = [
            "run.created",
            "run.tags_set",
            "run.tags_set",
            "run.tags_set",
            "run.erased",
            "run.command_rejected",
        ]
        row = PartitionRow(0, 0, 0, CHAIN_START, 1)
        events = build.place(row, [build.event(stream, type_) for type_ in types])
        self.stored = [
            StoredEvent(
                event.pos, replace(event, body=None, salt=None) if event.pos < 4 else event, event.chain
            )
            for event in events
        ]
        self.numbers = [StreamNumber(stream, event.stream_seq, 0, event.pos) for event in events]
        self.row: End | None = End(EVENTS, events[-1].chain)
        self.erased = {stream: 4}
        self.found: list[str] = []

    @asynccontextmanager
    async def audit(self) -> AsyncGenerator[Audit]:
        yield self

    async def end(self, partition: int) -> End | None:
        return self.row

    async def events(self, partition: int, from_pos: int, events_max: int) -> list[StoredEvent]:
        return [stored for stored in self.stored if stored.pos >= from_pos][:events_max]

    async def stream_numbers(self, after: tuple[str, int], rows_max: int) -> list[StreamNumber]:
        return [number for number in self.numbers if (number.stream, number.stream_seq) > after][:rows_max]

    async def erasures(self) -> Mapping[str, int]:
        return self.erased

    async def findings(self) -> list[str]:
        return self.found


def spoil_chain(made: Made) -> None:
    event = made.stored[2].event
    assert event is not None
    made.stored[2] = StoredEvent(2, replace(event, actor="another"), event.chain)


def spoil_body(made: Made) -> None:
    event = made.stored[5].event
    assert event is not None
    made.stored[5] = StoredEvent(5, replace(event, body=b"other"), event.chain)


def forget_end(made: Made) -> None:
    assert made.row is not None
    made.row = End(4, made.stored[3].chain)


def swap_numbers(made: Made) -> None:
    one, two = made.numbers[1:3]
    made.numbers[1:3] = [replace(one, pos=two.pos), replace(two, pos=one.pos)]


SPOILERS: Mapping[str, tuple[Callable[[Made], object], int, str]] = {
    "hole": (lambda made: made.stored.pop(2), 2, "positions 2 to 2 are missing"),
    "suffix": (lambda made: made.stored.pop(), 5, "positions 5 to 5 are missing at the end"),
    "row too short": (forget_end, 4, "the partition's row ends here, but events go on to 5"),
    "unreadable": (
        lambda made: made.stored.__setitem__(2, StoredEvent(2, None, made.stored[2].chain)),
        2,
        "the event cannot be read",
    ),
    "chain": (spoil_chain, 2, "the envelope does not match the chain"),
    "body": (spoil_body, 5, "the body does not match its digest"),
    "never erased": (
        lambda made: made.erased.clear(),
        0,
        "the body is gone, but the run was not erased afterwards",
    ),
    "not wholly erased": (
        lambda made: made.erased.update(dict.fromkeys(made.erased, 5)),
        4,
        "the run was erased afterwards, but the body is there",
    ),
    "number missing": (lambda made: made.numbers.pop(3), 4, "number 4 of stream"),
    "numbers out of order": (swap_numbers, 1, "stands before number"),
    "stream begins late": (lambda made: made.numbers.pop(0), 1, "number 1 of stream"),
}


def report_of(made: Made) -> Report:
    return run_sync(check_ledger(made))


def test_a_sound_ledger_is_sound() -> None:
    made = Made()
    report = report_of(made)
    assert report == Report(
        events=EVENTS,
        ends=(EVENTS,),
        chain_heads=(made.stored[-1].chain,),
        damage=(),
        findings=(),
    )
    assert report.is_sound


@pytest.mark.parametrize("spoiler", SPOILERS)
def test_damage_is_named_where_it_is(spoiler: str) -> None:
    spoil, pos, what = SPOILERS[spoiler]
    made = Made()
    spoil(made)
    report = report_of(made)
    assert not report.is_sound
    assert any(damage.pos == pos and what in damage.what for damage in report.damage), report.damage


@pytest.mark.parametrize("spoiler", ["chain", "body", "unreadable"])
def test_one_changed_event_is_named_once_and_no_other(spoiler: str) -> None:
    spoil, pos, _ = SPOILERS[spoiler]
    made = Made()
    spoil(made)
    assert {damage.pos for damage in report_of(made).damage} == {pos}


def test_another_chain_head_is_damage() -> None:
    made = Made()
    made.row = End(EVENTS, bytes(32))
    (damage,) = report_of(made).damage
    assert damage == Damage(0, 5, "the partition's row has another chain head than the last event")


def test_a_missing_row_is_found() -> None:
    made = Made()
    made.row = None
    assert "partition 0 has no row" in report_of(made).findings


def test_what_the_engine_finds_is_reported() -> None:
    made = Made()
    made.found.append("page 3 is torn")
    report = report_of(made)
    assert report.findings == ("page 3 is torn",)
    assert not report.is_sound


def test_an_engine_that_cannot_read_on_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    async def torn(self: Made) -> Mapping[str, int]:
        raise LedgerDamaged("the file is torn")

    monkeypatch.setattr(Made, "erasures", torn)
    assert report_of(Made()).findings == ("the file is torn",)


def test_much_damage_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "DAMAGE_MAX", 3)
    made = Made()
    made.erased.clear()
    report = report_of(made)
    assert (len(report.damage), report.is_cut) == (3, True)


def test_progress_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "BATCH_EVENTS", 4)
    told: list[tuple[int, int]] = []
    run_sync(check_ledger(Made(), lambda done, total: told.append((done, total))))
    assert told == [(4, EVENTS), (6, EVENTS)]


def test_an_empty_store_is_sound() -> None:
    store = SqliteStore.open(":memory:", partitions=4)
    report = run_sync(check_ledger(store))
    assert report.is_sound
    assert report.ends == (0,) * 4
    assert report.chain_heads == (CHAIN_START,) * 4
    run_sync(store.close())
