"""The file store over objects passes its contract suite; in memory, where objects are made only if there are none."""

from __future__ import annotations

from pathlib import Path

from obstore.store import MemoryStore

from runfold_services.files.objects import ObjectFiles
from runfold_services.files.port import FileStore
from runfold_services.testing.files_contract import FileStoreContract

_stores: dict[Path, MemoryStore] = {}


class TestFilesInObjects(FileStoreContract):
    """What holds of any object store that does what it is asked."""

    def open_store(self, place: Path) -> FileStore:
        return ObjectFiles(_stores.setdefault(place, MemoryStore()))
