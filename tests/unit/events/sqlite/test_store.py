"""What is special to the SQLite store, beside the contract that all stores keep."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from runfold_events import failpoints
from runfold_events.check import check_ledger
from runfold_events.contract.envelope import LedgerDamaged
from runfold_events.contract.errors import Invalid, Unavailable
from runfold_events.ports import Write
from runfold_events.stores.sqlite import SqliteStore, connection, store
from runfold_events.sync import run_sync
from runfold_events.testing.builders import EventBuilder

ONE = "w/run/one"
SECRET = b"what nobody may find any more "


class Desk:
    """A store and a builder."""

    def __init__(self, store: SqliteStore) -> None:
        self.store = store
        self.build = EventBuilder(store.epoch)

    def append(self, type_: str = "run.tags_set", body: bytes = b"{}", erase: tuple[str, ...] = ()) -> None:
        async def append() -> None:
            async with self.store.transaction(0) as transaction:
                events = self.build.place(transaction.row, [self.build.event(ONE, type_, body)])
                await transaction.write(Write(events=events, erase=erase))

        run_sync(append())


@pytest.fixture(params=["file", "memory"])
def desk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Desk]:
    path = ":memory:" if request.param == "memory" else tmp_path / "ledger.db"
    desk = Desk(SqliteStore.open(path, lock_timeout_s=5.0))
    yield desk
    run_sync(desk.store.close())


@pytest.fixture
def on_file(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(SqliteStore.open(tmp_path / "ledger.db", lock_timeout_s=0.1))
    yield desk
    run_sync(desk.store.close())


@pytest.fixture(autouse=True)
def nothing_armed() -> Iterator[None]:
    yield
    failpoints.disarm_all()


def in_thread(work: Callable[[], Any]) -> Any:
    """The result of ``work`` in another thread."""
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(work()))
    thread.start()
    thread.join()
    return results[0]


# ── transactions ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_transaction_is_written_once(desk: Desk) -> None:
    async def twice() -> None:
        async with desk.store.transaction(0) as transaction:
            await transaction.write(Write())
            await transaction.write(Write())

    with pytest.raises(RuntimeError, match="at most once"):
        run_sync(twice())


def test_a_transaction_ends_with_its_block(desk: Desk) -> None:
    async def late() -> None:
        async with desk.store.transaction(0) as transaction:
            pass
        await transaction.load([], [])

    with pytest.raises(RuntimeError, match="not open"):
        run_sync(late())


@pytest.mark.parametrize("inner", ["transaction", "reserve", "lease"])
def test_a_transaction_within_a_transaction_is_a_mistake(desk: Desk, inner: str) -> None:
    async def nested() -> None:
        async with desk.store.transaction(0):
            if inner == "transaction":
                async with desk.store.transaction(0):
                    pass
            elif inner == "reserve":
                await desk.store.reserve_run_numbers("e", 1)
            else:
                await desk.store.renew_lease(desk.store.epoch, 1)

    with pytest.raises(RuntimeError, match="already has a transaction"):
        run_sync(nested())
    desk.append()
    assert run_sync(desk.store.ends()) == (1,)


def test_erasing_needs_its_event(desk: Desk) -> None:
    desk.append(body=b"kept")
    with pytest.raises(ValueError, match=r"needs a run\.erased event"):
        desk.append(erase=(ONE,))
    assert run_sync(desk.store.read(0, 0, 9))[0].body == b"kept"


def test_erasure_takes_along_what_the_same_transaction_appended_before(desk: Desk) -> None:
    async def append() -> None:
        async with desk.store.transaction(0) as transaction:
            events = [desk.build.event(ONE, body=SECRET), desk.build.event(ONE, "run.erased", b"stub")]
            await transaction.write(Write(events=desk.build.place(transaction.row, events), erase=[ONE]))

    run_sync(append())
    assert [event.body for event in run_sync(desk.store.read(0, 0, 9))] == [None, b"stub"]
    assert run_sync(check_ledger(desk.store)).is_sound


@pytest.mark.parametrize("partition", [-1, 1, 1_000_000])
def test_an_unknown_partition_is_invalid(desk: Desk, partition: int) -> None:
    async def begin() -> None:
        async with desk.store.transaction(partition):
            pass

    with pytest.raises(Invalid, match="no partition"):
        run_sync(begin())
    with pytest.raises(Invalid, match="no partition"):
        run_sync(desk.store.read(partition, 0, 1))
    desk.append()


@pytest.mark.parametrize("count", [0, -1])
def test_run_numbers_are_reserved_by_at_least_one(desk: Desk, count: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        run_sync(desk.store.reserve_run_numbers("e", count))


def test_an_error_at_any_statement_takes_all_back_and_the_store_goes_on(on_file: Desk) -> None:
    """The same as when the process dies there, for errors that the process survives."""
    reached = 0
    here = threading.get_ident()  # what other tests have left may still fold in its own thread

    def count() -> None:
        nonlocal reached
        reached += threading.get_ident() == here

    failpoints.arm("*", count)
    on_file.append()
    points, reached = reached, 0
    assert points > 8

    def fail_at_point() -> None:
        nonlocal reached
        if threading.get_ident() != here:
            return
        reached += 1
        if reached == point:
            raise sqlite3.OperationalError("made up")

    committed, point = 1, 0
    while point < points:
        reached, point = 0, point + 1
        on_file.build.go_on(ONE, committed)
        failpoints.arm("*", fail_at_point)
        with pytest.raises(sqlite3.OperationalError, match="made up"):
            on_file.append()
        failpoints.disarm_all()
        ends = run_sync(on_file.store.ends())
        assert ends in {(committed,), (committed + 1,)}
        assert ends == (committed,) or point == points, "committed, though an error came before the commit"
        committed = ends[0]
    assert run_sync(check_ledger(on_file.store)).is_sound


# ── readers ───────────────────────────────────────────────────────────────────────────────────────────────


def test_readers_do_not_wait_for_a_writer(on_file: Desk) -> None:
    on_file.append()

    async def read_meanwhile() -> tuple[int, ...]:
        async with on_file.store.transaction(0) as transaction:
            event = on_file.build.event(ONE)
            await transaction.write(Write(events=on_file.build.place(transaction.row, [event])))
            ends: tuple[int, ...] = in_thread(lambda: run_sync(on_file.store.ends()))
            return ends

    assert run_sync(read_meanwhile()) == (1,)
    assert run_sync(on_file.store.ends()) == (2,)


def test_in_memory_other_threads_wait_for_the_writer() -> None:
    desk = Desk(SqliteStore.open(":memory:", lock_timeout_s=0.05))

    def ends() -> Any:
        try:
            return run_sync(desk.store.ends())
        except Unavailable as error:
            return error

    async def read_meanwhile() -> Any:
        async with desk.store.transaction(0):
            return in_thread(ends)

    assert isinstance(run_sync(read_meanwhile()), Unavailable)
    assert in_thread(ends) == (0,)
    run_sync(desk.store.close())


def test_stores_in_memory_are_apart() -> None:
    one, two = Desk(SqliteStore.open(":memory:")), Desk(SqliteStore.open(":memory:"))
    one.append()
    assert run_sync(two.store.ends()) == (0,)
    for desk in (one, two):
        run_sync(desk.store.close())


def test_a_store_in_memory_that_was_never_used_is_closed_too(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[sqlite3.Connection] = []

    def opening(path: Path | str) -> sqlite3.Connection:
        opened.append(connection.open_unrestricted(path))
        return opened[-1]

    monkeypatch.setattr(store, "open_unrestricted", opening)
    run_sync(SqliteStore.open(":memory:").close())

    (database,) = opened
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        database.execute("SELECT 1")


def test_a_missing_position_is_damage_and_no_silence(on_file: Desk) -> None:
    for _ in range(5):
        on_file.append()
    with closing(sqlite3.connect(on_file.store.path)) as burglar:
        burglar.execute("DROP TRIGGER events_delete")
        burglar.execute("DELETE FROM events WHERE pos = 2 OR pos = 4")
        burglar.commit()
    for first, named in ((0, 2), (2, 2), (3, 4), (4, 4)):
        with pytest.raises(LedgerDamaged, match=f"position {named} of partition 0 is missing"):
            run_sync(on_file.store.read(0, first, 9))
    assert len(run_sync(on_file.store.read(0, 0, 2))) == 2


# ── other programs ────────────────────────────────────────────────────────────────────────────────────────


def test_a_foreign_writer_makes_us_unavailable_in_plain_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "BUSY_TIMEOUT_S", 0.05)
    desk = Desk(SqliteStore.open(tmp_path / "ledger.db"))
    with closing(sqlite3.connect(desk.store.path, isolation_level=None)) as foreign:
        foreign.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable, match="another program") as caught:
            desk.append()
        assert "locked" not in str(caught.value)
        assert run_sync(desk.store.ends()) == (0,)
    desk.append()
    run_sync(desk.store.close())


# ── vacuum ────────────────────────────────────────────────────────────────────────────────────────────────


def bytes_on_disk(path: Path) -> bytes:
    return b"".join(file.read_bytes() for file in sorted(path.parent.glob(f"{path.name}*")))


def test_after_a_vacuum_no_byte_of_an_erased_body_is_left(on_file: Desk) -> None:
    path = Path(on_file.store.path)
    on_file.append(body=SECRET)
    on_file.append(body=SECRET * 1_000)  # on pages of its own
    assert run_sync(on_file.store.read(0, 0, 9))[0].body == SECRET
    assert SECRET in bytes_on_disk(path)
    on_file.append("run.erased", erase=(ONE,))
    run_sync(on_file.store.vacuum())
    data = bytes_on_disk(path)
    assert [SECRET[start : start + 12] in data for start in range(len(SECRET) - 12)] == [False] * 18
    on_file.append()
    assert run_sync(check_ledger(on_file.store)).is_sound


def test_a_vacuum_says_when_a_reader_keeps_the_old_log(
    on_file: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "BUSY_TIMEOUT_S", 0.05)
    on_file.append()
    with closing(sqlite3.connect(on_file.store.path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM events").fetchone()
        on_file.append()
        with pytest.raises(Unavailable):
            run_sync(on_file.store.vacuum())
    run_sync(on_file.store.vacuum())


def test_a_vacuum_in_memory_is_nothing(desk: Desk) -> None:
    desk.append()
    run_sync(desk.store.vacuum())
    assert run_sync(desk.store.ends()) == (1,)


# ── the end ───────────────────────────────────────────────────────────────────────────────────────────────


def test_closing_leaves_one_file_and_the_lock(on_file: Desk) -> None:
    on_file.append()
    run_sync(on_file.store.ends())
    run_sync(on_file.store.close())
    path = Path(on_file.store.path)
    assert {file.name for file in path.parent.iterdir()} == {path.name, f"{path.name}.lock"}


def test_closing_waits_for_the_transaction_in_flight(desk: Desk) -> None:
    inside, leave = threading.Event(), threading.Event()

    async def hold() -> None:
        async with desk.store.transaction(0) as transaction:
            inside.set()
            leave.wait()
            event = desk.build.event(ONE)
            await transaction.write(Write(events=desk.build.place(transaction.row, [event])))

    writer = threading.Thread(target=lambda: run_sync(hold()))
    writer.start()
    inside.wait()
    closer = threading.Thread(target=lambda: run_sync(desk.store.close()))
    closer.start()
    leave.set()
    writer.join()
    closer.join()
    if desk.store.path != ":memory:":
        again = SqliteStore.open(desk.store.path)
        assert run_sync(again.ends()) == (1,)
        run_sync(again.close())


def test_an_audit_of_a_closed_store_is_unavailable(desk: Desk) -> None:
    run_sync(desk.store.close())
    with pytest.raises(Unavailable, match="is closed"):
        run_sync(check_ledger(desk.store))
    with pytest.raises(Unavailable, match="is closed"):
        run_sync(desk.store.vacuum())
