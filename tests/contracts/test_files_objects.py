"""The file store over objects passes its contract suite; in memory, where objects are made only if there are none."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from obstore.store import MemoryStore

from runfold_events.contract.errors import Conflict
from runfold_services.files.objects import ObjectFiles
from runfold_services.files.port import FileStore
from runfold_services.testing.files_contract import FileStoreContract, store_bytes

if TYPE_CHECKING:
    from obstore import ObjectMeta

_stores: dict[Path, MemoryStore] = {}


class TestFilesInObjects(FileStoreContract):
    """What holds of any object store that does what it is asked."""

    def open_store(self, place: Path) -> FileStore:
        return ObjectFiles(_stores.setdefault(place, MemoryStore()))

    def test_a_log_that_goes_while_it_is_read_is_none(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = ObjectFiles(MemoryStore())
        store.append_log("w", "run", "log", 0, b"abc")
        listed = store._segments  # pyright: ignore[reportPrivateUsage]

        def segments(workspace: str, run_id: str, path: str) -> list[ObjectMeta]:
            found = listed(workspace, run_id, path)
            store.remove_log(workspace, run_id, path)
            return found

        monkeypatch.setattr(store, "_segments", segments)
        assert store.read_log("w", "run", "log", 0, 10) is None

    def test_an_append_whose_log_goes_meanwhile_looks_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        store = ObjectFiles(MemoryStore())
        store.append_log("w", "run", "log", 0, b"abc")
        listed = store._segments  # pyright: ignore[reportPrivateUsage]
        looks: list[int] = []

        def segments(workspace: str, run_id: str, path: str) -> list[ObjectMeta]:
            found = listed(workspace, run_id, path)
            looks.append(len(found))
            store.remove_log(workspace, run_id, path)
            return found

        monkeypatch.setattr(store, "_segments", segments)
        with pytest.raises(Conflict) as caught:
            store.append_log("w", "run", "log", 2, b"cd")
        assert (caught.value.facts["end"], looks) == (0, [1, 0])

    def test_who_comes_too_late_to_remove_a_content_has_hidden_nothing(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = ObjectFiles(MemoryStore())
        sha256 = store_bytes(store, b"bytes", "w").sha256
        look = store._head  # pyright: ignore[reportPrivateUsage]

        def head(key: str) -> ObjectMeta | None:
            found = look(key)
            store._delete([key])  # pyright: ignore[reportPrivateUsage]  # another remover, just after
            return found

        monkeypatch.setattr(store, "_head", head)
        assert store.set_aside("w", sha256) is None
        assert list(store.asides("w", older_than_s=-60)) == []
