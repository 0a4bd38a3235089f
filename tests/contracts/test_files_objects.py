"""The file store over objects passes its contract suite; in memory, where objects are made only if there are none."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from obstore.store import MemoryStore

from runfold_services.files.objects import ObjectFiles
from runfold_services.files.port import FileStore
from runfold_services.testing.files_contract import FileStoreContract

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
