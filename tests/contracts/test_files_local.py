"""The file store in a folder passes its contract suite."""

from __future__ import annotations

import fcntl
import shutil
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from runfold_events.contract.errors import Conflict
from runfold_services.compose.files import open_files
from runfold_services.files.port import FileStore
from runfold_services.testing.files_contract import FileStoreContract


class TestFilesInAFolder(FileStoreContract):
    """``RUNFOLD_FILES`` not set, or a folder."""

    def open_store(self, place: Path) -> FileStore:
        return open_files(str(place / "files"), None)

    @pytest.mark.parametrize("begins_anew", [False, True])
    def test_an_append_that_waited_while_its_log_was_removed_is_refused(
        self, store: FileStore, tmp_path: Path, begins_anew: bool
    ) -> None:
        """What it would write goes into a file that nobody reads any more."""
        store.append_log("w", "run", "log", 0, b"abc")
        with locked(text_of(tmp_path)):
            late = Late(lambda: store.append_log("w", "run", "log", 3, b"late"))
            assert late.waits()
            store.remove_log("w", "run", "log")
            if begins_anew:
                store.append_log("w", "run", "log", 0, b"new")
        assert isinstance(late.end(), Conflict)
        assert store.read_log("w", "run", "log", 0, 10) == (b"new" if begins_anew else None)

    def test_a_log_is_closed_behind_the_append_that_is_going_on(
        self, store: FileStore, tmp_path: Path
    ) -> None:
        store.append_log("w", "run", "log", 0, b"abc")
        with locked(text_of(tmp_path)):
            close = Late(lambda: store.close_log("w", "run", "log"))
            assert close.waits()
        assert close.end() is True

    def test_who_dies_removing_a_log_leaves_no_part_of_it_for_long(
        self, store: FileStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for path in ("log", "second"):
            store.append_log("w", "run", path, 0, b"abc")
        with monkeypatch.context() as patch:
            patch.setattr(shutil, "rmtree", die)
            store.remove_log("w", "run", "log")
        assert [log.path for log in store.logs("w", "run")] == ["second"]
        assert store.append_log("w", "run", "log", 0, b"new") == 3
        for path in ("log", "second"):
            store.remove_log("w", "run", path)
        assert not any(file.is_file() for file in tmp_path.rglob("*"))


def die(place: Path, ignore_errors: bool = False) -> None:
    """Nothing more is done."""


class Late:
    """A call on a thread of its own, which has to wait."""

    def __init__(self, call: Callable[[], object]) -> None:
        self._result: object = None
        self._thread = threading.Thread(target=self._run, args=(call,))
        self._thread.start()

    def _run(self, call: Callable[[], object]) -> None:
        try:
            self._result = call()
        except Conflict as error:
            self._result = error

    def waits(self) -> bool:
        self._thread.join(0.2)
        return self._thread.is_alive()

    def end(self) -> object:
        self._thread.join(60)
        return self._result


def text_of(place: Path) -> Path:
    (text,) = place.rglob("text")
    return text


@contextmanager
def locked(file: Path) -> Generator[None]:
    """As by an append that is going on."""
    with file.open("rb") as held:
        fcntl.flock(held.fileno(), fcntl.LOCK_EX)
        yield
