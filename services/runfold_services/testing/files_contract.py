"""The contract suite of the ``FileStore`` port, run against each adapter.

An adapter's test module holds a class of a few lines whose name begins with ``Test`` and that says how to open a store.
"""

from __future__ import annotations

import hashlib
import os
import random
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import ClassVar, TypeVar

import pytest

from runfold_events.contract import limits
from runfold_events.contract.errors import Conflict, LimitExceeded, NotFound, Unavailable
from runfold_events.sync import run_sync
from runfold_services.files.erasing import remove_unrecorded, sweep
from runfold_services.files.logs import finish_into
from runfold_services.files.port import Aside, Content, FileStore

W = "vision"
RUN = "run-1"
ABSENT = "0" * 64
T = TypeVar("T")


def store_bytes(store: FileStore, data: bytes, workspace: str = W, *, piece_bytes: int = 1 << 20) -> Content:
    """Store ``data`` piece by piece."""
    with store.receive(workspace) as incoming:
        for start in range(0, len(data), piece_bytes):
            incoming.write(data[start : start + piece_bytes])
        return incoming.finish()


def read_bytes(store: FileStore, sha256: str, workspace: str = W) -> bytes:
    """All bytes of a content."""
    return b"".join(store.read(workspace, sha256))


class Desk:
    """A removal's view of who has recorded what; ``before_second`` happens between its two questions."""

    def __init__(
        self, files: FileStore, recorded: set[str], before_second: Callable[[], object] = lambda: None
    ):
        self.files = files
        self.who_has = recorded
        self._before_second = before_second
        self.asked = 0

    async def recorded(self, workspace: str, sha256s: Sequence[str]) -> set[str]:
        self.asked += 1
        if self.asked == 2:
            self._before_second()
        return self.who_has & set(sha256s)

    async def apart(self, work: Callable[[], T]) -> T:
        return work()


class FileStoreContract(ABC):
    """Everything that holds for any file store."""

    LARGE_BYTES: ClassVar[int] = 20 * 1024 * 1024

    @abstractmethod
    def open_store(self, place: Path) -> FileStore:
        """An empty store; the same place again gives the same store, as another process would open it."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> FileStore:
        return self.open_store(tmp_path)

    # Contents

    @pytest.mark.parametrize("size", [0, 1, 1024 * 1024, 1024 * 1024 + 1])
    def test_a_content_is_read_as_it_was_stored(self, store: FileStore, size: int) -> None:
        data = random.Random(size).randbytes(size)
        content = store_bytes(store, data)
        assert content == Content(hashlib.sha256(data).hexdigest(), size)
        assert store.has(W, content.sha256)
        assert read_bytes(store, content.sha256) == data

    def test_another_process_reads_it(self, store: FileStore, tmp_path: Path) -> None:
        content = store_bytes(store, b"bytes")
        assert read_bytes(self.open_store(tmp_path), content.sha256) == b"bytes"

    def test_a_large_content_comes_in_pieces(self, store: FileStore) -> None:
        data = random.Random(1).randbytes(1024) * (self.LARGE_BYTES // 1024)
        content = store_bytes(store, data, piece_bytes=3_000_001)
        digest, largest = hashlib.sha256(), 0
        for piece in store.read(W, content.sha256):
            digest.update(piece)
            largest = max(largest, len(piece))
        assert digest.hexdigest() == content.sha256
        assert largest <= 4 * 1024 * 1024

    def test_a_part_is_read(self, store: FileStore) -> None:
        content = store_bytes(store, b"0123456789")
        for start, end, expected in ((3, 6, b"345"), (8, 100, b"89"), (5, 5, b""), (0, None, b"0123456789")):
            assert b"".join(store.read(W, content.sha256, start, end)) == expected

    def test_an_upload_that_is_given_up_leaves_nothing(self, store: FileStore) -> None:
        data = os.urandom(100_000)
        with suppress(ZeroDivisionError), store.receive(W) as incoming:
            incoming.write(data)
            raise ZeroDivisionError
        with store.receive(W) as incoming:
            incoming.write(data)
        assert not store.has(W, hashlib.sha256(data).hexdigest())
        assert list(store.contents(W, older_than_s=-60)) == []

    def test_a_file_may_not_be_larger_than_the_limit(
        self, store: FileStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(limits, "FILE_BYTES_MAX", 10)
        with store.receive(W) as incoming:
            incoming.write(b"0123456789")
            with pytest.raises(LimitExceeded) as caught:
                incoming.write(b"x")
        assert (caught.value.limit, caught.value.size) == (10, 11)

    def test_the_same_bytes_are_kept_once_and_a_workspace_sees_its_own(self, store: FileStore) -> None:
        first = store_bytes(store, b"same")
        assert store_bytes(store, b"same") == first
        assert list(store.contents(W, older_than_s=-60)) == [first.sha256]
        assert not store.has("other", first.sha256)
        assert not store.has(W.upper(), first.sha256), "also where upper and lower case are one"
        with pytest.raises(NotFound):
            store.read("other", first.sha256)

    def test_what_is_not_there_is_not_found_before_the_first_piece(self, store: FileStore) -> None:
        assert not store.has(W, ABSENT)
        with pytest.raises(NotFound):
            store.read(W, ABSENT)

    def test_many_store_the_same_at_once(self, store: FileStore) -> None:
        data = os.urandom(200_000)
        found: list[Content] = []
        threads = [threading.Thread(target=lambda: found.append(store_bytes(store, data))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 8
        assert read_bytes(store, found[0].sha256) == data

    # Removing

    def test_a_content_that_is_set_aside_is_gone_and_comes_back(self, store: FileStore) -> None:
        content = store_bytes(store, b"bytes")
        first = store.set_aside(W, content.sha256)
        assert first is not None
        assert not store.has(W, content.sha256)
        assert store.set_aside(W, content.sha256) is None, "another finds nothing to hide"
        assert list(store.asides(W, older_than_s=-60)) == [first]
        store.put_back(W, first)
        assert read_bytes(store, content.sha256) == b"bytes"
        second = store.set_aside(W, content.sha256)
        assert second is not None
        store.discard(W, second)
        for undone in (store.put_back, store.discard):
            undone(W, second)  # nothing there: no effect
        assert not store.has(W, content.sha256)
        assert store.set_aside(W, ABSENT) is None

    def test_two_who_remove_the_same_leave_what_was_stored_and_recorded_between(
        self, store: FileStore
    ) -> None:
        """The first asks before the recording, the second hides what was stored again, the first discards."""
        with store.receive(W) as incoming:
            incoming.write(b"bytes")
            sha256 = incoming.finish().sha256
            recorded: set[str] = set()
            second: list[Aside | None] = []

            def meanwhile() -> None:
                incoming.finish()
                second.append(store.set_aside(W, sha256))

            assert run_sync(remove_unrecorded(Desk(store, recorded, meanwhile), W, [sha256])) == 1
        (aside,) = second
        assert aside is not None
        store.put_back(W, aside)  # it was recorded before the second one asked
        assert read_bytes(store, sha256) == b"bytes"

    def test_what_is_hidden_comes_back_when_nobody_says_who_has_recorded_it(self, store: FileStore) -> None:
        content = store_bytes(store, b"bytes")

        def no_answer() -> None:
            raise Unavailable("the views are behind")

        with pytest.raises(Unavailable):
            run_sync(remove_unrecorded(Desk(store, set(), no_answer), W, [content.sha256]))
        assert read_bytes(store, content.sha256) == b"bytes"

    def test_uploads_are_noted_for_one_run_and_forgotten(self, store: FileStore) -> None:
        store.note_upload(W, RUN, ABSENT)
        store.note_upload(W, RUN, ABSENT)
        store.forget_uploads(W, older_than_s=3_600)
        assert store.is_upload(W, RUN, ABSENT)
        assert not store.is_upload(W, "other", ABSENT)
        store.forget_uploads(W, older_than_s=-60)
        assert not store.is_upload(W, RUN, ABSENT)

    def test_what_nobody_has_recorded_is_removed(self, store: FileStore) -> None:
        kept, gone = store_bytes(store, b"kept"), store_bytes(store, b"gone")
        desk = Desk(store, {kept.sha256})
        assert run_sync(remove_unrecorded(desk, W, [kept.sha256, gone.sha256, gone.sha256, ABSENT])) == 1
        assert store.has(W, kept.sha256)
        assert not store.has(W, gone.sha256)

    def test_what_is_recorded_meanwhile_is_put_back(self, store: FileStore) -> None:
        content = store_bytes(store, b"bytes")
        desk = Desk(store, set(), lambda: desk.who_has.add(content.sha256))
        assert run_sync(remove_unrecorded(desk, W, [content.sha256])) == 0
        assert read_bytes(store, content.sha256) == b"bytes"

    def test_what_is_stored_again_meanwhile_stays(self, store: FileStore) -> None:
        """Who stores it now records it later, after the removal's second question."""
        with store.receive(W) as incoming:
            incoming.write(b"bytes")
            content = incoming.finish()
            run_sync(remove_unrecorded(Desk(store, set(), incoming.finish), W, [content.sha256]))
            assert read_bytes(store, content.sha256) == b"bytes"
            run_sync(remove_unrecorded(Desk(store, set()), W, [content.sha256]))
            assert not store.has(W, content.sha256)
            incoming.finish()
            assert read_bytes(store, content.sha256) == b"bytes", "who looks after recording stores it again"

    def test_a_sweep_takes_what_is_old_and_mends_what_a_removal_left(self, store: FileStore) -> None:
        orphan, wanted, left = (store_bytes(store, name) for name in (b"orphan", b"wanted", b"left"))
        for content in (wanted, left):  # by somebody who died then
            store.set_aside(W, content.sha256)
        desk = Desk(store, {wanted.sha256})
        store.note_upload(W, RUN, ABSENT)
        assert run_sync(sweep(desk, W, older_than_s=3_600)) == 0
        assert store.has(W, orphan.sha256)
        assert store.is_upload(W, RUN, ABSENT)
        assert run_sync(sweep(desk, W, older_than_s=-60)) == 2
        assert list(store.contents(W, older_than_s=-60)) == [wanted.sha256]
        assert read_bytes(store, wanted.sha256) == b"wanted"
        assert not store.is_upload(W, RUN, ABSENT)

    # Logs

    def test_a_log_grows_and_is_read_in_parts(self, store: FileStore, tmp_path: Path) -> None:
        path = "logs/" + "é" * 500
        assert store.read_log(W, RUN, path, 0, 10) is None
        end = 0
        for line in range(20):
            end = store.append_log(W, RUN, path, end, b"line %02d\n" % line)
        assert end == 160
        assert store.read_log(W, RUN, path, 0, 16) == b"line 00\nline 01\n"
        assert store.read_log(W, RUN, path, 4, 8) == b" 00\nline"
        assert store.read_log(W, RUN, path, 155, 100) == b"e 19\n"
        assert store.read_log(W, RUN, path, 160, 100) == b""
        assert [(log.path, log.size_bytes) for log in store.logs(W, RUN)] == [(path, 160)]
        assert self.open_store(tmp_path).read_log(W, RUN, path, 0, 7) == b"line 00"

    def test_an_append_that_is_repeated_has_no_effect(self, store: FileStore) -> None:
        assert store.append_log(W, RUN, "log", 0, b"") == 0
        for ends in ((3, 6), (6, 6)):
            assert store.append_log(W, RUN, "log", 0, b"abc") == ends[0]
            assert store.append_log(W, RUN, "log", 3, b"def") == ends[1]
        assert store.append_log(W, RUN, "log", 1, b"bc") == 6
        assert store.append_log(W, RUN, "log", 4, b"efgh") == 8, "the part that was missing"
        assert store.read_log(W, RUN, "log", 0, 100) == b"abcdefgh"

    @pytest.mark.parametrize(("offset", "data"), [(0, b"x"), (2, b"X"), (4, b"e"), (1, b"bXX")])
    def test_other_bytes_and_gaps_are_conflicts(self, store: FileStore, offset: int, data: bytes) -> None:
        store.append_log(W, RUN, "log", 0, b"abc")
        with pytest.raises(Conflict) as caught:
            store.append_log(W, RUN, "another", 1, data)
        assert caught.value.facts["end"] == 0
        assert [log.path for log in store.logs(W, RUN)] == ["log"], "what was refused begins no log"
        with pytest.raises(Conflict) as caught:
            store.append_log(W, RUN, "log", offset, data)
        assert caught.value.facts["end"] == 3
        assert store.read_log(W, RUN, "log", 0, 100) == b"abc"

    def test_a_closed_log_is_read_and_takes_no_more(self, store: FileStore) -> None:
        assert not store.close_log(W, RUN, "log")
        store.append_log(W, RUN, "log", 0, b"abc")
        assert store.close_log(W, RUN, "log")
        assert store.close_log(W, RUN, "log")
        assert store.append_log(W, RUN, "log", 1, b"bc") == 3, "what was written before may be sent again"
        for offset in (2, 3):
            with pytest.raises(Conflict, match="finished"):
                store.append_log(W, RUN, "log", offset, b"cd"[offset - 2 :])
        assert store.read_log(W, RUN, "log", 0, 100) == b"abc"
        assert [(log.path, log.size_bytes) for log in store.logs(W, RUN)] == [("log", 3)]
        store.remove_log(W, RUN, "log")
        assert store.append_log(W, RUN, "log", 0, b"new") == 3

    def test_an_append_during_the_finish_is_refused(self, store: FileStore) -> None:
        """Else it is acknowledged between the last read and the removal, and lost."""
        store.append_log(W, RUN, "log", 0, b"abc")
        with store.receive(W) as incoming:
            assert finish_into(incoming, store, W, RUN, "log") == Content(
                hashlib.sha256(b"abc").hexdigest(), 3
            )
        with pytest.raises(Conflict):
            store.append_log(W, RUN, "log", 3, b"late")

    def test_logs_belong_to_their_run(self, store: FileStore) -> None:
        for run_id, path in ((RUN, "b"), (RUN, "a"), (RUN, "A"), (RUN.upper(), "a"), ("other", "a")):
            store.append_log(W, run_id, path, 0, f"{run_id} {path}".encode())
        assert [log.path for log in store.logs(W, RUN)] == ["A", "a", "b"]
        store.remove_log(W, RUN, "a")
        store.remove_log(W, RUN, "never there")
        assert [log.path for log in store.logs(W, RUN)] == ["A", "b"]
        store.remove_logs(W, RUN)
        store.remove_logs(W, RUN)
        assert store.logs(W, RUN) == []
        assert store.read_log(W, RUN.upper(), "a", 0, 100) == b"RUN-1 a"
        assert store.read_log("elsewhere", "other", "a", 0, 100) is None

    def test_a_log_and_the_number_of_logs_have_limits(
        self, store: FileStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(limits, "LOG_BYTES_MAX", 5)
        monkeypatch.setattr(limits, "LOGS_PER_RUN_MAX", 2)
        store.append_log(W, RUN, "a", 0, b"12345")
        with pytest.raises(LimitExceeded):
            store.append_log(W, RUN, "a", 5, b"6")
        store.append_log(W, RUN, "b", 0, b"1")
        with pytest.raises(LimitExceeded):
            store.append_log(W, RUN, "c", 0, b"1")
        assert store.append_log(W, RUN, "b", 1, b"2") == 2

    def test_of_two_who_append_at_one_place_one_is_told(self, store: FileStore) -> None:
        ends, refused = self.append_at_once(store)
        assert (ends, len(refused)) == ([14], 5)

    def append_at_once(self, store: FileStore) -> tuple[list[int], list[Conflict]]:
        """Six who append at one place: the ends that some were told, and the refusals of the others."""
        store.append_log(W, RUN, "log", 0, b"start ")
        ends: list[int] = []
        refused: list[Conflict] = []

        def append(writer: int) -> None:
            try:
                ends.append(store.append_log(W, RUN, "log", 6, b"writer %d" % writer))
            except Conflict as error:
                refused.append(error)

        threads = [threading.Thread(target=append, args=(n,)) for n in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return ends, refused
