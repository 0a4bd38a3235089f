"""Spools: what a process leaves, who delivers it, and what happens where they cannot be kept."""

from __future__ import annotations

import errno
import itertools
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import msgspec
import pytest
from msgspec.structs import replace

from runfold import _journal, _spool_log
from runfold._drain import Drained, drain_spool
from runfold._spool import Place, lock_spool, spools_in
from runfold._spool_kept import read_receipts, read_refused
from runfold._spool_log import Log, Segment
from runfold._streams import Block, Series, Stream
from runfold._transport import Item
from runfold._verify import verify
from runfold_events.contract import commands as c
from runfold_events.contract.errors import Conflict
from runfold_events.ports import WriterMark
from tests.support.sdk import Desk, Wire, lose_answer


@pytest.fixture(autouse=True)
def small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_spool_log, "SEGMENT_BYTES_MIN", 4096)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(Place(folder=tmp_path / "spool", target="here"))
    yield desk
    desk.wire.close()


def folder_of(desk: Desk) -> Path:
    (spool,) = spools_in(desk.journal.place.folder or Path())
    return spool


def drain(desk: Desk) -> Drained:
    drained = drain_spool(folder_of(desk), lambda: desk.wire, patience_s=0.0)
    assert drained is not None
    return drained


def declared(desk: Desk, run_id: str = "a") -> int:
    return desk.wire.run("w", run_id, None).lost_values


def _sent(item: Item) -> tuple[int, bytes]:
    return item.writer_seq, msgspec.msgpack.encode(item.command)


def no_room(file: int, size: int) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


# ── who may ───────────────────────────────────────────────────────────────────────────────────────────────


def test_a_spool_whose_process_lives_is_left_alone(desk: Desk) -> None:
    desk.log(desk.run("a"), "loss", 1.0)

    assert drain_spool(folder_of(desk), lambda: desk.wire) is None
    assert desk.wire.batches == []


def test_only_one_drains(desk: Desk) -> None:
    desk.log(desk.run("a"), "loss", 1.0)
    desk.die()
    folder = folder_of(desk)
    lock = lock_spool(folder)
    assert lock is not None
    assert drain_spool(folder, lambda: desk.wire) is None
    os.close(lock)

    assert drain(desk).values == 1
    assert list(spools_in(folder.parent)) == []


def test_files_are_the_users_own(desk: Desk) -> None:
    desk.log(desk.run("a"), "loss", 1.0)
    folder = folder_of(desk)

    assert folder.stat().st_mode & 0o77 == 0
    assert all(path.stat().st_mode & 0o77 == 0 for path in folder.iterdir())


# ── what arrives ──────────────────────────────────────────────────────────────────────────────────────────


def test_everything_kinds_of_values_and_commands_arrive_as_they_were_said(desk: Desk) -> None:
    a = desk.run("a")
    desk.log(a, "loss", 0.5, float("nan"), -0.0)
    desk.log(a, "count", 3, 2**62)
    desk.log(a, "good", True, False)
    desk.journal.add_wide(Series(a, "note", "scalar"), 4, "text ü", values=1)
    desk.journal.add_wide(Series(a, "row", "row"), None, {"x": 1, "y": None}, values=1)
    desk.journal.add_wide(
        Series(a, "table", "table"), None, Block({"u": [1, 2], "v": ["p", "q"]}, 2), values=2
    )
    desk.put(a, c.SetTags(run_id="a", tags={"k": "v"}))
    desk.die()
    drained = drain(desk)

    assert (drained.values, drained.left_values, drained.problem) == (11, 0, "")
    loss = desk.values("a", "loss")
    assert (loss[0], str(loss[1]), str(loss[2])) == (0.5, "nan", "-0.0")
    assert desk.values("a", "count") == [3, 2**62]
    assert desk.values("a", "good") == [True, False]
    assert all(type(value) is bool for value in desk.values("a", "good"))
    assert desk.values("a", "note") == ["text ü"]
    (table,) = desk.wire.metrics("w", "a", ("table",), False, None, None)
    assert table.columns == {"u": [1, 2], "v": ["p", "q"]}
    assert desk.wire.run("w", "a", None).tags == {"k": "v"}


def test_what_was_sent_without_an_answer_goes_again_with_the_same_number_and_bytes(desk: Desk) -> None:
    a = desk.run("a")
    desk.deliver()
    desk.log(a, "loss", 1.0, 2.0)
    desk.wire.faults.append(lose_answer)
    desk.sender.deliver()
    desk.log(a, "loss", 3.0)
    desk.die()
    drain(desk)

    lost, again = desk.wire.batches[-2:]
    assert again.writer_id == lost.writer_id == desk.writer_id
    assert [_sent(item) for item in again.items[:1]] == [_sent(item) for item in lost.items]
    assert [item.writer_seq for item in again.items] == [2, 3]
    assert desk.values("a", "loss") == [1.0, 2.0, 3.0]


def test_a_command_that_was_taken_back_is_not_delivered(desk: Desk) -> None:
    a = desk.run("a")
    desk.journal.withdraw(desk.put(a, c.SetTags(run_id="a", tags={"k": "v"})))
    desk.put(a, c.SetTags(run_id="a", tags={"l": "v"}))
    desk.die()
    drain(desk)

    assert desk.wire.run("w", "a", None).tags == {"l": "v"}


def test_without_an_answer_everything_stays_for_another_time(desk: Desk) -> None:
    desk.log(desk.run("a"), "loss", 1.0)
    desk.die()
    desk.wire.is_gone = True
    drained = drain(desk)
    assert (drained.left_values, drained.problem) == (1, "nobody is there")

    desk.wire.is_gone = False
    assert drain(desk).values == 1


def test_what_is_refused_for_good_is_kept_aside_with_the_reason(desk: Desk) -> None:
    nobody = Stream("w", "w/run/nobody", "nobody", desk.writer_id)
    desk.log(nobody, "loss", 1.0, 2.0)
    desk.log(desk.run("a"), "loss", 3.0)
    desk.die()
    drained = drain(desk)

    assert (drained.refused, drained.values, drained.is_done) == (1, 1, True)
    (entry,) = read_refused(folder_of_place(desk))
    assert (entry.run_id, entry.command, entry.code, entry.values) == (
        "nobody",
        "run.log_metrics",
        "not_found",
        2,
    )
    assert entry.body
    assert desk.values("a", "loss") == [3.0]


def folder_of_place(desk: Desk) -> Path:
    return desk.journal.place.folder or Path()


def test_losses_that_were_not_declared_are_declared_by_whoever_drains(tmp_path: Path) -> None:
    desk = Desk(Place(folder=tmp_path, bytes_max=12_288))
    a = desk.run("a")
    desk.wire.is_gone = True
    desk.log(a, "loss", *[1.0] * 1_000)
    desk.sender.note_losses()
    lost = a.lost_values
    assert 0 < lost < 1_000
    desk.die()
    desk.wire.is_gone = False
    drain(desk)

    assert len(desk.values("a", "loss")) == 1_000 - lost
    assert declared(desk) == lost
    desk.wire.close()


@pytest.mark.parametrize("place", ["while a record is made", "while a segment is made"])
def test_a_signal_handler_that_logs_in_between_overwrites_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """A handler runs wherever a function is called: as if it came in the middle of every call of one of them."""
    a, is_inside, said = desk.run("a"), False, 0
    desk.log(a, "handler", 0.0)

    def handler() -> None:
        nonlocal is_inside, said
        if not is_inside:
            is_inside = True
            said += 1
            desk.log(a, "handler", float(said))
            is_inside = False

    if place == "while a record is made":
        checksum, calls = zlib.crc32, itertools.count()

        def crc32(data: bytes, start: int = 0) -> int:
            if next(calls) % 100 == 0:
                handler()
            return checksum(data, start)

        monkeypatch.setattr(_journal, "crc32", crc32)
    else:
        reserve = _spool_log._reserve  # pyright: ignore[reportPrivateUsage]

        def reserving(file: int, size: int) -> None:
            handler()
            reserve(file, size)

        monkeypatch.setattr(_spool_log, "_reserve", reserving)
    desk.log(a, "loss", *[float(n) for n in range(3_000)])
    assert said >= 3
    monkeypatch.undo()
    desk.die()
    drain(desk)

    assert desk.values("a", "loss") == [float(n) for n in range(3_000)]
    assert desk.values("a", "handler") == [float(n) for n in range(said + 1)]


# ── damage ────────────────────────────────────────────────────────────────────────────────────────────────


def test_damage_in_the_middle_is_declared_and_the_rest_is_delivered(desk: Desk) -> None:
    desk.log(desk.run("a"), "loss", *[float(n) for n in range(60)])
    desk.die()
    (path,) = folder_of(desk).glob("calls-*")
    data = bytearray(path.read_bytes())
    data[2_000] ^= 0xFF
    path.write_bytes(data)
    drained = drain(desk)

    assert drained.damaged_bytes == 40
    assert len(desk.values("a", "loss")) == 59
    assert declared(desk) == 1


def test_a_torn_tail_is_cut_without_a_word(desk: Desk) -> None:
    desk.log(desk.run("a"), "loss", *[float(n) for n in range(10)])
    desk.die()
    (path,) = folder_of(desk).glob("calls-*")
    data = path.read_bytes().rstrip(b"\0")
    path.write_bytes(data[:-5])
    drained = drain(desk)

    assert (drained.damaged_bytes, declared(desk)) == (0, 0)
    assert desk.values("a", "loss") == [float(n) for n in range(9)]


# ── no place for files ────────────────────────────────────────────────────────────────────────────────────


def test_where_no_folder_can_be_made_memory_is_used_and_it_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    desk = Desk(Place(folder=tmp_path / "file" / "spool"))
    a = desk.run("a")
    desk.log(a, "loss", *[1.0] * 500)
    desk.deliver()

    assert len(desk.values("a", "loss")) == 500
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 1
    assert "lost if this process is killed" in said[0]
    assert "RUNFOLD_SPOOL" in said[0]
    desk.wire.close()


def test_a_disk_that_becomes_full_costs_nothing_while_the_process_lives(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    a = desk.run("a")
    desk.log(a, "loss", *[1.0] * 50)
    desk.deliver()
    monkeypatch.setattr(_spool_log, "_reserve", no_room)
    for _ in range(30):
        desk.log(a, "loss", *[2.0] * 50)
        desk.put(a, c.SetTags(run_id="a", tags={"k": "x" * 300}))
        desk.deliver()

    assert desk.values("a", "loss") == [1.0] * 50 + [2.0] * 1_500
    assert declared(desk) == 0
    said = [record.getMessage() for record in caplog.records]
    assert any("takes no more files" in message for message in said)
    assert len(said) == len(set(said)) <= 2


def test_what_was_sent_while_the_disk_was_full_is_in_doubt_after_a_kill_and_not_doubled(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    a = desk.run("a")
    desk.log(a, "loss", *[1.0] * 200)
    desk.deliver()
    make = Log._make  # pyright: ignore[reportPrivateUsage]

    def calls_only(log: Log, base: int, size: int, folder: Path | None) -> Segment:
        if log is desk.journal.sends():
            no_room(0, size)
        return make(log, base, size, folder)

    monkeypatch.setattr(Log, "_make", calls_only)
    while desk.sender.deliveries._noted is None:  # pyright: ignore[reportPrivateUsage]
        desk.put(a, c.SetTags(run_id="a", tags={"k": "x"}))
        desk.deliver()
    desk.log(a, "loss", 2.0, 3.0)
    desk.wire.faults.append(lose_answer)
    desk.sender.deliver()  # it arrives, and nobody can know
    desk.log(a, "loss", 4.0)
    desk.die()
    monkeypatch.undo()
    monkeypatch.setattr(_spool_log, "SEGMENT_BYTES_MIN", 4096)
    drain(desk)

    assert sorted(desk.values("a", "loss")) == [1.0] * 200 + [2.0, 3.0, 4.0]  # of two writers
    assert declared(desk) == 2
    writers = {mark.writer_id for mark in desk.wire.writers("w", "a")}
    assert len(writers) == 2


def test_a_disk_with_room_again_protects_again(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    a = desk.run("a")
    desk.log(a, "loss", 1.0)
    desk.deliver()
    monkeypatch.setattr(_spool_log, "_reserve", no_room)
    while desk.sender.deliveries._noted is None:  # pyright: ignore[reportPrivateUsage]
        desk.put(a, c.SetTags(run_id="a", tags={"k": "x" * 300}))
        desk.deliver()
    monkeypatch.undo()
    desk.now_s += 60
    desk.log(a, "loss", 2.0)
    desk.wire.faults.append(lose_answer)
    desk.sender.deliver()
    desk.die()
    drain(desk)

    assert desk.values("a", "loss") == [1.0, 2.0]
    assert declared(desk) == 0


# ── proof ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_verify_proves_what_arrived_and_names_what_did_not(desk: Desk) -> None:
    a = desk.run("a")
    for value in (1.0, 2.0):
        desk.log(a, "loss", value)
        desk.deliver()
    desk.die()
    drain(desk)
    place = folder_of_place(desk)
    (receipt,) = read_receipts(place)
    assert (receipt.run_id, receipt.highest) == ("a", 3)
    (proof,) = verify(place, desk.wire)
    assert (proof.sent, proof.stored, proof.missing, proof.is_complete) == (3, 3, (), True)

    other = Wire()  # a store that has never heard of it, as after a restore from an old backup
    (missing,) = verify(place, other)
    assert missing.missing == ((1, 3),)
    assert not missing.is_complete
    assert "a" in missing.note
    other.close()


def test_verify_sees_the_spools_of_processes_that_live(desk: Desk) -> None:
    a = desk.run("a")
    desk.deliver()
    desk.log(a, "loss", 1.0)
    desk.wire.is_gone = True
    desk.sender.deliver()
    desk.wire.is_gone = False
    (proof,) = verify(folder_of_place(desk), desk.wire)

    assert (proof.sent, proof.stored, proof.waiting) == (1, 1, 1)


class Forgetful(Wire):
    """A store that lost one writer's numbers 2 and 3 and knows the later ones."""

    def writers(self, workspace: str, run_id: str) -> list[WriterMark]:
        return [replace(mark, gaps=((2, 3),)) for mark in super().writers(workspace, run_id)]


def test_verify_names_gaps(tmp_path: Path) -> None:
    desk = Desk(Place(folder=tmp_path), Forgetful())
    a = desk.run("a")
    for number in range(4):
        desk.put(a, c.SetTags(run_id="a", tags={"n": str(number)}))
    desk.deliver()
    desk.die()
    drain(desk)
    (proof,) = verify(tmp_path, desk.wire)

    assert (proof.sent, proof.stored, proof.missing) == (5, 5, ((2, 3),))
    desk.wire.close()


def test_an_erased_run_is_not_called_missing_without_a_word(desk: Desk) -> None:
    class Erased(Wire):
        def writers(self, workspace: str, run_id: str) -> list[WriterMark]:
            raise Conflict("run 'a' was erased")

    desk.run("a")
    desk.die()
    drain(desk)
    other = Erased()
    (proof,) = verify(folder_of_place(desk), other)
    other.close()

    assert proof.note == "run 'a' was erased"


def test_a_spool_names_its_writer(desk: Desk) -> None:
    desk.run("a")

    assert UUID(folder_of(desk).name) == desk.writer_id
    assert isinstance(desk.journal.log, Log)
